"""The nearest neighbors of all users or all items: what neighbor models and their tables share.

columns     sweep of the other side    how often and how every column is rated
within      sweep                      the rows as a measure compares them, nearest in their block
across      symmetric all pairs        nearest in other blocks; every two blocks meet once
together    sweep                      nearest of all, and what they have in common
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mfspark.config.models import SimilarityOptions
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.all_pairs import chunks_of, compare_all, left_for, lists_of
from mfspark.kernels.neighbors.measures import Similarity
from mfspark.kernels.neighbors.moments import Rows
from mfspark.kernels.neighbors.packed import Packing
from mfspark.kernels.neighbors.shortlist import Shortlist
from mfspark.kernels.neighbors.similarity import with_common
from mfspark.models.neighbors.comparison import RowComparison, similarity_of
from mfspark.schemas import Side


def nearest_neighbors(
    grid: Grid,
    side: Side,
    name: str,
    options: SimilarityOptions,
    biases: BySide | None = None,
) -> tuple[Blocks, RowComparison]:
    """Find the nearest neighbors of every user or item: blocks of kernels.similarity.Neighbors.

    biases: those of the baseline, for measures that need them. Also returns how rows were compared,
    so that any others can be compared alike.
    """
    k = min(options.num_neighbors, max(1, grid.layout.n(side) - 1))
    similarity = similarity_of(options)
    comparison = RowComparison.of(grid, side, f"{name}/columns", similarity, biases)
    rows, _ = grid.sweep(side, f"{name}/within", _Within(comparison, k))
    found, left = rows, ((),)
    if len(rows) > 1:
        across = _Across(similarity, k)
        found, left = grid.symmetric_all_pairs(f"{name}/across", across, rows)
    neighbors, _ = grid.sweep(side, name, _Together(rows, left), rows=found)
    grid.store.discard({*rows.references, *found.references, *(r for part in left for r in part)})
    return neighbors, comparison


@dataclass(frozen=True)
class _Within:
    """Sweep kernel: the rows of a block as they are compared, and the k nearest in the block."""

    comparison: RowComparison
    k: int

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        own, packing = self.comparison.rows(tiles)
        chunks = chunks_of(own, packing, RankedLists.empty(len(own), self.k))
        compare_all(chunks, chunks, self.comparison.similarity)
        return own.arrays() | packing.arrays() | lists_of(chunks, self.k).arrays(), {}


@dataclass(frozen=True)
class _Across:
    """Symmetric-pair kernel: adds what is near in others, and leaves them what is near here."""

    similarity: Similarity
    k: int

    def __call__(self, own: Arrays, others: Iterator[Arrays]) -> Iterator[Arrays]:
        packing = Packing.from_arrays(own)
        chunks = chunks_of(Rows.from_arrays(own), packing, RankedLists.from_arrays(own))
        for arrays in others:
            known = RankedLists.from_arrays(arrays)
            theirs = chunks_of(Rows.from_arrays(arrays), packing, known, bars_only=True)
            compare_all(chunks, theirs, self.similarity)
            yield left_for(theirs)
        yield lists_of(chunks, self.k).arrays()


@dataclass(frozen=True)
class _Together:
    """Sweep kernel: the k nearest of what was found here and what other blocks left."""

    rows: Blocks
    left: tuple[tuple[str, ...], ...]

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        shortlist = Shortlist.of(RankedLists.from_arrays(rows))
        for reference in self.left[tiles.block]:
            shortlist.offer_arrays(tiles.store.get(reference))
        every = (Rows.from_arrays(tiles.store.get(r)) for r in self.rows.references)
        own = Rows.from_arrays(tiles.store.get(self.rows.references[tiles.block]))
        return with_common(shortlist.lists(), own, every).arrays(), {}
