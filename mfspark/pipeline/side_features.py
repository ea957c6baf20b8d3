"""What is known of users and items besides their ratings, as blocks for models that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mfspark.grid.grid import Blocks
from mfspark.kernels.factorization.side_features import item_attributes, user_attributes
from mfspark.pipeline.dataset import layout_of

if TYPE_CHECKING:
    from mfspark.kernels.factorization.side_features import Features
    from mfspark.pipeline.context import Job
    from mfspark.schemas import Side


def attributes_of(job: Job, side: Side) -> Blocks | None:
    """Return blocks of attributes float32 (rows, A); None where the tables give none."""
    stage = f"attributes-{side}"
    layout = layout_of(job)
    blocks = Blocks.named(side, "attributes", layout.blocks(side))
    if not job.night.finished(stage):
        features, names = _features(job, side)
        for block, reference in enumerate(blocks.references):
            mine = features[layout.indices(side, block)]
            job.store.put(reference, {"attributes": np.ascontiguousarray(mine)})
        job.night.finish(stage, {"attributes": list(names)})
    return blocks if job.night.facts(stage)["attributes"] else None


def _features(job: Job, side: Side) -> Features:
    """Collect what a table says of all rows of a side, which is little beside the ratings."""
    described = job.report.described_users if side == "user" else job.report.described_items
    if not described.n:
        return np.empty((layout_of(job).n(side), 0), np.float32), ()
    columns = ("attributes",) if side == "user" else ("title", "genres")
    table = job.read(f"{side}s").orderBy(f"{side}_idx").select(*columns).toArrow()
    values = (table[name].to_pylist() for name in columns)
    return user_attributes(*values) if side == "user" else item_attributes(*values)
