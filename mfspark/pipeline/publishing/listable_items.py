"""Which items lists may hold: `publish.allow_items` and `publish.deny_items`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from mfspark.models.records import LISTABLE_ITEMS, ListableItems
from mfspark.pipeline.context import RunContext

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset

_log = logging.getLogger(__name__)


def listable_items(context: RunContext, dataset: Dataset) -> np.ndarray | None:
    """Return which items lists may hold, bool (items), or None for all.

    Collects the ids of all items where some are allowed or denied. Ids that no item has are no
    error: they are logged, and noted in the manifest (stage `eligible`).
    """
    options = context.config.publish
    if not options.allow_items and not options.deny_items:
        return None
    rows = dataset.columns("items", "item_idx", "item_id").to_pydict()
    index = dict(zip(map(str, rows["item_id"]), rows["item_idx"], strict=True))
    eligible = np.full(dataset.report.n_items, not options.allow_items)
    eligible[[index[i] for i in options.allow_items if i in index]] = True
    eligible[[index[i] for i in options.deny_items if i in index]] = False
    unknown = {
        name: sorted(set(ids) - index.keys())
        for name, ids in (("allow_items", options.allow_items), ("deny_items", options.deny_items))
    }
    for name, ids in unknown.items():
        if ids:
            few = ", ".join(ids[:5])
            _log.warning("publish.%s: %d ids that no item has, such as %s", name, len(ids), few)
    context.night.finish(LISTABLE_ITEMS, ListableItems(int(eligible.sum()), unknown))
    return eligible
