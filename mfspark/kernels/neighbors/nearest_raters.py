"""Predictions over the k nearest of those who rated an item, as Surprise has them.

Which k are nearest differs from pair to pair, so lists of neighbors do not do: a pair needs the
similarities of its row to all raters of its column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mfspark.kernels.arrays.tile import Array, Tile, stack_rows
from mfspark.kernels.arrays.top_n import RankedLists, best_items
from mfspark.kernels.neighbors.aggregation import Aggregation

_CELLS = 1 << 20  # similarities of pairs looked at together: a few arrays of 8 MiB


@dataclass(frozen=True)
class Raters:
    """Who rated each column, ascending, and how far their ratings deviate.

    columns: a tile (columns, rows); deviations float64 (n), in the order of its ratings.
    """

    columns: Tile
    deviations: Array

    @classmethod
    def of(cls, ratings: Tile, deviations: Array) -> Raters:
        """Turn ratings (rows, columns) and their deviations (n) around."""
        return cls(ratings.transposed(), deviations[np.argsort(ratings.indices, kind="stable")])


def ratings_in_order(strips: Iterable[tuple[Array, Tile]]) -> Tile:
    """Gather the ratings of all rows, in the order of their global indices.

    strips: global indices and ratings of the rows of every block.
    """
    found, parts = zip(*strips, strict=True)
    return stack_rows(parts).take(np.argsort(np.concatenate(found)))


def scores_from_raters(
    similarity: Array, wanted: Tile, raters: Raters, k: int, aggregation: Aggregation
) -> Array:
    """Return q of every wanted pair over the k nearest raters of its column, float64 (n).

    similarity: of the wanted rows to all rows, float64 (wanted.n_rows, rows), -inf where two are no
    neighbors. Equally near ones go to the lower index. NaN where too few count.
    """
    q = np.full(wanted.n_ratings, np.nan)
    rows, starts = wanted.rows, raters.columns.indptr[wanted.indices]
    for pairs, width in _of_like_width(raters.columns.degrees[wanted.indices]):
        place = np.minimum(starts[pairs][:, None] + np.arange(width), len(raters.deviations) - 1)
        near = similarity[rows[pairs][:, None], raters.columns.indices[place]]
        near[np.arange(width) >= raters.columns.degrees[wanted.indices[pairs]][:, None]] = -np.inf
        near = np.where(_nearest(near, k), near, -np.inf)
        q[pairs] = aggregation.of_lists(near, raters.deviations[place])
    return q


def _of_like_width(degrees: Array) -> Iterator[tuple[Array, int]]:
    """Yield (pairs, width): pairs with at most `width` raters, half of it at least.

    A pair has the same width whatever others come with it, so that its sums have the same bits.
    """
    order = np.argsort(degrees, kind="stable")
    ends = np.searchsorted(degrees[order], 1 << np.arange(33), side="right")
    begins = [np.searchsorted(degrees[order], 1), *ends[:-1]]
    for power, (start, end) in enumerate(zip(begins, ends, strict=True)):
        step = max(1, _CELLS >> power)
        for first in range(start, end, step):
            yield order[first : min(first + step, end)], 1 << power


def _nearest(near: Array, k: int) -> Array:
    """Mark the k highest of each row, bool; of equal ones the first, and never -inf."""
    known = near > -np.inf
    if near.shape[1] <= k:
        return known
    top = torch.topk(torch.from_numpy(near), k, dim=1, sorted=False).values
    last = top.amin(dim=1).numpy()[:, None]
    above, level = near > last, near == last
    missing = k - above.sum(1, keepdims=True)
    return known & (above | (level & (np.cumsum(level, axis=1) <= missing)))


def best_of_chunks(
    chunks: Iterable[tuple[Array, Array]], seen: Tile, n: int, eligible: Array | None
) -> RankedLists:
    """Return the n best items that each row of a block has not rated; see `best_items`.

    chunks: (rows, scores (rows, items)) of all rows in order.
    """
    lists = [RankedLists.empty(0, n)]
    lists += [best_items(scores, seen.take(rows), n, eligible) for rows, scores in chunks]
    return RankedLists.stacked(lists)
