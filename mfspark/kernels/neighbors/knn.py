"""Predictions, lists and reasons from lists of nearest neighbors, for all users of a block.

    sum_y w_xy z_yc and sum_y w_xy        W: neighbors' weights (x, y), Z: their deviations (y, c)

Where rows are users that is W Z: a user's neighbors, and the ratings of each. Where rows are items,
scores are wanted by user too: Z' W', a user's own ratings, and those each item is a neighbor of.
The sums are compiled: kernels.neighbors.accumulators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.neighbors.aggregation import Aggregation, Centering
from mfspark.kernels.neighbors.similarity import Neighbors

TileRows = Iterable[tuple[Array, Sequence[Tile]]]
"""Global indices of the rows of every block, and the tiles of all its column blocks."""


@dataclass(frozen=True)
class SparseRows:
    """Sparse rows, wherever they lie: those of row x from starts[x] to ends[x].

    starts and ends int64 (rows); columns int32 (n) and values float64 (n).
    """

    starts: Array
    ends: Array
    columns: Array
    values: Array

    @classmethod
    def of(cls, tile: Tile, values: Array) -> SparseRows:
        """Take other values, float64 (n), in the places of a tile's ratings."""
        return cls(tile.indptr[:-1], tile.indptr[1:], tile.indices, values)

    @classmethod
    def of_matrix(cls, matrix: csr_array) -> SparseRows:
        """Take a sparse matrix."""
        indptr = matrix.indptr.astype(np.int64)
        return cls(indptr[:-1], indptr[1:], matrix.indices.astype(np.int32), matrix.data)

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """As compiled loops take them."""
        return self.starts, self.ends, self.columns, self.values


def deviations_of_rows(
    blocks: TileRows, wanted: Array, centering: Centering, least: float | None, room: int
) -> SparseRows:
    """Gather how far the ratings of wanted rows deviate; others have none.

    wanted bool (all rows); least: ratings below are left out; None: none are; room: how many
    ratings there are, so that no array need grow. Memory: 12 bytes a rating, and the tiles of one
    block.
    """
    from mfspark.kernels.neighbors.accumulators import place_ratings

    starts, ends = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64)
    columns, values, filled = np.empty(room, np.int32), np.empty(room), 0
    centers = centering.level, centering.spread, centering.column_level
    low = np.float32(-np.inf if least is None else least)  # as precise as ratings are
    for rows, tiles in blocks:
        degrees = np.sum([tile.degrees for tile in tiles], axis=0) * wanted[rows]
        starts[rows] = ends[rows] = filled + np.cumsum(degrees) - degrees
        filled += degrees.sum()
        if filled > len(columns):
            columns.resize(filled, refcheck=False)
            values.resize(filled, refcheck=False)
        for q, tile in enumerate(tiles):
            ratings, out = (tile.indptr, tile.indices, tile.values), (ends, columns, values)
            place_ratings(ratings, q, len(tiles), rows, wanted, low, centers, out)
    return SparseRows(starts, ends, columns, values)


def weights_of_neighbors(neighbors: Neighbors, n: int, aggregation: Aggregation) -> csr_array:
    """Return the weights of rows' neighbors among n rows, sparse float64 (rows, n).

    They ascend by index, so that sums run in the order that products of sparse matrices have.
    """
    weight = aggregation.weights(neighbors.similarity)
    counted = (neighbors.indices != NOBODY) & (weight > 0)
    indptr = np.concatenate([[0], np.cumsum(counted.sum(axis=1))])
    arrays = weight[counted], neighbors.indices[counted], indptr
    weights = csr_array(arrays, shape=(len(weight), n))
    weights.sort_indices()  # in place
    return weights


@dataclass(frozen=True)
class NeighborSums:
    """What gives the scores of all cells of a block of users.

    left rows are the users, columns of right rows the items: one has weights, one deviations. The
    score of a cell is level_u + level_i + spread_u spread_i q.
    """

    left: SparseRows
    right: SparseRows
    weights_left: bool
    aggregation: Aggregation
    levels: tuple[Array, Array, Array, Array]
    """level and spread float64 (users), level and spread float64 (items)."""

    def of_pairs(self, pairs: Tile) -> Array:
        """Return the scores of pairs of a user and an item, float64 (n); NaN: there is none."""
        from mfspark.kernels.neighbors.accumulators import score_pairs

        found = np.empty(pairs.n_ratings)
        left, right = self.left.arrays, self.right.arrays
        rule, wanted = self.aggregation.rule, (pairs.indptr, pairs.indices)
        score_pairs(left, right, self.weights_left, rule, self.levels, wanted, found)
        return found

    def best(self, seen: Tile, n: int, eligible: Array | None) -> RankedLists:
        """Return the n best items of each user that are not seen; eligible bool (items)."""
        from mfspark.kernels.neighbors.accumulators import rank

        lists = RankedLists.empty(seen.n_rows, n)
        if eligible is None:
            eligible = np.ones(seen.n_columns, bool)
        left, right, rule = self.left.arrays, self.right.arrays, self.aggregation.rule
        out, found = (seen.indptr, seen.indices), (lists.indices, lists.scores)
        rank(left, right, self.weights_left, rule, self.levels, out, eligible, found)
        return lists


def reasons_by_neighbors(
    neighbors: Neighbors,
    ratings: SparseRows,
    n_items: int,
    lists: Array,
    most: int,
    aggregation: Aggregation,
) -> Array:
    """Return the neighbors of each user with most part in each entry of lists.

    neighbors: of the users (users, k); ratings: of all users; lists int32 (users, n). Returns int32
    (users, n, most); NOBODY: there are fewer. Those with equal parts come nearest first.
    """
    from mfspark.kernels.neighbors.accumulators import name_neighbors

    reasons = np.full((*lists.shape, most), NOBODY, np.int32)
    near = neighbors.indices, aggregation.weights(neighbors.similarity)
    name_neighbors(near, ratings.arrays, aggregation.summed, n_items, lists, reasons)
    return reasons


def reasons_by_rated(
    neighbors: Neighbors, ratings: SparseRows, lists: Array, most: int, aggregation: Aggregation
) -> Array:
    """Return the rated items with most part in each entry of lists, as above.

    neighbors: of all items (items, k); ratings: of the users.
    """
    from mfspark.kernels.neighbors.accumulators import name_rated

    reasons = np.full((*lists.shape, most), NOBODY, np.int32)
    near = neighbors.indices, aggregation.weights(neighbors.similarity)
    name_rated(near, ratings.arrays, aggregation.summed, lists, reasons)
    return reasons
