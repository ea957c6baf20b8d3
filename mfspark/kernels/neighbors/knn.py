"""Predictions from lists of nearest neighbors, for many rows at once by one sparse product.

    sum_y w_xy z_yc and sum_y w_xy        W: neighbors' weights (x, y), Z: their deviations (y, c)

Where rows are users that is W Z, a chunk of users at a time. Where rows are items, scores are
wanted by user too: Z' W', a chunk of users' own ratings times the weights of all items.
"""

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Array, Tile, stack_rows
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, top_columns
from mfspark.kernels.neighbors.aggregation import Aggregation
from mfspark.kernels.neighbors.similarity import Neighbors

RatingStrips = Iterable[tuple[Array, Tile]]
"""Global indices and ratings of the rows of every block."""


def ratings_of_neighbors(neighbors: Neighbors, strips: RatingStrips) -> tuple[Array, Tile]:
    """Gather the ratings of everybody who is a neighbor of somebody in this block."""
    return ratings_in_order(strips, np.unique(neighbors.indices[neighbors.indices != NOBODY]))


def ratings_in_order(strips: RatingStrips, wanted: Array | None = None) -> tuple[Array, Tile]:
    """Gather the ratings of all rows, or of those that are wanted.

    Returns global indices, ascending, and the ratings in that order: sums over rows then run in the
    same order however they were cut.
    """
    found: list[Array] = []
    parts: list[Tile] = []
    for indices, strip in strips:
        rows = np.arange(len(indices))
        if wanted is not None:
            rows = np.flatnonzero(np.isin(indices, wanted))
        found.append(indices[rows])
        parts.append(strip.take(rows))
    order = np.argsort(np.concatenate(found), kind="stable")
    return np.concatenate(found)[order], stack_rows(parts).take(order)


def weight_matrix(
    neighbors: Neighbors, rows: Array, columns: Array, aggregation: Aggregation
) -> csr_array:
    """Return the weights of some rows' neighbors, sparse float64 (len(rows), len(columns)).

    columns: global indices, ascending, with every neighbor among them.
    """
    listed = neighbors.indices[rows]
    weight = aggregation.weights(neighbors.similarity[rows])
    row, rank = np.nonzero((listed != NOBODY) & (weight > 0))
    position = np.searchsorted(columns, listed[row, rank])
    weights = csr_array((weight[row, rank], (row, position)), shape=(len(rows), len(columns)))
    weights.sort_indices()  # in place
    return weights


def ratings_with_weights(tile: Tile, deviations: Array) -> csr_array:
    """Return z + i for z float64 (n) in the places of a tile's ratings; see `neighbor_scores`."""
    shape = (tile.n_rows, tile.n_columns)
    return csr_array((deviations + 1j, tile.indices, tile.indptr), shape=shape)


def neighbor_scores(left: csr_array, right: csr_array, aggregation: Aggregation) -> csr_array:
    """Return q of all pairs that some neighbor has a rating for. NaN where too few count.

    left (rows, m) and right (m, columns): one from `ratings_with_weights`, one of weights.
    """
    # One complex product gives both sums: the real part sum w z, the imaginary part sum w.
    sums = csr_array(left @ right)
    counts = _count(left, right) if aggregation.min_k > 1 else None
    q = aggregation.quotient(np.real(sums.data), np.imag(sums.data), counts)
    return csr_array((q, sums.indices, sums.indptr), shape=sums.shape)


def _count(left: csr_array, right: csr_array) -> Array:
    """Return how many neighbors each sum is over, in the order of the products' entries."""
    ones = [csr_array((np.ones(len(m.data)), m.indices, m.indptr), m.shape) for m in (left, right)]
    return csr_array(ones[0] @ ones[1]).data


def ratings_at(tile: Tile, rows: Array, columns: Array) -> Array:
    """Return the ratings of cells, float64 of the shape of rows and columns; NaN: there is none."""
    width = np.int64(tile.n_columns)
    known, wanted = tile.rows * width + tile.indices, rows * width + columns
    if not len(known):
        return np.full(wanted.shape, np.nan)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, tile.values[place], np.nan)


def top_contributors(
    neighbors: Neighbors, ratings: Array, n: int, aggregation: Aggregation
) -> Array:
    """Return the n neighbors with most part in each score, int32 (pairs, n); NOBODY: there is none.

    neighbors: lists (pairs, k) of each pair's row; ratings float64 (pairs, k): what each neighbor
    has of the pair's column, NaN where nothing. Those of equal weight come nearest first.
    """
    weight = aggregation.weights(neighbors.similarity)
    share = weight * ratings if aggregation.summed else weight
    share = np.where((weight > 0) & ~np.isnan(ratings), share, -np.inf)
    order = np.argsort(-share, axis=1, kind="stable")[:, :n]
    top = np.take_along_axis(neighbors.indices, order, axis=1)
    none = np.take_along_axis(share, order, axis=1) == -np.inf
    found = np.full((len(share), n), NOBODY, np.int32)
    found[:, : order.shape[1]] = np.where(none, NOBODY, top)
    return found


def best_of_chunks(
    chunks: Iterable[tuple[Array, Array]], seen: Tile, n: int, eligible: Array | None
) -> RankedLists:
    """Return the n best items that each row of a block has not rated; see `best_items`.

    chunks: (rows, scores (rows, items)) of all rows in order.
    """
    lists = [RankedLists.empty(0, n)]
    lists += [best_items(scores, seen.take(rows), n, eligible) for rows, scores in chunks]
    return RankedLists.stacked(lists)


def best_items(
    scores: Array, seen: Tile, n: int, eligible: Array | None = None, indices: Array | None = None
) -> RankedLists:
    """Return the n best items that a row has not rated; -inf is never one.

    scores float64 (rows, items), which is written over; eligible bool (items); indices (items),
    ascending: what the items are called, if not 0, 1, ...
    """
    scores[seen.rows, seen.indices] = -np.inf
    if eligible is not None:
        scores[:, ~eligible] = -np.inf
    return top_columns(scores, n, np.arange(scores.shape[1]) if indices is None else indices)
