"""How the ratings of neighbors become a prediction.

    q(x, c) = sum_y w_xy z_yc / (sum_y w_xy + damping)        over the neighbors y of x that have c

x and y are users and c is an item, or x and y are items and c is a user who rated y: the same sums
over the other side. z is a rating less what it is centered on, over its spread, and the prediction
is what the pair is centered on, with q on top:

    e(x, c) = level_x + level_c        z_xc = (r_xc - e(x, c)) / spread_x

    mean        centered on nothing, and all neighbors weigh alike
    weighted    centered on nothing; w = s_xy where it is above 0, as everywhere below
    centered    the row's mean                 (KNNWithMeans of Surprise)
    zscore      the row's mean and spread      (KNNWithZScore)
    baseline    mu + b_u + b_i                 (KNNBaseline; Koren 2010)

What no neighbor has, or fewer than `min_k`, has no prediction: NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mfspark.kernels.arrays.tile import Array, Tile

AggregationMethod = Literal["mean", "weighted", "centered", "zscore", "baseline"]
CENTERED: tuple[AggregationMethod, ...] = ("centered", "zscore", "baseline")
"""What is damped: elsewhere q is the rating itself, which must not be drawn to 0."""


@dataclass(frozen=True)
class Aggregation:
    """How the ratings of neighbors become one number."""

    method: AggregationMethod
    min_k: int = 1
    damping: float = 0.0
    """In similarities: so much weight speaks for what the pair is centered on."""
    summed: bool = False
    """The score is sum s_xy r_yc alone: no rating, but it ranks what many neighbors have."""

    def weights(self, similarity: Array) -> Array:
        """Return the weight of neighbors by their similarity; 0: does not count."""
        if self.method == "mean" and not self.summed:
            return (similarity > -np.inf).astype(np.float64)
        return np.maximum(similarity, 0.0)

    def of_lists(self, similarity: Array, deviations: Array) -> Array:
        """Return q of lists of neighbors that have a rating, float64 (n).

        similarity and deviations float64 (n, k): s and z of each; -inf where a list ended.
        """
        weights = self.weights(similarity)
        weighted = (weights * deviations).sum(axis=1)
        return self.quotient(weighted, weights.sum(axis=1), (weights > 0).sum(axis=1))

    def quotient(self, sums: Array, weights: Array, counts: Array | None = None) -> Array:
        """Return q of sum w z, sum w and the number of those with w > 0, all of one shape.

        NaN where none of them, or fewer than min_k, has w > 0.
        """
        some = weights > 0
        if counts is not None:
            some &= counts >= self.min_k
        if self.summed:
            return np.where(some, sums, np.nan)
        damping = self.damping if self.method in CENTERED else 0.0
        q = np.full(sums.shape, np.nan)
        return np.divide(sums, weights + damping, out=q, where=some)


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
