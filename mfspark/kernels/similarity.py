"""The nearest neighbors of rows by any measure of similarity (see kernels.measures).

A row is never its own neighbor. Ties go to the lower index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.kernels.measures import Totals
from mfspark.kernels.moments import moments
from mfspark.kernels.top_n import NOBODY, RankedLists, top_columns

if TYPE_CHECKING:
    from mfspark.kernels.measures import Similarity
    from mfspark.kernels.moments import Rows
    from mfspark.kernels.tile import Array, Arrays

Others = Iterable[tuple["Array", "Rows"]]
_CHUNK_CELLS = 1 << 21  # similarities held at once: 16 MiB of float64 for each moment


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbors of each row, best first.

    indices int32, similarity float64 and n_common int32, all (rows, k); shorter lists end with
    NOBODY, -inf and 0.
    """

    indices: Array
    similarity: Array
    n_common: Array

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Neighbors:
        """Read back what `arrays` gave."""
        return cls(arrays["indices"], arrays["similarity"], arrays["n_common"])

    def arrays(self) -> Arrays:
        """Return the neighbors as named arrays."""
        return {
            "indices": self.indices,
            "similarity": self.similarity,
            "n_common": self.n_common,
        }


def similarities(rows: Rows, others: Rows, similarity: Similarity) -> Array:
    """Return how alike each row and each of the others are, dense float64 (rows, others).

    -inf where two are no neighbors. The plain way, exact and for few rows.
    """
    found = moments(rows, others, similarity.powers)
    return similarity.of(found, Totals.across(rows), Totals.down(others))


def nearest(rows: Rows, own: Array, others: Others, k: int, similarity: Similarity) -> Neighbors:
    """Return the k nearest neighbors of each row among all others.

    own int64 (rows): global indices of the rows; others: (global indices, rows) of every block; it
    is gone through twice.
    """
    best = RankedLists.empty(len(rows), k)
    for indices, block in others:
        best = best.merged(_best_of_block(rows, own, indices, block, k, similarity))
    n_common = np.zeros((len(rows), k), np.int32)
    for indices, block in others:
        n_common += _n_common(rows, block, best.indices, indices)
    return Neighbors(best.indices, best.scores, n_common)


def _best_of_block(
    rows: Rows, own: Array, indices: Array, others: Rows, k: int, similarity: Similarity
) -> RankedLists:
    """Return the k most similar rows of one other block for each row."""
    chunk = max(1, _CHUNK_CELLS // max(1, len(others)))
    parts = [RankedLists.empty(0, k)]
    for start in range(0, len(rows), chunk):
        some = slice(start, start + chunk)
        scores = similarities(rows.take(some), others, similarity)
        scores[own[some][:, None] == indices] = -np.inf
        parts.append(top_columns(scores, k, indices))
    return RankedLists(
        np.concatenate([p.indices for p in parts]), np.concatenate([p.scores for p in parts])
    )


def _n_common(rows: Rows, others: Rows, neighbors: Array, indices: Array) -> Array:
    """Return how many columns each row shares with its listed neighbors of one block, (rows, k)."""
    row, rank = np.nonzero(np.isin(neighbors, indices) & (neighbors != NOBODY))
    result = np.zeros(neighbors.shape, np.int32)
    if len(row):
        position = np.searchsorted(indices, neighbors[row, rank])
        both = rows.take(row).power(0).multiply(others.take(position).power(0))
        result[row, rank] = both.sum(axis=1)
    return result
