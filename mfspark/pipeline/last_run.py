"""The factors a model was published with last, to start the next training from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from mfspark.grid.cut import cut_factors
from mfspark.grid.grid import Blocks
from mfspark.pipeline.dataset import layout_of
from mfspark.schemas import SIDES
from mfspark.tables.run import files_of

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.grid.grid import BySide
    from mfspark.pipeline.context import Job, Part
    from mfspark.schemas import Side


def previous_factors(job: Job, name: ModelName, part: Part) -> BySide | None:
    """Return the factors of the last run as blocks; None where training starts afresh.

    Only what is fitted on all ratings starts warm. The last run has seen ratings that the test part
    of this night holds out, so a model that is measured must not start from it.
    """
    stage = f"previous-{name}"
    if part != "all" or not job.config.models.warm_start:
        return None
    if not job.night.finished(stage):
        job.night.finish(stage, {"blocks": _cut(job, name)})
    cut = job.night.facts(stage)["blocks"]
    return {side: Blocks(side, tuple(cut[side])) for side in SIDES} if cut else None


def _fits(width: int | None, options: Any) -> bool:
    """Say whether lists of `width` factors are of the rank that is trained now.

    A model that keeps samples lists those side by side.
    """
    if not width:
        return False
    return width % options.rank == 0 if hasattr(options, "keep") else width == options.rank


def _cut(job: Job, name: ModelName) -> dict[Side, list[str]]:
    """Write the last run's factors as blocks; empty where it has none of this model and rank."""
    base, warehouse = job.night.base, job.night.warehouse
    if base is None:
        return {}
    manifest = warehouse.manifest(base)
    options = getattr(job.config.models, name)
    if "user_factors" not in manifest.tables or not hasattr(options, "rank"):
        return {}
    cut: dict[Side, list[str]] = {}
    for side in SIDES:
        paths = [str(path) for path in files_of(warehouse, manifest, f"{side}_factors")]
        earlier = job.spark.read.parquet(*paths).filter(F.col("model") == name)
        width = earlier.agg(F.max(F.size("factors"))).first()
        if width is None or not _fits(width[0], options):
            return {}
        ids = job.read(f"{side}s").selectExpr(f"{side}_idx as idx", f"{side}_id as id")
        rows = earlier.join(ids, "id")
        name_of_blocks = f"previous/{name}"
        blocks = cut_factors(rows, side, layout_of(job), width[0], name_of_blocks, job.store)
        cut[side] = list(blocks.references)
    return cut
