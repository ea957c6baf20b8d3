"""Weights between items, and what they say of a user's choices: s(u, j) = sum_i x_ui w_ij.

x_ui is 1 where user u chose item i; w_ij is how much that says for item j. A block holds the
weights of some items j, its targets, from all items i: sparse (`SparseWeights`), or as a dense
matrix. A score of 0 is one for which nothing speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Array, Arrays, NamedArrays, Tile
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, top_columns

_CELLS = 1 << 22  # scores held at once: 32 MiB
Weights = csr_array | Array
"""float64 (targets, items): w_ij in row j, column i."""


@dataclass(frozen=True)
class SparseWeights(NamedArrays):
    """The weights of the targets of a block as compressed rows; items ascend in each.

    indptr int64 (targets + 1), indices int32 (n), weights float32 (n).
    """

    indptr: Array
    indices: Array
    weights: Array

    @classmethod
    def of_rows(cls, items: Array, weights: Array) -> SparseWeights:
        """Keep what is not 0 of weights float32 (targets, k) from items int (targets, k)."""
        rows, places = np.nonzero(weights)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(weights)))])
        return cls(indptr, items[rows, places].astype(np.int32), weights[rows, places])


def weights_of(arrays: Arrays, n_items: int) -> Weights:
    """Return the weights of a block, sparse or dense as they are kept."""
    if "matrix" in arrays:
        return arrays["matrix"].astype(np.float64)
    found = SparseWeights.from_arrays(arrays)
    shape = len(found.indptr) - 1, n_items
    return csr_array((found.weights.astype(np.float64), found.indices, found.indptr), shape)


def choices_of(tile: Tile) -> csr_array:
    """Return x_ui of the choices in a tile, float64 (users, items)."""
    ones = np.ones(tile.n_ratings)
    return csr_array((ones, tile.indices, tile.indptr), (tile.n_rows, tile.n_columns))


def scores(choices: csr_array, weights: Weights) -> Array:
    """Return s(u, j), float64 (users, targets).

    Sums run over a user's choices in the order of their indices.
    """
    found = choices @ weights.T
    return found.toarray() if isinstance(found, csr_array) else np.asarray(found)


def scores_by_chunk(choices: csr_array, weights: Weights) -> Iterator[tuple[Array, Array]]:
    """Yield (users, their scores (users, targets)) a chunk at a time; -inf where nothing speaks."""
    n_users, n_targets = choices.shape[0], weights.shape[0]
    step = max(1, _CELLS // max(1, n_targets))
    for start in range(0, n_users, step):
        chunk = np.arange(start, min(start + step, n_users))
        found = scores(choices[chunk], weights)
        found[found == 0] = -np.inf
        yield chunk, found


def scores_of_pairs(choices: csr_array, weights: Weights, pairs: Tile) -> Array:
    """Return s(u, j) of the pairs of a tile (users, targets), float64 (n); NaN: nothing speaks."""
    parts = [np.empty(0)]
    for users, found in scores_by_chunk(choices, weights):
        wanted = pairs.take(users)
        parts.append(found[wanted.rows, wanted.indices])
    found = np.concatenate(parts)
    return np.where(found > -np.inf, found, np.nan)


def top_choices(
    choices: csr_array, weights: Weights, users: Array, targets: Array, n: int
) -> Array:
    """Return the n choices that speak most for each pair (users, targets), int32 (pairs, n).

    Only what speaks for it counts; NOBODY where there are fewer. Of equal weights the lower index
    comes first.
    """
    theirs = choices[users]
    pair, items = np.repeat(np.arange(len(users)), np.diff(theirs.indptr)), theirs.indices
    weight = np.asarray(weights[targets[pair], items])
    speaks = np.flatnonzero(weight > 0)
    pair, items, weight = pair[speaks], items[speaks], weight[speaks]
    order = np.lexsort((items, -weight, pair))
    pair, items = pair[order], items[order]
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    found = np.full((len(users), n), NOBODY, np.int32)
    kept = rank < n
    found[pair[kept], rank[kept]] = items[kept]
    return found


def strongest(weights: Weights, n: int) -> RankedLists:
    """Return the n items with the largest weights above 0 for each target."""
    n_targets, n_items = weights.shape
    step = max(1, _CELLS // max(1, n_items))
    lists = [RankedLists.empty(0, n)]
    for start in range(0, n_targets, step):
        rows = weights[start : start + step]
        dense = rows.toarray() if isinstance(rows, csr_array) else rows
        lists.append(top_columns(np.where(dense > 0, dense, -np.inf), n, np.arange(n_items)))
    return RankedLists.stacked(lists)
