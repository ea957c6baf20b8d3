"""The factors that the base run published, to start the next training from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from mfspark.config.models import ModelName
from mfspark.grid.cut import cut_factors
from mfspark.grid.layout import Blocks, BySide
from mfspark.models.records import StartFactors, start_factors_key
from mfspark.pipeline.context import RunContext
from mfspark.schemas import SIDES, spark_schema
from mfspark.tables.run import PublishedRun
from mfspark.tables.task_files import read_files

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset

_log = logging.getLogger(__name__)


def start_factors(context: RunContext, dataset: Dataset, name: ModelName) -> BySide | None:
    """Return the base run's factors as blocks; None where training starts afresh.

    Only for what is fitted on all ratings. The base run has seen ratings that the test part of this
    night holds out, so a model that is measured must not start from it.
    """
    if not context.config.models.warm_start:
        return None
    found = context.once(
        start_factors_key(name), lambda: StartFactors(_cut(context, dataset, name))
    )
    return {side: Blocks(side, found.blocks[side]) for side in SIDES} if found.blocks else None


def _cut(context: RunContext, dataset: Dataset, name: ModelName) -> dict[str, tuple[str, ...]]:
    """Write the base run's factors as blocks; empty where it has none of this model and rank."""
    if context.night.base_run is None:
        return {}
    run = PublishedRun(context.night.warehouse, context.night.base_run)
    options = context.config.models.of(name)
    if not run.has("user_factors"):
        return {}
    if run.unknown_columns("user_factors"):
        found = "%s starts afresh: run %s has factors as another version wrote them"
        _log.info(found, name, run.run_id)
        return {}
    cut: dict[str, tuple[str, ...]] = {}
    for side in SIDES:
        table = f"{side}_factors"
        files, schema = run.files(table), spark_schema(table, run.manifest.ids)
        theirs = read_files(context.spark, files, schema).filter(F.col("model") == name)
        width = theirs.agg(F.max(F.size("factors"))).first()
        if width is None or not width[0] or not options.starts_from(width[0]):
            return {}
        ids = dataset.ids(side, "idx")
        rows, place = theirs.join(ids, f"{side}_id"), f"start-factors/{name}"
        blocks = cut_factors(rows, side, dataset.layout, width[0], place, context.store)
        cut[side] = blocks.references
    return cut
