"""Tonight's neighbors from those of the last run: only lists that may differ are found again.

A list of a row that has the ratings it had is still right but for rows that changed. Those are
taken out of it and compared with it again:

    last run     5 nearest of u:  a .9   b .8   c .7   d .6   e .5      b has changed since
    kept                          a .9   c .7   d .6   e .5
    again        b .65, and every other row that changed
    tonight                       a .9   c .7   b .65  d .6   e .5

Nobody who did not change and was not listed can be nearer than e was. So where the last of the new
list is at least as near as the last of the old one, the list is right; where b fell to .4 somebody
unlisted may come before it, and the list is found afresh, as that of every row that changed.

This holds for measures that look at two rows alone, and to the last bit where their sums are exact:
of ratings on a grid (kernels.neighbors.packed). Others are found in full every night.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.neighbors.all_pairs import chunks_of, compare_one_way, lists_of
from mfspark.kernels.neighbors.moments import Rows
from mfspark.kernels.neighbors.packed import Packing
from mfspark.kernels.neighbors.similarity import with_common

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mfspark.grid.block_store import Store
    from mfspark.grid.grid import Blocks, Grid, RowTiles
    from mfspark.grid.runners import Numbers
    from mfspark.kernels.arrays.tile import Array, Arrays
    from mfspark.kernels.neighbors.measures import Similarity
    from mfspark.models.neighbors.search import Comparison

_OF_TWO_ROWS = frozenset({"cosine", "cosine_corated", "msd", "pearson", "jaccard"})


def can_be_kept(comparison: Comparison) -> bool:
    """Whether the similarity of two rows is the same, to the last bit, while they are."""
    options = comparison.options
    of_two_rows = options.similarity in _OF_TWO_ROWS and options.weighting == "none"
    return of_two_rows and not all(comparison.off)


def update_neighbors(
    grid: Grid, name: str, comparison: Comparison, earlier: Blocks, k: int
) -> tuple[Blocks, int]:
    """Return neighbors as kernels.similarity.Neighbors, and how many lists were found afresh.

    Blocks of `earlier`: lists (rows, k'), best first: indices int32, NOBODY where a list ended or a
    neighbor is gone; similarity float64; length int32 (rows), the entries there were; and changed
    bool (rows): other ratings than then, or none then.
    """
    side = earlier.side
    rows, _ = grid.sweep(side, f"{name}/rows", _AsCompared(comparison))
    kernel = _Update(comparison.similarity, rows, earlier, k)
    neighbors, numbers = grid.sweep(side, name, kernel, rows=earlier)
    grid.store.discard(rows.references)
    return neighbors, int(numbers["n_fresh"])


@dataclass(frozen=True)
class _AsCompared:
    """Sweep kernel: the rows of a block as they are compared."""

    comparison: Comparison

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        own, packing = self.comparison.rows(tiles)
        return own.arrays() | packing.arrays(), {}


@dataclass(frozen=True)
class _Update:
    """Sweep kernel: a block's lists from the earlier ones."""

    similarity: Similarity
    rows: Blocks
    earlier: Blocks
    k: int

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        arrays = tiles.store.get(self.rows.references[tiles.block])
        own, packing = Rows.from_arrays(arrays), Packing.from_arrays(arrays)
        changed = self.earlier.gathered(tiles.store, tiles.layout, "changed")
        before = RankedLists(rows["indices"], rows["similarity"])
        of_changed = (r.take(np.flatnonzero(changed[r.indices])) for r in self._every(tiles.store))
        lists = self._nearest(own, packing, _kept(before, changed, self.k), of_changed)
        fresh = np.flatnonzero(rows["changed"] | ~_sure(lists, before, rows["length"]))
        nobody = RankedLists.empty(len(fresh), self.k)
        found = self._nearest(own.take(fresh), packing, nobody, self._every(tiles.store))
        lists.indices[fresh], lists.scores[fresh] = found.indices, found.scores
        neighbors = with_common(lists, own, self._every(tiles.store))
        return neighbors.arrays(), {"n_fresh": float(len(fresh))}

    def _every(self, store: Store) -> Iterator[Rows]:
        """Yield the rows of all blocks; streamed."""
        return (Rows.from_arrays(store.get(reference)) for reference in self.rows.references)

    def _nearest(
        self, rows: Rows, packing: Packing, known: RankedLists, others: Iterable[Rows]
    ) -> RankedLists:
        """Return the k nearest of each row among what is known and the rows of other blocks."""
        chunks = chunks_of(rows, packing, known)
        for block in others:
            nothing = RankedLists.empty(len(block), self.k)
            for other in chunks_of(block, packing, nothing, bars_only=True):
                for chunk in chunks:
                    compare_one_way(chunk, other, self.similarity)
        return lists_of(chunks, self.k)


def _kept(before: RankedLists, changed: Array, k: int) -> RankedLists:
    """Return the first k of each list that are there and did not change, in their order."""
    gone = (before.indices == NOBODY) | changed[before.indices]
    order = np.argsort(gone, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(gone, order, axis=1)
    kept = RankedLists.empty(len(before.indices), k)
    width = order.shape[1]
    indices = np.take_along_axis(before.indices, order, axis=1)
    scores = np.take_along_axis(before.scores, order, axis=1)
    kept.indices[:, :width] = np.where(gone, NOBODY, indices)
    kept.scores[:, :width] = np.where(gone, -np.inf, scores)
    return kept


def _sure(lists: RankedLists, before: RankedLists, length: Array) -> Array:
    """Mark the lists that nobody can come into who was compared neither then nor now, bool (rows).

    A list that was shorter than k held everybody there was.
    """
    k, rows = lists.indices.shape[1], np.arange(len(length))
    last = np.maximum(length, 1) - 1
    index, score = before.indices[rows, last], before.scores[rows, last]
    now_index, now_score = lists.indices[:, -1], lists.scores[:, -1]
    # An index that is gone is -1, below all others: an equal score is then taken to come after it.
    nearer = (now_score > score) | ((now_score == score) & (now_index <= index))
    return (length < k) | nearer
