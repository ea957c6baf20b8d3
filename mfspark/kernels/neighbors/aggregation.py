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

    @property
    def rule(self) -> tuple[bool, float, int]:
        """Return summed, damping and min_k: what turns sums into q."""
        return self.summed, self.damping if self.method in CENTERED else 0.0, self.min_k

    def of_lists(self, similarity: Array, deviations: Array) -> Array:
        """Return q of lists of neighbors that have a rating, float64 (n); NaN: too few count.

        similarity and deviations float64 (n, k): s and z of each; -inf where a list ended.
        """
        summed, damping, min_k = self.rule
        weights = self.weights(similarity)
        total, weight = (weights * deviations).sum(axis=1), weights.sum(axis=1)
        some = (weight > 0) & ((weights > 0).sum(axis=1) >= min_k)
        if summed:
            return np.where(some, total, np.nan)
        return np.divide(total, weight + damping, out=np.full(total.shape, np.nan), where=some)


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

    def of_rows(self, rows: Array | slice = slice(None)) -> tuple[Array, Array]:
        """Return level and spread of some rows, or of all, float64 both."""
        return self.level[rows], self.spread[rows]

    def of_columns(self, columns: Array | slice = slice(None)) -> tuple[Array, Array]:
        """Return level and spread of some columns, or of all, float64 both; spreads are 1."""
        level = self.column_level[columns]
        return level, np.ones(len(level))

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
