"""Sparse linear methods: an elastic net for each item (kernels.item_weights.coordinate_descent)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfspark.config.models import SLIMOptions
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, stack_columns
from mfspark.kernels.item_weights.coordinate_descent import (
    Choices,
    ElasticNet,
    solve_all,
    solve_among,
)
from mfspark.models.base import FitContext
from mfspark.models.item_weights.co_occurrence import gramian
from mfspark.models.item_weights.weight_model import ItemWeights, of_published_weights
from mfspark.models.published_items import PublishedItems

ALL_ITEMS = 5_000
"""Up to so many items each is a candidate for all others, where nothing else is asked for."""


def fit(context: FitContext, options: SLIMOptions) -> ItemWeights:
    """Solve for the weights of every item, block by block."""
    grid = context.of_choices().grid
    net = ElasticNet(options.l1, options.l2, options.tol)
    n_items, k = grid.layout.n_items, options.candidates
    if k == 0:
        k = n_items if n_items <= ALL_ITEMS else 200
    if k < n_items - 1:
        weights, _ = grid.sweep("item", context.name, _SolveAmong(net, k))
        return ItemWeights(weights, context.choices_from)
    gram = gramian(grid, f"{context.name}/gram")
    weights, _ = grid.sweep("item", context.name, _SolveAll(net, gram))
    grid.store.discard(gram.references)
    return ItemWeights(weights, context.choices_from)


def of_published(
    items: PublishedItems, _options: SLIMOptions, store: BlockStore
) -> tuple[ItemWeights, Array]:
    """Return the model of published weights; see `registry.FoldIn`."""
    return of_published_weights(items, "slim", store)


@dataclass(frozen=True)
class _SolveAll:
    net: ElasticNet
    gram: Blocks

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        gram = self.gram.gathered(tiles.store, tiles.layout, "gram")
        targets = tiles.layout.indices("item", tiles.block)
        return solve_all(gram, targets, self.net).arrays(), {}


@dataclass(frozen=True)
class _SolveAmong:
    net: ElasticNet
    k: int

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        targets = tiles.layout.indices("item", tiles.block)
        return solve_among(_all_choices(tiles), targets, self.k, self.net).arrays(), {}


def _all_choices(tiles: RowTiles) -> Choices:
    """Return the choices of all users, 8 bytes each; reads all tiles."""
    layout = tiles.layout
    users = [RowTiles("user", b, tiles.tiles, tiles.store) for b in range(layout.user_blocks)]
    blocks = range(layout.item_blocks)
    strips = [stack_columns([each.tile(q) for q in blocks]) for each in users]
    return Choices.of(strips, np.concatenate([layout.indices("item", q) for q in blocks]))
