"""The neighbors of the parent run, to find tonight's from: see models.neighbors.increment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from mfspark._version import __version__
from mfspark.config.models import SimilarityOptions
from mfspark.grid.cut import cut_lists
from mfspark.grid.grid import Blocks
from mfspark.pipeline.dataset import layout_of
from mfspark.schemas import other
from mfspark.tables.run import files_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.config.models import ModelName
    from mfspark.pipeline.context import Job, Part
    from mfspark.schemas import Side
    from mfspark.tables.manifest import Manifest

_MOST = 0.25  # share of rows that changed: beyond, to find all neighbors afresh is no slower


def earlier_neighbors(job: Job, name: ModelName, part: Part) -> Blocks | None:
    """Return the parent's neighbors as blocks; None where all are found afresh.

    Published neighbors are those of all ratings, and so of no use to models that are measured.
    """
    if part != "all":
        return None
    stage, side = f"earlier-{name}", _side_of(name)
    if not job.night.finished(stage):
        job.night.finish(stage, {"references": _cut(job, name, side)})
    references = job.night.facts(stage)["references"]
    return Blocks(side, tuple(references)) if references else None


def _side_of(name: ModelName) -> Side:
    return "item" if name == "item_knn" else "user"


def _cut(job: Job, name: ModelName, side: Side) -> list[str]:
    """Write the parent's lists as blocks; empty where they cannot, or need not, be used."""
    if job.night.parent is None:
        return []
    warehouse = job.night.warehouse
    manifest = warehouse.manifest(job.night.parent)
    if not _found_alike(job, manifest, name, side):
        return []

    def of_parent(table: str) -> DataFrame:
        return job.spark.read.parquet(*map(str, files_of(warehouse, manifest, table)))

    changed = _changed(of_parent("ratings"), job.read("ratings"), side)
    n_rows = job.report.n_users if side == "user" else job.report.n_items
    if changed.count() > _MOST * n_rows:
        return []
    ids = job.read(f"{side}s").select(F.col(f"{side}_id").alias("id"), f"{side}_idx")
    listed = (
        of_parent(f"{side}_neighbors")
        .join(ids.toDF("id", "idx"), "id")
        .join(ids.toDF("neighbor_id", "neighbor_idx"), "neighbor_id", "left")
        .select("idx", (F.col("rank") - 1).alias("place"), "neighbor_idx", "similarity")
    )
    nobody = [F.lit(None).alias(column) for column in ("neighbor_idx", "similarity")]
    marked = changed.join(ids.toDF("id", "idx"), "id").select(
        "idx", F.lit(-1).alias("place"), *nobody
    )
    k = getattr(job.config.models, name).num_neighbors
    reference = f"earlier/{name}"
    cut = cut_lists(listed.unionByName(marked), side, layout_of(job), k, reference, job.store)
    return list(cut.references)


def _found_alike(job: Job, manifest: Manifest, name: ModelName, side: Side) -> bool:
    """Whether the parent has neighbors that were found as tonight's are to be."""
    if not {"ratings", f"{side}_neighbors"} <= manifest.tables.keys():
        return False
    before = manifest.config["models"].get(name, {})
    now = getattr(job.config.models, name).model_dump(mode="json")
    same = all(before.get(option) == now[option] for option in SimilarityOptions.model_fields)
    version = manifest.versions.get("mfspark")
    return same and manifest.ids == job.ids and version == __version__


def _changed(before: DataFrame, now: DataFrame, side: Side) -> DataFrame:
    """Return the ids (id) of rows that have other ratings now than then, or none now or then.

    Ratings of a row are compared by a hash of 64 bits and their number: one shuffle of a line a
    row, where a join of all ratings would move them all.
    """

    def marks(ratings: DataFrame, suffix: str) -> DataFrame:
        one = F.xxhash64(f"{other(side)}_id", F.col("rating").cast("double"))
        return ratings.groupBy(F.col(f"{side}_id").alias("id")).agg(
            F.bit_xor(one).alias(f"mark_{suffix}"), F.count(F.lit(1)).alias(f"n_{suffix}")
        )

    same = (F.col("mark_now") == F.col("mark_then")) & (F.col("n_now") == F.col("n_then"))
    both = marks(now, "now").join(marks(before, "then"), "id", "full")
    return both.filter(~F.coalesce(same, F.lit(False))).select("id")
