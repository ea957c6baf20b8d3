"""Moments of two rows: sums over the columns that both have ratings in.

    m[p, q] = sum_i x_ui^p x_vi^q        i: the columns where u and v both have a rating

m[0, 0] counts them, m[1, 1] is the dot product, m[2, 0] the squares of u over what both rated.
Every similarity is a formula over a few moments (kernels.neighbors.measures). The moments of all
pairs of two blocks are matrix products, which kernels.neighbors.packed has a fast way for; here is
the plain one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Array, Arrays, Tile

_CELLS = 1 << 22  # of dense rows, where pairs are computed one by one: 32 MiB
_PAIRS = 1 << 10  # pairs of those at once
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

    `row` ascends. A few rows at a time are laid out dense, and the ratings of the others, in order,
    are multiplied with what lies there: bits are as above.
    """
    found = {power: np.zeros(len(row)) for power in powers}
    width = max(1, rows.values.shape[1])
    height = max(1, _CELLS // width)
    dense = np.zeros(height * width)
    for first, some in _groups(row, height):
        U, V = rows.take(slice(first, first + height)).values, others.take(other[some]).values
        places = _shifted(U, np.arange(U.shape[0]) * width)
        partners = _shifted(V, (row[some] - first) * width)
        for (p, q), sums in found.items():
            dense[places] = _power(U.data, p)
            shape = V.shape[0], len(dense)
            x = csr_array((_power(V.data, q), partners, V.indptr), shape=shape)
            sums[some] = np.asarray(x @ dense)
        dense[places] = 0.0
    return found


def _shifted(X: csr_array, by: Array) -> Array:
    """Return the columns of what is stored, those of each row shifted, int32."""
    return X.indices + np.repeat(by.astype(np.int32), np.diff(X.indptr))


def _power(x: Array, p: int) -> Array:
    return np.ones(len(x)) if p == 0 else x if p == 1 else x**p


def _groups(row: Array, height: int) -> Iterator[tuple[int, slice]]:
    """Yield the first of `height` rows and which pairs are theirs, not too many at once."""
    for group in np.unique(row // height):
        start, end = np.searchsorted(row, [group * height, (group + 1) * height])
        for at in range(start, end, _PAIRS):
            yield int(group) * height, slice(at, min(at + _PAIRS, end))
