"""Stage evaluate: every model measured on held-out ratings.

Writes test_predictions, user_metrics, metrics and segment_metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mfspark.evaluation.metrics import (
    BY_MODEL,
    mean_metrics,
    ranking_metrics,
    rating_metrics,
    user_errors,
    user_ranks,
)
from mfspark.kernels.lists.thirds import Thirds
from mfspark.models.records import EVALUATE, EvaluationRecord
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.fits import Fits
from mfspark.pipeline.ranking.list_figures import EVERYTHING, list_figures, parts_of, ratings_of
from mfspark.pipeline.ranking.ranked import lists_of, rank_items
from mfspark.pipeline.scoring import predict

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset

Metrics = list[dict[str, Any]]


def run(context: RunContext, dataset: Dataset, fits: Fits) -> Metrics:
    """Measure all models on the test part and return the rows of table `metrics`."""
    measured = context.config.evaluation.split != "none"
    return context.once(
        EVALUATE, lambda: EvaluationRecord(_measure(context, dataset, fits) if measured else [])
    ).metrics


def _measure(context: RunContext, dataset: Dataset, fits: Fits) -> Metrics:
    test = dataset.ratings("test")
    predictions = predict(fits, fits.names, "train", dataset.tiles("test"))
    dataset.write(
        predictions.join(_test_ids(test), ["user_idx", "item_idx"]).select(
            *("model", "user_id", "item_id", "rating", "prediction", "tier"),
            *(F.col("low").alias("prediction_low"), F.col("high").alias("prediction_high")),
        ),
        "test_predictions",
    )
    k = context.config.evaluation.k
    ranked = [rank_items(fits, name, "train", k, explained=False) for name in fits.names]
    lists = lists_of(fits, ranked, k)
    popularity = Thirds.of(ratings_of(fits, "train", "item"))
    figures = list_figures(fits, ranked, "train", k, popularity)
    _write_user_metrics(dataset, lists, test, figures)
    users = dataset.read("user_metrics")
    by_rank = ranking_metrics(lists, users.filter("n_relevant > 0"), k, dataset.report.n_items)
    measured = _by_rating(dataset, users).unionByName(by_rank)
    measured = measured.unionByName(mean_metrics(users, "listed", k))
    columns = ["model", _split(dataset), "metric", "k", *_rounded("value", "low", "high"), "n"]
    metrics = measured.select(*columns).collect()  # some twenty a model
    dataset.write_list(metrics, "metrics")
    _write_segments(dataset, fits, lists, test, figures, popularity)
    return context.night.files("metrics").dataset().to_table().to_pylist()


def _write_user_metrics(
    dataset: Dataset, lists: DataFrame, test: DataFrame, figures: DataFrame
) -> None:
    """Write what each model did for each user; the next night is compared with it, user by user."""
    k = dataset.context.config.evaluation.k
    ranks = user_ranks(lists, test, k, dataset.relevant_from)
    of_lists = figures.filter(F.col("part") == EVERYTHING).drop("part")
    both = ranks.join(of_lists, ["model", "user_idx"], "full").join(dataset.ids("user"), "user_idx")
    errors = user_errors(dataset.read("test_predictions"))
    every = errors.join(both.drop("user_idx"), ["model", "user_id"], "full")
    fractions = [f.name for f in every.schema if f.dataType.typeName() == "double"]
    rounded = dict(zip(fractions, _rounded(*fractions), strict=True))
    dataset.write(every.withColumns(rounded), "user_metrics")


def _write_segments(
    dataset: Dataset,
    fits: Fits,
    lists: DataFrame,
    test: DataFrame,
    figures: DataFrame,
    popularity: Thirds,
) -> None:
    """Write the metrics of users by activity, and of items by popularity.

    A user belongs to one part, an item likewise: of items the test ratings of a part are what is
    predicted and what can be hit, and of a list the items of a part. Joins lists with the test part
    once more.
    """
    k, by = dataset.context.config.evaluation.k, ("part", "model")
    activity = Thirds.of(ratings_of(fits, "train", "user"))
    of_users = parts_of(fits, "train", "user", activity).withColumnRenamed("idx", "user_idx")
    users = dataset.read("user_metrics").join(dataset.ids("user"), "user_id")
    users = users.join(of_users, "user_idx")
    by_user = [
        _by_rating(dataset, users, by),
        mean_metrics(users.filter("n_relevant > 0"), "ranking", k, by),
        mean_metrics(users, "listed", k, by),
    ]
    of_items = parts_of(fits, "train", "item", popularity).withColumnRenamed("idx", "item_idx")
    items = of_items.join(dataset.ids("item"), "item_idx").select("item_id", "part")
    errors = user_errors(dataset.read("test_predictions").join(items, "item_id"), by)
    ranks = user_ranks(lists, test.join(of_items, "item_idx"), k, dataset.relevant_from, ["part"])
    by_item = [
        _by_rating(dataset, errors, by),
        mean_metrics(ranks, "ranking", k, by),
        mean_metrics(figures.filter(F.col("part") != EVERYTHING), "listed", k, by),
    ]
    frames = [
        frame.select(F.lit(segment).alias("segment"), "*")
        for segment, found in (("users by activity", by_user), ("items by popularity", by_item))
        for frame in found
    ]
    columns = ["segment", "part", "model", _split(dataset), "metric", "k"]
    measured = reduce(DataFrame.unionByName, frames)
    dataset.write(
        measured.select(*columns, *_rounded("value", "low", "high"), "n"), "segment_metrics"
    )


def _by_rating(dataset: Dataset, users: DataFrame, by: Sequence[str] = BY_MODEL) -> DataFrame:
    """Return the metrics of rating predictions; none where there are no ratings to predict."""
    rated = dataset.context.config.ingest.feedback != "implicit"
    return rating_metrics(users.filter("n_test > 0").filter(F.lit(rated)), by)


def _split(dataset: Dataset) -> Column:
    return F.lit(dataset.context.config.evaluation.split).alias("split")


def _rounded(*names: str) -> list[Column]:
    """Round: Spark adds up users in no fixed order; ten decimals are the same on every machine."""
    return [F.round(name, 10).alias(name) for name in names]


def _test_ids(test: DataFrame) -> DataFrame:
    return test.select("user_idx", "item_idx", "user_id", "item_id", "rating")
