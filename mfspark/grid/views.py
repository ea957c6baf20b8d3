"""What a task of a pass sees of the ratings: the tiles of one block, or the strips of all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout, TileSet
from mfspark.kernels.arrays.tile import Array, Arrays, Tile, by_global_column
from mfspark.schemas import Side, other


@dataclass(frozen=True)
class RowTiles:
    """What a sweep kernel sees: the tiles of one row block beside the matching column blocks."""

    side: Side
    block: int
    tiles: TileSet
    store: BlockStore
    columns: Blocks | None = None

    @property
    def layout(self) -> GridLayout:
        """The layout of the tiles."""
        return self.tiles.layout

    @property
    def degrees(self) -> Array:
        """Ratings of each row over all tiles, int64 (n_rows)."""
        n_blocks = self.layout.blocks(other(self.side))
        return np.sum([self.tile(q).degrees for q in range(n_blocks)], axis=0)

    def __iter__(self) -> Iterator[tuple[Tile, Arrays]]:
        """Yield (tile, arrays of its column block) in the order of the column blocks; streamed."""
        for q in range(self.layout.blocks(other(self.side))):
            yield self.tile(q), self.column(q)

    def tile(self, q: int) -> Tile:
        """Return the tile of column block q."""
        return self.tiles.tile(self.store, self.side, self.block, q)

    def column(self, q: int) -> Arrays:
        """Return the arrays of column block q; empty where the sweep has no columns."""
        return self.columns.read(self.store, q) if self.columns else {}

    def read(self, blocks: Blocks) -> Arrays:
        """Return what other blocks of this side hold for the same rows."""
        return blocks.read(self.store, self.block)

    def strip(self) -> Tile:
        """Return all tiles side by side, columns by their global index."""
        n_blocks = self.layout.blocks(other(self.side))
        return by_global_column(
            [self.tile(q) for q in range(n_blocks)], self.layout.n(other(self.side))
        )

    def of_ratings(self, numbers_of: Callable[[Tile, Arrays], Array]) -> Array:
        """Return what a function gives for the ratings of each tile, in the order of the strip.

        It gets a tile and its column block and gives one number a rating; float64 (n).
        """
        strip = self.strip()
        numbers = np.empty(strip.n_ratings, np.float64)
        n_blocks = self.layout.blocks(other(self.side))
        for q, (tile, columns) in enumerate(self):
            # Both the strip and its tiles are ordered by row and column.
            numbers[strip.indices % n_blocks == q] = numbers_of(tile, columns)
        return numbers


@dataclass(frozen=True)
class Strips:
    """What an all-pairs kernel sees: its own strip, and all strips in order."""

    side: Side
    block: int
    tiles: TileSet
    store: BlockStore

    def own(self) -> Tile:
        """Return the strip of this block; columns by their global index."""
        return self.tiles_of(self.block).strip()

    def tiles_of(self, block: int) -> RowTiles:
        """Return the tiles of any block, one by one."""
        return RowTiles(self.side, block, self.tiles, self.store)

    def __iter__(self) -> Iterator[tuple[Array, Tile]]:
        """Yield (global indices, strip) of all blocks; streamed, one in memory at a time."""
        for block in range(self.tiles.layout.blocks(self.side)):
            yield self.tiles.layout.indices(self.side, block), self.tiles_of(block).strip()
