"""The Gramian of the choices, how many users chose both of two items, by passes over the grid."""

from __future__ import annotations

import numpy as np

from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.kernels.item_weights.gramian import add_common


def gramian(grid: Grid, name: str) -> Blocks:
    """Return blocks of items: gram float32 (rows, items), by one sweep over tiles of choices.

    A task holds its rows, 4 n_items^2 / blocks bytes, and reads all tiles once.
    """
    return grid.sweep("item", name, _rows_of_gramian)[0]


def _rows_of_gramian(_rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    layout = tiles.layout
    gram = np.empty((layout.rows("item", tiles.block), layout.n_items), np.float32)
    for q in range(layout.item_blocks):
        part = np.zeros((len(gram), layout.rows("item", q)), np.float32)
        for b in range(layout.user_blocks):
            across = RowTiles("user", b, tiles.tiles, tiles.store).tile(q)
            add_common(tiles.tile(b), across, part)
        gram[:, layout.indices("item", q)] = part
    return {"gram": gram}, {}
