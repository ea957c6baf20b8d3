"""Stage evaluate: every model measured on held-out ratings -> test_predictions, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from mfspark.evaluation import ranking_metrics, rating_metrics, relevant_from
from mfspark.pipeline.parts import ratings_of, tiles_of
from mfspark.pipeline.scoring import predict, recommend
from mfspark.pipeline.train import fitted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.model_options import ModelName
    from mfspark.pipeline.job import Job

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
    by_rating = rating_metrics(job.read("test_predictions"))
    by_rank = _ranking(job, test.select("user_idx", "item_idx", "rating"))
    split = F.lit(job.config.evaluation.split).alias("split")
    # Spark adds up users in no fixed order: ten decimals are the same on every machine.
    rounded = [F.round(name, 10).alias(name) for name in ("value", "low", "high")]
    columns = ["model", split, "metric", "k", *rounded, "n"]
    job.write(by_rating.unionByName(by_rank).select(*columns), "metrics")
    return [row.asDict() for row in job.read("metrics").collect()]


def _test_ids(test: DataFrame) -> DataFrame:
    return test.select("user_idx", "item_idx", "user_id", "item_id", "rating")


def _ranking(job: Job, test: DataFrame) -> DataFrame:
    options = job.config.evaluation
    lists = recommend(job, models_of(job), "train", options.k, intervals=False)
    threshold = relevant_from(options, job.report.rating_scale)
    return ranking_metrics(lists, test, options.k, threshold, job.report.n_items)
