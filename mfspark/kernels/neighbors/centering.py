"""What ratings are centered on before neighbors are averaged, and how far from it they are.

    e(x, c) = level_x + level_c        z_xc = (r_xc - e(x, c)) / spread_x

x: a row of the side that is compared (a user where users are neighbors, else an item); c: a column.
Deviations z of neighbors are averaged, and the average is put on top of the pair's own e(x, c).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array, Tile


@dataclass(frozen=True)
class Centering:
    """Levels and spreads: level and spread float64 (rows), column_level float64 (columns)."""

    level: Array
    spread: Array
    column_level: Array

    @classmethod
    def none(cls, n_rows: int, n_columns: int) -> Centering:
        """Center on nothing: z is the rating itself."""
        return cls(np.zeros(n_rows), np.ones(n_rows), np.zeros(n_columns))

    def deviations(self, ratings: Array, rows: Array, columns: Array) -> Array:
        """Return z of ratings (n) of rows (n) for columns (n), float64."""
        centers = self.level[rows] + self.column_level[columns]
        return (ratings.astype(np.float64) - centers) / self.spread[rows]

    def ratings(self, deviations: Array, rows: Array, columns: Array) -> Array:
        """Return the ratings that deviations stand for; rows and columns broadcast with them."""
        return self.level[rows] + self.column_level[columns] + self.spread[rows] * deviations


def means_and_spreads(tile: Tile, overall: float) -> tuple[Array, Array]:
    """Return mean and standard deviation of each row's ratings, float64 (n_rows) both.

    Ratings that are all alike have no spread of their own: `overall` takes its place. A row
    without ratings has mean 0.
    """
    n = np.maximum(tile.degrees, 1)
    values = tile.values.astype(np.float64)
    mean = np.bincount(tile.rows, weights=values, minlength=tile.n_rows) / n
    squares = (values - mean[tile.rows]) ** 2
    spread = np.sqrt(np.bincount(tile.rows, weights=squares, minlength=tile.n_rows) / n)
    # A mean of equal ratings may be off by its last bit, and so leave a spread that is none.
    return mean, np.where(spread > 1e-9 * np.abs(mean), spread, overall)
