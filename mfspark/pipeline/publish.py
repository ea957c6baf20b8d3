"""Stage publish: models refitted on all ratings -> top_n, completed, factors; then the pointer."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

import mfspark
from mfspark.grid.cut import cut_frame
from mfspark.grid.frames import ReadEach
from mfspark.kernels.top_n import NOBODY, RankedLists
from mfspark.models.factors import FactorModel
from mfspark.pipeline import evaluate, similarity
from mfspark.pipeline.parts import layout_of, tiles_of
from mfspark.pipeline.scoring import predict, recommend
from mfspark.pipeline.train import fitted
from mfspark.schemas import spark_schema
from mfspark.tables.publish import publish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from mfspark.grid.grid import Blocks, Layout
    from mfspark.grid.store import Store
    from mfspark.pipeline.job import Job, Part
    from mfspark.schemas import Side
    from mfspark.tables.manifest import Manifest

_log = logging.getLogger(__name__)

_SIMILAR = pa.schema(
    [
        ("model", pa.string()),
        ("item_idx", pa.int32()),
        ("rank", pa.int32()),
        ("similar_idx", pa.int32()),
        ("score", pa.float64()),
    ]
)
_FACTORS = pa.schema(
    [
        ("model", pa.string()),
        ("idx", pa.int32()),
        ("bias", pa.float32()),
        ("factors", pa.list_(pa.float32())),
    ]
)


def run(job: Job) -> Manifest:
    """Write the remaining tables of the night and make it the run that readers see.

    Publishing a published night again changes nothing. Raises RefusedError or LockedError where
    another run was published meanwhile.
    """
    if not job.night.published:
        metrics = evaluate.run(job)
        similarity.run(job)
        part = published_part(job)
        job.write(_top_n(job, part), "top_n")
        _write_completed(job, part)
        _write_factors(job, part)
        _write_similar_items(job, part)
        job.write(_loss_history(job), "loss_history")
        job.write(_run_row(job), "runs")
        return publish(job.night, job.ids, metrics, [])
    return publish(job.night, job.ids, [], [])


def published_part(job: Job) -> Part:
    """Return which ratings the published models are fitted on."""
    evaluation = job.config.evaluation
    return "all" if evaluation.refit or evaluation.split == "none" else "train"


def _top_n(job: Job, part: Part) -> DataFrame:
    """Return the lists of all models with ids and titles (joins users and items)."""
    interval = [F.col("low").alias("score_low"), F.col("high").alias("score_high")]
    eligible = eligible_items(job)
    return (
        recommend(job, job.config.models.run, part, job.config.publish.n, eligible)
        .join(job.read("users").select("user_idx", "user_id"), "user_idx")
        .join(job.read("items").select("item_idx", "item_id", "title"), "item_idx")
        .select("model", "user_id", "rank", "item_id", "score", "tier", *interval, "title")
    )


def eligible_items(job: Job) -> np.ndarray | None:
    """Return which items lists may hold, bool (items), or None for all.

    Collects the ids of all items where some are allowed or denied. Ids that no item has are no
    error: they are logged, and noted in the manifest (stage `eligible`).
    """
    options = job.config.publish
    if not options.allow_items and not options.deny_items:
        return None
    rows = job.read("items").select("item_idx", "item_id").collect()
    index = {str(row["item_id"]): int(row["item_idx"]) for row in rows}
    eligible = np.full(job.report.n_items, not options.allow_items)
    eligible[[index[i] for i in options.allow_items if i in index]] = True
    eligible[[index[i] for i in options.deny_items if i in index]] = False
    unknown = {
        name: sorted(set(ids) - index.keys())
        for name, ids in (("allow_items", options.allow_items), ("deny_items", options.deny_items))
    }
    for name, ids in unknown.items():
        if ids:
            few = ", ".join(ids[:5])
            _log.warning("publish.%s: %d ids that no item has, such as %s", name, len(ids), few)
    facts = {"n_eligible": int(eligible.sum()), "unknown_ids": unknown}
    job.night.finish("eligible", facts)
    return eligible


def _write_completed(job: Job, part: Part) -> None:
    """Write the completed matrix where users x items is small enough."""
    options, report = job.config.completed, job.report
    if report.n_users * report.n_items > options.max_cells:
        return
    name = evaluate.best_model(job) if options.model == "best" else options.model
    users = job.read("users").select("user_idx", "user_id")
    items = job.read("items").select("item_idx", "item_id")
    cells = users.crossJoin(items)
    pairs = cut_frame(
        cells.select("user_idx", "item_idx", F.lit(0.0).alias("rating")),
        layout_of(job),
        "tiles/cells",
        job.store,
        job.grid_runner,
    )
    ratings = job.read("ratings").select("user_idx", "item_idx", "rating")
    keys = ["user_idx", "item_idx"]
    predicted = predict(job, [name], part, pairs, intervals=False)
    completed = predicted.join(cells, keys).join(ratings, keys, "left")
    job.write(completed.select("user_id", "item_id", "rating", "prediction"), "completed")


def _write_factors(job: Job, part: Part) -> None:
    """Write user_factors and item_factors of the models that have any.

    Those of the baseline are always there: it answers for models that know nothing of a pair.
    """
    factors = {
        name: model for name, model in _factor_models(job, part).items() if name != "popularity"
    }
    sides: tuple[Side, Side] = ("user", "item")
    for side in sides:
        ids = job.read(f"{side}s").selectExpr(f"{side}_idx as idx", f"{side}_id as id")
        rows = factor_frame(job, factors, side).join(ids, "idx")
        job.write(rows.select("model", "id", "bias", "factors"), f"{side}_factors")


def _factor_models(job: Job, part: Part) -> dict[str, FactorModel]:
    models = {name: fitted(job, name, part) for name in evaluate.models_of(job)}
    return {name: model for name, model in models.items() if isinstance(model, FactorModel)}


def _write_similar_items(job: Job, part: Part) -> None:
    """Write the items nearest to every item, of models whose items have factors.

    Joins the items twice (broadcasts or shuffles them, by their size).
    """
    n, tiles = job.config.publish.similar_items, tiles_of(job, part)
    ranked = {
        name: model.similar_items(job.grid(tiles), n, f"{part}/{name}/similar-{n}")
        for name, model in _factor_models(job, part).items()
        if n and name not in ("baseline", "popularity")
    }
    if not ranked:
        return
    readers = [
        partial(_read_similar, job.store, tiles.layout, name, blocks)
        for name, blocks in ranked.items()
    ]
    items = job.read("items")
    similar = (
        ReadEach(readers, tiles.layout.item_blocks)
        .frame(job.spark, _SIMILAR)
        .join(items.select("item_idx", "item_id"), "item_idx")
        .join(
            items.selectExpr("item_idx as similar_idx", "item_id as similar_item_id"), "similar_idx"
        )
    )
    job.write(
        similar.select("model", "item_id", "rank", "similar_item_id", "score"), "similar_items"
    )


def _read_similar(
    store: Store, layout: Layout, name: str, blocks: Blocks, block: int
) -> pa.RecordBatch:
    lists = RankedLists.from_arrays(store.get(blocks.references[block]))
    rows, ranks = np.nonzero(lists.indices != NOBODY)
    return pa.record_batch(
        [
            pa.array([name] * len(rows), pa.string()),
            layout.indices("item", block)[rows].astype(np.int32),
            (ranks + 1).astype(np.int32),
            lists.indices[rows, ranks],
            lists.scores[rows, ranks],
        ],
        schema=_SIMILAR,
    )


def factor_frame(job: Job, models: Mapping[str, FactorModel], side: Side) -> DataFrame:
    """Return (model, idx, bias, factors), one row a model and user or item."""
    layout = layout_of(job)
    readers = [
        partial(_read_factors, job.store, layout, name, model.blocks(side))
        for name, model in models.items()
    ]
    return ReadEach(readers, layout.blocks(side)).frame(job.spark, _FACTORS)


def _read_factors(
    store: Store, layout: Layout, name: str, blocks: Blocks, block: int
) -> pa.RecordBatch:
    arrays = store.get(blocks.references[block])
    n_rows, rank = arrays["factors"].shape
    offsets = pa.array(np.arange(n_rows + 1) * rank, pa.int32())
    return pa.record_batch(
        [
            pa.array([name] * n_rows, pa.string()),
            layout.indices(blocks.side, block).astype(np.int32),
            arrays["bias"],
            pa.ListArray.from_arrays(offsets, arrays["factors"].ravel()),
        ],
        schema=_FACTORS,
    )


def _loss_history(job: Job) -> DataFrame:
    """Return the losses of every fit of this night; a handful of rows."""
    parts: tuple[Part, ...] = ("train", "all")
    rows = [
        (name, part, loss.iteration, loss.split, loss.value, loss.seconds)
        for part in parts
        for name in evaluate.models_of(job)
        if job.night.finished(f"fit-{part}-{name}")
        for loss in fitted(job, name, part).history
    ]
    return job.spark.createDataFrame(rows, spark_schema("loss_history", job.ids))


def _run_row(job: Job) -> DataFrame:
    """Return what table `runs` says of this night: one row."""
    night, report = job.night, job.report
    row = (
        night.run_id,
        night.run_date.isoformat(),
        night.parent,
        datetime.now(UTC),
        mfspark.__version__,
        night.config.seed,
        report.n_accepted,
        report.n_rejected,
        json.dumps(night.config.content()),
        json.dumps(night.inputs),
    )
    return job.spark.createDataFrame([row], spark_schema("runs", job.ids))
