"""Moments of two rows: sums over the columns that both have ratings in.

    m[p, q] = sum_i x_ui^p x_vi^q        i: the columns where u and v both have a rating

m[0, 0] counts them, m[1, 1] is the dot product, m[2, 0] the squares of u over what both rated.
Every similarity is a formula over a few moments (kernels.neighbors.measures). The moments of all
pairs of two blocks are matrix products, which kernels.neighbors.packed has a fast way for; here is
the plain one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Array, Arrays, Tile
from mfspark.kernels.neighbors.shared_columns import SUMS, sum_shared

Power = tuple[int, int]
Moments = dict[Power, Array]
"""By their powers (p, q); all of one shape: a number a pair."""


@dataclass(frozen=True)
class Rows:
    """Rows that are compared.

    indices int64 (rows): what the rows are called. values float64 (rows, columns), sparse: what a
    measure multiplies; what is stored is rated, also where it is 0. squares float64 (rows): |x|^2.
    """

    indices: Array
    values: csr_array
    squares: Array

    @classmethod
    def of(cls, indices: Array, tile: Tile, values: Array | None = None) -> Rows:
        """Take the ratings of a tile, or other values float64 (n) in their places."""
        x = tile.values.astype(np.float64) if values is None else values
        squares = np.bincount(tile.rows, weights=x**2, minlength=tile.n_rows)
        matrix = csr_array((x, tile.indices, tile.indptr), shape=(tile.n_rows, tile.n_columns))
        return cls(indices, matrix, squares)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Rows:
        """Read back what `arrays` gave."""
        parts = arrays["values"].astype(np.float64), arrays["columns"], arrays["indptr"]
        shape = len(arrays["row_indices"]), int(arrays["n_columns"][0])
        return cls(arrays["row_indices"], csr_array(parts, shape=shape), arrays["squares"])

    def arrays(self) -> Arrays:
        """Return the rows as named arrays; values as float32 where that says the same."""
        X = self.values
        short = X.data.astype(np.float32)
        return {
            "row_indices": self.indices,
            "values": short if (short == X.data).all() else X.data,
            "columns": X.indices,
            "indptr": X.indptr,
            "n_columns": np.asarray([X.shape[1]]),
            "squares": self.squares,
        }

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def n(self) -> Array:
        """Ratings of each row, int (rows)."""
        return np.diff(self.values.indptr)

    def take(self, rows: Array | slice) -> Rows:
        """Return some of the rows."""
        return Rows(self.indices[rows], csr_array(self.values[rows]), self.squares[rows])

    def with_columns(self, order: Array) -> Rows:
        """Return the rows with their columns in another order: first order[0], then order[1] ..."""
        X = self.values
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        moved = csr_array((X.data.copy(), place[X.indices], X.indptr), shape=X.shape)
        moved.sort_indices()  # in place
        return Rows(self.indices, moved, self.squares)

    def power(self, p: int) -> csr_array:
        """Return x^p of what is rated, sparse."""
        X = self.values
        return csr_array((_power(X.data, p), X.indices, X.indptr), shape=X.shape)


def moments(rows: Rows, others: Rows, powers: Iterable[Power]) -> Moments:
    """Return moments of each row with each of the others, dense float64 (rows, others).

    Columns are summed in ascending order, so that numbers have the same bits in whatever blocks
    rows come.
    """
    return {(p, q): (rows.power(p) @ others.power(q).T).toarray() for p, q in powers}


def moments_of_pairs(
    rows: Rows, row: Array, others: Rows, other: Array, powers: Iterable[Power]
) -> Moments:
    """Return moments of row[0] with other[0], row[1] with other[1] and so on, float64 (n).

    `row` ascends. Bits are as above.
    """
    X, Y = rows.values, others.values
    sums = np.empty((len(row), len(SUMS)))
    rated, values = np.zeros((2, X.shape[1]))
    parts = [(M.indptr, M.indices, M.data) for M in (X, Y)]
    sum_shared(*parts[0], *parts[1], row, other, rated, values, sums)
    return {power: sums[:, SUMS.index(power)] for power in powers}


def _power(x: Array, p: int) -> Array:
    return np.ones(len(x)) if p == 0 else x if p == 1 else x**p
