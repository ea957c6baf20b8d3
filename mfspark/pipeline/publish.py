"""Stage publish: models refitted on all ratings -> top_n, completed, factors; judged; published."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mfspark._version import __version__
from mfspark.grid.cut import cut_frame
from mfspark.models.neighbors.knn import KNN, REASONS
from mfspark.pipeline import evaluate, judge
from mfspark.pipeline import neighbors as similarity
from mfspark.pipeline.dataset import layout_of, published_part
from mfspark.pipeline.factor_tables import write_factors, write_similar_items
from mfspark.pipeline.listable_items import eligible_items
from mfspark.pipeline.scoring import predict, recommend
from mfspark.pipeline.train import fitted
from mfspark.schemas import spark_schema
from mfspark.tables.publish import publish

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.context import Job, Part
    from mfspark.schemas import Side
    from mfspark.tables.manifest import Manifest


def run(job: Job) -> Manifest:
    """Write the remaining tables of the night, judge it, and make it the run that readers see.

    Publishing a published night again changes nothing. Raises RefusedError where an audit or a gate
    refuses it or another run was published meanwhile, LockedError while another is published.
    """
    if not job.night.published:
        metrics = evaluate.run(job)
        similarity.run(job)
        part = published_part(job)
        job.write(_top_n(job, part), "top_n")
        _write_completed(job, part)
        write_factors(job, part)
        write_similar_items(job, part)
        job.write(_loss_history(job), "loss_history")
        job.write(_run_row(job), "runs")
        return publish(job.night, job.ids, metrics, judge.run(job))
    return publish(job.night, job.ids, [], [])


def _top_n(job: Job, part: Part) -> DataFrame:
    """Return the lists of all models with ids and titles (joins users and items)."""
    interval = [F.col("low").alias("score_low"), F.col("high").alias("score_high")]
    lists = _lists_with_reasons(job, part)
    return (
        lists.join(job.read("users").select("user_idx", "user_id"), "user_idx")
        .join(job.read("items").select("item_idx", "item_id", "title"), "item_idx")
        .select(
            *("model", "user_id", "rank", "item_id", "score", "tier"), *interval, "reason", "title"
        )
    )


def _lists_with_reasons(job: Job, part: Part) -> DataFrame:
    """Return the lists of all models; what they name as a reason by id, as text.

    Joins the lists of neighbor models with the users or the items, once for each place of a reason.
    """
    eligible, n = eligible_items(job), job.config.publish.n
    frames: list[DataFrame] = []
    others: list[ModelName] = []
    for name in job.config.models.run:
        model = fitted(job, name, part)
        if isinstance(model, KNN):
            frames.append(_with_ids(recommend(job, [name], part, n, eligible), job, model.side))
        else:
            others.append(name)
    if others:
        unexplained = F.col("reason").cast("array<string>")
        lists = recommend(job, others, part, n, eligible)
        frames.append(lists.withColumn("reason", unexplained))
    return reduce(DataFrame.unionByName, frames)


def _with_ids(lists: DataFrame, job: Job, side: Side) -> DataFrame:
    """Replace the indices in `reason` by ids as text."""
    columns = [name for name in lists.columns if name != "reason"]
    ids = job.read(f"{side}s").select(f"{side}_idx", F.col(f"{side}_id").cast("string"))
    places = [f"place_{i}" for i in range(REASONS)]
    for i, place in enumerate(places):
        lists = lists.withColumn(f"{place}_idx", F.get("reason", F.lit(i)))
        lists = lists.join(ids.toDF(f"{place}_idx", place), f"{place}_idx", "left")
    named = F.filter(F.array(*places), lambda one: one.isNotNull())
    return lists.select(*columns, F.when(F.size(named) > 0, named).alias("reason"))


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
        __version__,
        night.config.seed,
        report.n_accepted,
        report.n_rejected,
        json.dumps(night.config.content()),
        json.dumps(night.inputs),
    )
    return job.spark.createDataFrame([row], spark_schema("runs", job.ids))
