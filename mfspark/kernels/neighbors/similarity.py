"""The nearest neighbors of rows by any measure of similarity (see kernels.neighbors.measures).

A row is never its own neighbor. Ties go to the lower index.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array, RowArrays
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.measures import Similarity, Totals
from mfspark.kernels.neighbors.moments import Rows, moments, moments_of_pairs


@dataclass(frozen=True)
class Neighbors(RowArrays):
    """The nearest neighbors of each row, best first.

    indices int32, similarity float64 and n_common int32, all (rows, k); shorter lists end with
    NOBODY, -inf and 0.
    """

    indices: Array
    similarity: Array
    n_common: Array


def similarities(rows: Rows, others: Rows, similarity: Similarity) -> Array:
    """Return how alike each row and each of the others are, dense float64 (rows, others).

    -inf where two are no neighbors. The plain way, exact and for few rows.
    """
    found = moments(rows, others, similarity.powers)
    return similarity.of(found, Totals.across(rows), Totals.of(others))


def similarities_of_pairs(
    rows: Rows, row: Array, others: Rows, other: Array, similarity: Similarity
) -> Array:
    """Return how alike row[0] and other[0] are, and so on, float64 (n); `row` ascends.

    Bits are as above.
    """
    found = moments_of_pairs(rows, row, others, other, similarity.powers)
    return similarity.of(found, Totals.of(rows).take(row), Totals.of(others).take(other))


def with_common(lists: RankedLists, rows: Rows, others: Iterable[Rows]) -> Neighbors:
    """Count the columns that each row shares with its neighbors.

    others: the rows of all blocks, among them all neighbors.
    """
    n_common = np.zeros(lists.indices.shape, np.int32)
    for block in others:
        row, rank = np.nonzero(np.isin(lists.indices, block.indices))
        other = np.searchsorted(block.indices, lists.indices[row, rank])
        # Near ones tend to have more ratings than most rows: those are the ones to lay out dense.
        order = np.argsort(other, kind="stable")
        row, rank, other = row[order], rank[order], other[order]
        n_common[row, rank] = moments_of_pairs(block, other, rows, row, [(0, 0)])[0, 0]
    return Neighbors(lists.indices, lists.scores, n_common)
