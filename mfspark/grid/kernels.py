"""What the passes of a grid call: one protocol for each; the passes are those of grid.grid.

A kernel gets arrays and gives new ones; it changes nothing that it was given. Those of sweeps and
strata also return numbers, which are summed up for the trainer. A number that later blocks read,
such as the noise that a prior was drawn with, is an array like any other, of dimension 0.
"""

from collections.abc import Iterator
from typing import Protocol

from mfspark.grid.block_store import BlockStore
from mfspark.grid.runners import Numbers
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Arrays, Tile


class SweepKernel(Protocol):
    """Computes a new row block from the old one (may be empty) and its tiles."""

    def __call__(self, rows: Arrays, tiles: RowTiles, /) -> tuple[Arrays, Numbers]:
        """Return the arrays of the new row block, and numbers for the trainer."""
        ...


class ReduceKernel(Protocol):
    """Makes one block of what all blocks of a side hold, e.g. their sum."""

    def __call__(self, blocks: Iterator[Arrays], store: BlockStore, /) -> Arrays:
        """Return the arrays of the one block; `blocks` come in order, streamed."""
        ...


class StratumKernel(Protocol):
    """Updates a user block and an item block from the ratings where they meet."""

    def __call__(
        self, users: Arrays, items: Arrays, tile: Tile, pair: tuple[int, int], /
    ) -> tuple[Arrays, Arrays, Numbers]:
        """Return the new user block, the new item block, and numbers for the trainer."""
        ...


class PairKernel(Protocol):
    """Compares the strip of one row block with all strips of the same side."""

    def __call__(self, rows: Arrays, strips: Strips, /) -> Arrays:
        """Return the arrays of the new row block."""
        ...


class SymmetricPairKernel(Protocol):
    """Compares one block with some others of its side, for all of them."""

    def __call__(self, own: Arrays, others: Iterator[Arrays], /) -> Iterator[Arrays]:
        """Yield what is left for each of the others, in their order, and then the new own block."""
        ...
