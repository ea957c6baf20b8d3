"""Predictions from the ratings of nearest neighbors.

    mean      r(u, i) = sum_v r_vi / |N|             over the neighbors v in N that rated i
    weighted  r(u, i) = sum_v s_uv r_vi / sum_v s_uv  over those with s_uv > 0

An item that none of the neighbors rated has no prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.tile import stack_rows
from mfspark.kernels.top_n import NOBODY, RankedLists

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mfspark.kernels.similarity import Neighbors
    from mfspark.kernels.tile import Array, Tile

Aggregation = Literal["mean", "weighted"]


def ratings_of_neighbors(
    neighbors: Neighbors, strips: Iterable[tuple[Array, Tile]]
) -> tuple[Array, Tile]:
    """Gather the ratings of everybody who is a neighbor of somebody in this block.

    strips: (global indices, strip) of every block. Returns the neighbors' global indices,
    ascending, and their ratings in that order: sums over neighbors then run in the same order
    however users were cut into blocks.
    """
    wanted = np.unique(neighbors.indices[neighbors.indices != NOBODY])
    found: list[Array] = []
    parts: list[Tile] = []
    for indices, strip in strips:
        rows = np.flatnonzero(np.isin(indices, wanted))
        found.append(indices[rows])
        parts.append(strip.take(rows))
    order = np.argsort(np.concatenate(found), kind="stable")
    return np.concatenate(found)[order], stack_rows(parts).take(order)


def predictions(
    neighbors: Neighbors, rows: Array, known: tuple[Array, Tile], aggregation: Aggregation
) -> csr_array:
    """Return the predictions of some rows for all items that their neighbors rated.

    rows: which rows of the block; known: as `ratings_of_neighbors` gave it. Returns a sparse
    float64 (len(rows), n_items); predictions of zero are stored explicitly.
    """
    indices, ratings = known
    listed = neighbors.indices[rows]
    similarity = neighbors.similarity[rows]
    taken = listed != NOBODY
    if aggregation == "weighted":
        taken &= similarity > 0
    row, rank = np.nonzero(taken)
    position = np.searchsorted(indices, listed[row, rank])
    weight = np.ones(len(row)) if aggregation == "mean" else similarity[row, rank]
    order = np.lexsort((position, row))
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=len(rows)), out=indptr[1:])
    # One complex product gives both sums: the real part sum w r, the imaginary part sum w.
    W = csr_array(
        (weight[order].astype(np.complex128), position[order], indptr),
        shape=(len(rows), len(indices)),
    )
    R = csr_array(
        (ratings.values.astype(np.float64) + 1j, ratings.indices, ratings.indptr),
        shape=(ratings.n_rows, ratings.n_columns),
    )
    sums = csr_array(W @ R)
    sums.sort_indices()
    mean = np.real(sums.data) / np.imag(sums.data)
    return csr_array((mean, sums.indices, sums.indptr), shape=sums.shape)


def predict_pairs(predicted: csr_array, pairs: Tile) -> Array:
    """Look up the prediction of each pair of a tile, float64 (n); NaN where there is none."""
    width = np.int64(predicted.shape[1])
    rows = np.repeat(np.arange(predicted.shape[0]), np.diff(predicted.indptr))
    have = rows * width + predicted.indices
    want = pairs.rows * width + pairs.indices
    if not len(have):
        return np.full(len(want), np.nan)
    position = np.minimum(np.searchsorted(have, want), len(have) - 1)
    return np.where(have[position] == want, predicted.data[position], np.nan)


def best_items(
    predicted: csr_array, seen: Tile, n: int, eligible: Array | None = None
) -> RankedLists:
    """Return the n best predicted items that a row has not rated; eligible bool (n_items)."""
    width = np.int64(predicted.shape[1])
    rows = np.repeat(np.arange(predicted.shape[0]), np.diff(predicted.indptr))
    unseen = ~np.isin(rows * width + predicted.indices, seen.rows * width + seen.indices)
    if eligible is not None:
        unseen &= eligible[predicted.indices]
    rows, items, scores = rows[unseen], predicted.indices[unseen], predicted.data[unseen]
    order = np.lexsort((items, -scores, rows))
    rows, items, scores = rows[order], items[order], scores[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    taken = rank < n
    lists = RankedLists.empty(predicted.shape[0], n)
    lists.indices[rows[taken], rank[taken]] = items[taken]
    lists.scores[rows[taken], rank[taken]] = scores[taken]
    return lists
