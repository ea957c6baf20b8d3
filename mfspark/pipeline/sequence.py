"""The whole night: ingest, similarity, train, evaluate, refit, publish."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mfspark.pipeline import evaluate, ingest, publish, train
from mfspark.pipeline import neighbors as similarity
from mfspark.pipeline.context import Job
from mfspark.pipeline.dataset import published_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from mfspark.pipeline.ingest import InputFiles
    from mfspark.pipeline.progress import Progress
    from mfspark.tables.manifest import Manifest
    from mfspark.tables.night import Night


def run(spark: SparkSession, night: Night, files: InputFiles, progress: Progress) -> Manifest:
    """Run all stages in order and publish; stages that this night finished before are not repeated.

    Models are fitted on the training ratings, measured, and only then refitted on all ratings.
    """
    job = Job(spark, night)
    names = night.config.models.run
    measured = night.config.evaluation.split != "none"
    steps: list[tuple[str, Callable[[], object]]] = [
        ("ingest", lambda: ingest.run(spark, night, files)),
        ("similarity", lambda: similarity.run(job)),
    ]
    if measured:
        steps += [(f"train {name}", partial(train.run, job, [name])) for name in names]
        steps.append(("evaluate", lambda: evaluate.run(job)))
    part = published_part(job)
    if part == "all":
        steps += [(f"refit {name}", partial(train.fitted, job, name, part)) for name in names]
    progress.begin(len(steps) + 1)
    for label, step in steps:
        with progress.step(label):
            step()
    with progress.step("publish"):
        return publish.run(job)
