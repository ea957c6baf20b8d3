"""What is known of items besides their ratings, as blocks for models that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mfspark.grid.grid import Blocks
from mfspark.kernels.attributes import item_attributes
from mfspark.pipeline.parts import layout_of

if TYPE_CHECKING:
    from mfspark.pipeline.job import Job
    from mfspark.schemas import Side


def attributes_of(job: Job, side: Side) -> Blocks | None:
    """Return blocks of attributes float32 (rows, A); None where the tables give none.

    Collects titles and genres of all items: the catalogue is small beside the ratings.
    """
    if side == "user":
        return None
    stage = "attributes"
    layout = layout_of(job)
    n_blocks = layout.blocks(side)
    blocks = Blocks(side, tuple(f"attributes/{side}/{b:04d}" for b in range(n_blocks)))
    if not job.night.finished(stage):
        items = job.read("items").select("item_idx", "title", "genres").orderBy("item_idx")
        table = items.toArrow()
        features, names = item_attributes(table["title"].to_pylist(), table["genres"].to_pylist())
        for block, reference in enumerate(blocks.references):
            mine = features[layout.indices(side, block)]
            job.store.put(reference, {"attributes": np.ascontiguousarray(mine)})
        job.night.finish(stage, {"item_attributes": list(names)})
    return blocks if job.night.facts(stage)["item_attributes"] else None
