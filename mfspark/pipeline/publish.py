"""Stage publish, its tables: top_n, completed, factors, similar_items, loss_history and runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mfspark._version import __version__
from mfspark.config.models import ModelName
from mfspark.evaluation.catalog import RMSE
from mfspark.grid.cut import cut_frame
from mfspark.models.base import MOST_REASONS
from mfspark.models.records import Subset
from mfspark.pipeline.fits import Fits
from mfspark.pipeline.publishing.factor_tables import (
    write_factors,
    write_item_weights,
    write_similar_items,
)
from mfspark.pipeline.publishing.listable_items import listable_items
from mfspark.pipeline.scoring import predict, recommend
from mfspark.schemas import Side
from mfspark.system.at_once import at_once

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset


def write_tables(dataset: Dataset, fits: Fits, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Write what readers want: lists, the completed matrix, factors, losses, and the run itself."""
    for name in fits.names:  # before two ask for the same one
        fits.model(name, dataset.published)
    at_once(
        lambda: dataset.write(_top_n(dataset, fits), "top_n"),
        lambda: _write_completed(dataset, fits, metrics),
        lambda: write_factors(dataset, fits),
        lambda: write_item_weights(dataset, fits),
        lambda: write_similar_items(dataset, fits),
    )
    dataset.write_list(_losses(fits), "loss_history")
    dataset.write_list([_run_row(dataset)], "runs")


def _top_n(dataset: Dataset, fits: Fits) -> DataFrame:
    """Return the lists of all models with ids and titles (joins users and items)."""
    interval = [F.col("low").alias("score_low"), F.col("high").alias("score_high")]
    return (
        _lists_with_reasons(dataset, fits)
        .join(dataset.ids("user"), "user_idx")
        .join(dataset.read("items").select("item_idx", "item_id", "title"), "item_idx")
        .select(
            *("model", "user_id", "rank", "item_id", "score", "tier"), *interval, "reason", "title"
        )
    )


def _lists_with_reasons(dataset: Dataset, fits: Fits) -> DataFrame:
    """Return the lists of all models; what they name as a reason by id, as text.

    Joins the lists of models that explain with the users or the items, once for each place of a
    reason.
    """
    context, subset = dataset.context, dataset.published
    eligible, n = listable_items(context, dataset), context.config.publish.n
    frames: list[DataFrame] = []
    others: list[ModelName] = []
    for name in context.config.models.run:
        if explains := fits.model(name, subset).explains:
            lists = recommend(fits, [name], subset, n, eligible)
            frames.append(_with_ids(lists, dataset, explains.side))
        else:
            others.append(name)
    if others:
        unexplained = F.col("reason").cast("array<string>")
        lists = recommend(fits, others, subset, n, eligible)
        frames.append(lists.withColumn("reason", unexplained))
    return reduce(DataFrame.unionByName, frames)


def _with_ids(lists: DataFrame, dataset: Dataset, side: Side) -> DataFrame:
    """Replace the indices in `reason` by ids as text."""
    columns = [name for name in lists.columns if name != "reason"]
    ids = dataset.read(f"{side}s").select(f"{side}_idx", F.col(f"{side}_id").cast("string"))
    places = [f"place_{i}" for i in range(MOST_REASONS)]
    for i, place in enumerate(places):
        lists = lists.withColumn(f"{place}_idx", F.get("reason", F.lit(i)))
        lists = lists.join(ids.toDF(f"{place}_idx", place), f"{place}_idx", "left")
    named = F.filter(F.array(*places), lambda one: one.isNotNull())
    return lists.select(*columns, F.when(F.size(named) > 0, named).alias("reason"))


def _write_completed(dataset: Dataset, fits: Fits, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Write the completed matrix where users x items is small enough."""
    context, report = dataset.context, dataset.report
    options = context.config.completed
    if report.n_users * report.n_items > options.max_cells:
        return
    name = _best_model(fits, metrics) if options.model == "best" else options.model
    users = dataset.ids("user")
    items = dataset.ids("item")
    cells = users.crossJoin(items)
    unrated = cells.select("user_idx", "item_idx", F.lit(0.0).alias("rating"))
    pairs = cut_frame(unrated, dataset.layout, "tiles/cells", context.store, context.runner)
    ratings = dataset.read("ratings").select("user_idx", "item_idx", "rating")
    keys = ["user_idx", "item_idx"]
    predicted = predict(fits, [name], dataset.published, pairs, intervals=False)
    completed = predicted.join(cells, keys).join(ratings, keys, "left")
    dataset.write(completed.select("user_id", "item_id", "rating", "prediction"), "completed")


def _best_model(fits: Fits, metrics: Sequence[Mapping[str, Any]]) -> ModelName:
    """Return the model with the lowest RMSE; the first that predicts ratings, if unmeasured."""
    run = fits.context.config.models.run
    found = {m["model"]: m["value"] for m in metrics if m["metric"] == RMSE.name}
    rmse: dict[ModelName, float] = {name: found[name] for name in run if name in found}
    if rmse:
        return RMSE.best(rmse)
    for name in run:
        if fits.model(name, fits.dataset.published).kind == "rating":
            return name
    return "baseline"


def _losses(fits: Fits) -> list[tuple[Any, ...]]:
    """Return the losses of every fit of this night; a handful of rows."""
    subsets: tuple[Subset, ...] = ("train", "all")
    return [
        (name, subset, loss.iteration, loss.split, loss.value, loss.seconds)
        for subset in subsets
        for name in fits.names
        if fits.finished(name, subset)
        for loss in fits.model(name, subset).history
    ]


def _run_row(dataset: Dataset) -> tuple[Any, ...]:
    """Return what table `runs` says of this night."""
    night, report = dataset.context.night, dataset.report
    return (
        night.run_id,
        night.run_date.isoformat(),
        night.current_run,
        datetime.now(UTC),
        __version__,
        night.config.seed,
        report.n_accepted,
        report.n_rejected,
        json.dumps(night.config.content()),
        json.dumps(night.inputs),
    )
