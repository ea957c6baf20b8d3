"""What measures of similarity multiply in place of the ratings themselves.

    baseline_residuals   x_ui = r_ui - mu - b_u - b_i
    column_centered      x_ui = r_ui - mean of column i  (Sarwar et al. 2001: of items, the user's)
    tfidf                x_ui = sqrt(r_ui) idf_i           idf_i = log(U / (1 + n_i))
    bm25                 x_ui = idf_i (K + 1) r_ui / (K (1 - B + B l_u) + r_ui)

U rows; n_i ratings of column i; l_u: sum_i r_ui over the mean of that (Robertson & Zaragoza 2009).
Ratings below 0 weigh nothing in tfidf and bm25, and neither does a column that all rows have a
rating in: idf is never below 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array, Tile

_K, _B = 100.0, 0.8  # of bm25; those of implicit


@dataclass(frozen=True)
class RatingStatistics:
    """What is known of all columns, and of the rows of a tile.

    n and mean float64 (columns). n_rows and mean_sum: rows there are, and the mean of sum_i r_ui
    over them; overall_mean: mu. column_bias float64 (columns) and row_bias float64 (rows): those of
    the baseline, where a measure needs them.
    """

    n: Array
    mean: Array
    n_rows: int
    mean_sum: float
    overall_mean: float
    column_bias: Array | None = None
    row_bias: Array | None = None


Values = Callable[[Tile, RatingStatistics], Array]
"""Gives what is multiplied for each rating of a tile, float64 (n)."""


def baseline_residuals(tile: Tile, known: RatingStatistics) -> Array:
    """Return what the baseline leaves over."""
    assert known.column_bias is not None
    assert known.row_bias is not None
    biases = known.column_bias[tile.indices] + known.row_bias[tile.rows]
    return tile.values.astype(np.float64) - (known.overall_mean + biases)


def column_centered(tile: Tile, known: RatingStatistics) -> Array:
    """Return what the mean of the column leaves over."""
    return tile.values.astype(np.float64) - known.mean[tile.indices]


def _tfidf(tile: Tile, known: RatingStatistics) -> Array:
    return np.sqrt(_positive(tile)) * _idf(tile, known)


def _bm25(tile: Tile, known: RatingStatistics) -> Array:
    r = _positive(tile)
    length = np.bincount(tile.rows, weights=r, minlength=tile.n_rows) / (known.mean_sum or 1.0)
    return _idf(tile, known) * (_K + 1) * r / (_K * (1 - _B + _B * length[tile.rows]) + r)


def _positive(tile: Tile) -> Array:
    return np.maximum(tile.values.astype(np.float64), 0.0)


def _idf(tile: Tile, known: RatingStatistics) -> Array:
    return np.maximum(np.log(known.n_rows / (1.0 + known.n)), 0.0)[tile.indices]


WEIGHTINGS: dict[str, Values | None] = {"none": None, "tfidf": _tfidf, "bm25": _bm25}
"""By the name of the option `weighting`; None: the ratings as they are."""
