"""Stage evaluate: every model measured on held-out ratings.

Writes test_predictions, user_metrics and metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from mfspark.evaluation import (
    ranking_metrics,
    rating_metrics,
    relevant_from,
    user_errors,
    user_ranks,
)
from mfspark.pipeline.dataset import ratings_of, tiles_of
from mfspark.pipeline.scoring import predict, recommend
from mfspark.pipeline.train import fitted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from mfspark.config.models import ModelName
    from mfspark.pipeline.context import Job

Metrics = list[dict[str, Any]]
REFERENCES: tuple[ModelName, ...] = ("baseline", "popularity")
"""Every model is measured beside these."""


def run(job: Job) -> Metrics:
    """Measure all models on the test part and return the rows of table `metrics`."""
    if not job.night.finished("evaluate"):
        evaluated = job.config.evaluation.split != "none"
        metrics = _measure(job) if evaluated else []
        job.night.finish("evaluate", {"metrics": metrics})
    return job.night.facts("evaluate")["metrics"]


def models_of(job: Job) -> tuple[ModelName, ...]:
    """Return the models that are measured: the configured ones and the references."""
    configured = job.config.models.run
    return (*configured, *(name for name in REFERENCES if name not in configured))


def best_model(job: Job) -> ModelName:
    """Return the model with the lowest RMSE; the first that predicts ratings, if unmeasured."""
    rmse = {m["model"]: m["value"] for m in run(job) if m["metric"] == "rmse"}
    measured: list[ModelName] = [name for name in job.config.models.run if name in rmse]
    if measured:
        return min(measured, key=lambda name: rmse[name])
    part = "all" if job.config.evaluation.split == "none" else "train"
    for name in job.config.models.run:
        if fitted(job, name, part).kind == "rating":
            return name
    return "baseline"


def _measure(job: Job) -> Metrics:
    test = ratings_of(job, "test")
    predictions = predict(job, models_of(job), "train", tiles_of(job, "test"))
    job.write(
        predictions.join(_test_ids(test), ["user_idx", "item_idx"]).select(
            *("model", "user_id", "item_id", "rating", "prediction", "tier"),
            *(F.col("low").alias("prediction_low"), F.col("high").alias("prediction_high")),
        ),
        "test_predictions",
    )
    options = job.config.evaluation
    lists = recommend(job, models_of(job), "train", options.k, explained=False)
    _write_user_metrics(job, lists, test)
    users = job.read("user_metrics")
    by_rating = rating_metrics(users.filter("n_test > 0"))
    ranked = users.filter("n_relevant > 0")
    by_rank = ranking_metrics(lists, ranked, options.k, job.report.n_items)
    split = F.lit(options.split).alias("split")
    columns = ["model", split, "metric", "k", *_rounded("value", "low", "high"), "n"]
    job.write(by_rating.unionByName(by_rank).select(*columns), "metrics")
    return [row.asDict() for row in job.read("metrics").collect()]


def _write_user_metrics(job: Job, lists: DataFrame, test: DataFrame) -> None:
    """Write what each model did for each user; the next night is compared with it, user by user."""
    options = job.config.evaluation
    threshold = relevant_from(options, job.report.rating_scale)
    ranks = user_ranks(lists, test, options.k, threshold)
    ids = test.select("user_idx", "user_id").distinct()
    errors = user_errors(job.read("test_predictions"))
    both = errors.join(ranks.join(ids, "user_idx"), ["model", "user_id"], "full")
    fractions = [f.name for f in both.schema if f.dataType.typeName() == "double"]
    rounded = dict(zip(fractions, _rounded(*fractions), strict=True))
    job.write(both.withColumns(rounded).drop("user_idx"), "user_metrics")


def _rounded(*names: str) -> list[Column]:
    """Round: Spark adds up users in no fixed order; ten decimals are the same on every machine."""
    return [F.round(name, 10).alias(name) for name in names]


def _test_ids(test: DataFrame) -> DataFrame:
    return test.select("user_idx", "item_idx", "user_id", "item_id", "rating")
