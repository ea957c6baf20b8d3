"""What factor models publish besides lists: user_factors, item_factors and similar_items."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.grid.frames import ReadEach
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.models.factor_model import FactorModel
from mfspark.pipeline.dataset import layout_of, tiles_of
from mfspark.pipeline.evaluate import models_of
from mfspark.pipeline.train import fitted
from mfspark.schemas import SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from mfspark.grid.block_store import Store
    from mfspark.grid.grid import Blocks, Layout
    from mfspark.pipeline.context import Job, Part
    from mfspark.schemas import Side

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


def write_factors(job: Job, part: Part) -> None:
    """Write user_factors and item_factors of the models that have any.

    Those of the baseline are always there: it answers for models that know nothing of a pair.
    """
    factors = {
        name: model for name, model in _factor_models(job, part).items() if name != "popularity"
    }
    for side in SIDES:
        ids = job.read(f"{side}s").selectExpr(f"{side}_idx as idx", f"{side}_id as id")
        rows = _factor_frame(job, factors, side).join(ids, "idx")
        job.write(rows.select("model", "id", "bias", "factors"), f"{side}_factors")


def _factor_models(job: Job, part: Part) -> dict[str, FactorModel]:
    models = {name: fitted(job, name, part) for name in models_of(job)}
    return {name: model for name, model in models.items() if isinstance(model, FactorModel)}


def write_similar_items(job: Job, part: Part) -> None:
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
            pa.repeat(name, len(rows)),
            layout.indices("item", block)[rows].astype(np.int32),
            (ranks + 1).astype(np.int32),
            lists.indices[rows, ranks],
            lists.scores[rows, ranks],
        ],
        schema=_SIMILAR,
    )


def _factor_frame(job: Job, models: Mapping[str, FactorModel], side: Side) -> DataFrame:
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
            pa.repeat(name, n_rows),
            layout.indices(blocks.side, block).astype(np.int32),
            arrays["bias"],
            pa.ListArray.from_arrays(offsets, arrays["factors"].ravel()),
        ],
        schema=_FACTORS,
    )
