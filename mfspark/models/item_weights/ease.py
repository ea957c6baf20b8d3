"""Embarrassingly shallow autoencoders: weights of items in closed form (Steck 2019).

The Gramian is made block by block, inverted in one task, and the weights are cut into blocks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mfspark.config.models import EASEOptions
from mfspark.errors import ConfigError
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.kernels.item_weights.closed_form import BYTES_A_CELL, closed_form
from mfspark.models.base import FitContext
from mfspark.models.item_weights.co_occurrence import gramian
from mfspark.models.item_weights.weight_model import ItemWeights, of_published_weights
from mfspark.models.published_items import PublishedItems


def fit(context: FitContext, options: EASEOptions) -> ItemWeights:
    """Invert the Gramian of the choices.

    Raises ConfigError where that takes more memory than models.ease.max_memory_gb.
    """
    grid = context.of_choices().grid
    n_items = grid.layout.n_items
    needed = BYTES_A_CELL * n_items**2 / 1e9
    if needed > options.max_memory_gb:
        raise ConfigError(
            f"model ease would take {needed:,.1f} GB in one task for its {n_items:,} items, and "
            f"models.ease.max_memory_gb is {options.max_memory_gb:g}",
            "use slim, whose weights are sparse, or raise models.ease.max_memory_gb",
        )
    gram = gramian(grid, f"{context.name}/gram")
    whole = grid.reduce(f"{context.name}/whole", _Invert(grid.layout, options.l2), gram)
    weights, _ = grid.sweep("item", context.name, _Cut(whole))
    grid.store.discard({*gram.references, *whole.references})
    return ItemWeights(weights, context.choices_from)


def of_published(
    items: PublishedItems, _options: EASEOptions, store: BlockStore
) -> tuple[ItemWeights, Array]:
    """Return the model of published weights; see `registry.FoldIn`."""
    return of_published_weights(items, "ease", store)


@dataclass(frozen=True)
class _Invert:
    layout: GridLayout
    l2: float

    def __call__(self, blocks: Iterator[Arrays], _store: BlockStore) -> Arrays:
        gram = np.empty((self.layout.n_items, self.layout.n_items), np.float32)
        for q, arrays in enumerate(blocks):
            gram[self.layout.indices("item", q)] = arrays["gram"]
        return {"matrix": closed_form(gram, self.l2)}


@dataclass(frozen=True)
class _Cut:
    whole: Blocks

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        own = tiles.layout.indices("item", tiles.block)
        return {"matrix": self.whole.read(tiles.store)["matrix"][own]}, {}
