"""What is known of users and items besides their ratings, as blocks for models that use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mfspark.grid.layout import Blocks
from mfspark.kernels.factorization.side_features import Features, item_attributes, user_attributes
from mfspark.models.records import SideFeatures, side_features_key
from mfspark.pipeline.context import RunContext
from mfspark.schemas import Side

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset


def side_features(context: RunContext, dataset: Dataset, side: Side) -> Blocks | None:
    """Return blocks of attributes float32 (rows, A); None where the tables give none."""
    layout = dataset.layout
    blocks = Blocks.named(side, "attributes", layout.blocks(side))

    def put() -> SideFeatures:
        features, names = _features(dataset, side)
        for block, reference in enumerate(blocks.references):
            mine = features[layout.indices(side, block)]
            context.store.put(reference, {"attributes": np.ascontiguousarray(mine)})
        return SideFeatures(list(names))

    return blocks if context.once(side_features_key(side), put).attributes else None


def _features(dataset: Dataset, side: Side) -> Features:
    """Collect what a table says of all rows of a side, which is little beside the ratings."""
    report = dataset.report
    described = report.described_users if side == "user" else report.described_items
    if not described.n:
        return np.empty((dataset.layout.n(side), 0), np.float32), ()
    columns = ("attributes",) if side == "user" else ("title", "genres")
    table = dataset.columns(f"{side}s", f"{side}_idx", *columns).sort_by(f"{side}_idx")
    values = (table[name].to_pylist() for name in columns)
    return user_attributes(*values) if side == "user" else item_attributes(*values)
