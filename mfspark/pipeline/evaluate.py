"""Stage evaluate: every model measured on held-out ratings.

Writes test_predictions, user_metrics and metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mfspark.config.config import EvaluationOptions
from mfspark.evaluation.metrics import (
    ranking_metrics,
    rating_metrics,
    user_errors,
    user_ranks,
)
from mfspark.evaluation.relevance import relevant_from
from mfspark.models.records import EVALUATE, EvaluationRecord
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.fits import Fits
from mfspark.pipeline.scoring import predict, recommend

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
    options = context.config.evaluation
    lists = recommend(fits, fits.names, "train", options.k)
    _write_user_metrics(dataset, options, lists, test)
    users = dataset.read("user_metrics")
    rated = context.config.ingest.feedback != "implicit"  # else there is nothing to predict
    by_rating = rating_metrics(users.filter("n_test > 0").filter(F.lit(rated)))
    ranked = users.filter("n_relevant > 0")
    by_rank = ranking_metrics(lists, ranked, options.k, dataset.report.n_items)
    split = F.lit(options.split).alias("split")
    columns = ["model", split, "metric", "k", *_rounded("value", "low", "high"), "n"]
    metrics = by_rating.unionByName(by_rank).select(*columns).collect()  # a dozen a model
    dataset.write_list(metrics, "metrics")
    return context.night.files("metrics").dataset().to_table().to_pylist()


def _write_user_metrics(
    dataset: Dataset, options: EvaluationOptions, lists: DataFrame, test: DataFrame
) -> None:
    """Write what each model did for each user; the next night is compared with it, user by user."""
    threshold = relevant_from(options, dataset.report.rating_scale)
    ranks = user_ranks(lists, test, options.k, threshold)
    ids = test.select("user_idx", "user_id").distinct()
    errors = user_errors(dataset.read("test_predictions"))
    both = errors.join(ranks.join(ids, "user_idx"), ["model", "user_id"], "full")
    fractions = [f.name for f in both.schema if f.dataType.typeName() == "double"]
    rounded = dict(zip(fractions, _rounded(*fractions), strict=True))
    dataset.write(both.withColumns(rounded).drop("user_idx"), "user_metrics")


def _rounded(*names: str) -> list[Column]:
    """Round: Spark adds up users in no fixed order; ten decimals are the same on every machine."""
    return [F.round(name, 10).alias(name) for name in names]


def _test_ids(test: DataFrame) -> DataFrame:
    return test.select("user_idx", "item_idx", "user_id", "item_id", "rating")
