"""Moments of two rows: sums over the columns that both have ratings in.

    m[p, q] = sum_i x_ui^p x_vi^q        i: the columns where u and v both have a rating

m[0, 0] counts them, m[1, 1] is the dot product, m[2, 0] the squares of u over what both rated.
Every similarity is a formula over a few moments (kernels.measures), and every moment of all pairs
of two blocks is one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from mfspark.kernels.tile import Array, Tile

Power = tuple[int, int]
Moments = dict[Power, "Array"]
"""By their powers (p, q); float64, all of one shape: a number a pair."""


@dataclass(frozen=True)
class Rows:
    """Rows that are compared.

    values float64 (rows, columns), sparse: what a measure multiplies; what is stored is rated, also
    where it is 0. n int64 (rows): ratings; squares float64 (rows): |x|^2 over all of them.
    """

    values: csr_array
    n: Array
    squares: Array

    @classmethod
    def of(cls, tile: Tile, values: Array | None = None) -> Rows:
        """Take the ratings of a tile, or other values float64 (n) in their places."""
        x = tile.values.astype(np.float64) if values is None else values
        squares = np.bincount(tile.rows, weights=x**2, minlength=tile.n_rows)
        matrix = csr_array((x, tile.indices, tile.indptr), shape=(tile.n_rows, tile.n_columns))
        return cls(matrix, tile.degrees, squares)

    def __len__(self) -> int:
        return len(self.n)

    def take(self, rows: Array | slice) -> Rows:
        """Return some of the rows."""
        return Rows(csr_array(self.values[rows]), self.n[rows], self.squares[rows])

    def power(self, p: int) -> csr_array:
        """Return x^p of what is rated, sparse."""
        X = self.values
        return X if p == 1 else csr_array((X.data**p, X.indices, X.indptr), shape=X.shape)


def moments(rows: Rows, others: Rows, powers: tuple[Power, ...]) -> Moments:
    """Return moments of each row with each of the others, dense (rows, others).

    The plain way: float64, and columns are summed in ascending order, so that numbers have the same
    bits in whatever blocks rows come.
    """
    return {(p, q): (rows.power(p) @ others.power(q).T).toarray() for p, q in powers}
