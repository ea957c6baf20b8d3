"""What the passes of a grid call: one type for each; the passes are those of grid.grid.

A kernel gets arrays and gives new ones; it changes nothing that it was given. Those of sweeps and
strata also return numbers, which are summed up for the trainer. A number that later blocks read,
such as the noise that a prior was drawn with, is an array like any other, of dimension 0.
"""

from collections.abc import Callable, Iterator

from mfspark.grid.block_store import BlockStore
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Arrays, Numbers, Tile

SweepKernel = Callable[[Arrays, RowTiles], tuple[Arrays, Numbers]]
"""Computes a new row block from the old one (may be empty) and its tiles."""
ReduceKernel = Callable[[Iterator[Arrays], BlockStore], Arrays]
"""Makes one block of what all blocks of a side hold, which come in order, streamed."""
StratumKernel = Callable[[Arrays, Arrays, Tile, tuple[int, int]], tuple[Arrays, Arrays, Numbers]]
"""Computes a new user block p and a new item block q from the old ones and their tile (p, q)."""
PairKernel = Callable[[Arrays, Strips], Arrays]
"""Computes a new row block from the old one and all strips of its side, its own among them."""
SymmetricPairKernel = Callable[[Arrays, Iterator[Arrays]], Iterator[Arrays]]
"""Compares one block with some others of its side, for all of them: yields what is left for each of
the others, in their order, and then the new own block."""
