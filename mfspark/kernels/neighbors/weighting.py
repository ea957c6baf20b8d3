"""What measures of similarity multiply in place of the ratings themselves.

    pearson_baseline   x_ui = r_ui - mu - b_u - b_i
    adjusted_cosine    x_ui = r_ui - mean of column i    (Sarwar et al. 2001: of items, the user's)
    tfidf              x_ui = sqrt(r_ui) idf_i             idf_i = log(U / (1 + n_i))
    bm25               x_ui = idf_i (K + 1) r_ui / (K (1 - B + B l_u) + r_ui)

U rows; n_i ratings of column i; l_u: sum_i r_ui over the mean of that (Robertson & Zaragoza 2009).
Ratings below 0 weigh nothing in tfidf and bm25, and a column that all rows have a rating in tells
nothing: idf is never below 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mfspark.config.models import SimilarityOptions
    from mfspark.kernels.arrays.tile import Array, Tile

_K, _B = 100.0, 0.8  # of bm25; those of implicit


@dataclass(frozen=True)
class Columns:
    """What is known of all columns: n, mean and, if a measure asks for it, bias float64 (columns).

    n_rows and mean_sum: rows there are, and the mean of sum_i r_ui over them; overall_mean: mu.
    """

    n: Array
    mean: Array
    bias: Array | None
    n_rows: int
    mean_sum: float
    overall_mean: float


def needs_columns(options: SimilarityOptions) -> bool:
    """Whether something of the columns must be known first."""
    return options.weighting != "none" or options.similarity in (
        "adjusted_cosine",
        "pearson_baseline",
    )


def compared(
    tile: Tile, options: SimilarityOptions, columns: Columns | None, row_bias: Array | None = None
) -> Array:
    """Return what the measure multiplies for each rating of a tile, float64 (n)."""
    r = tile.values.astype(np.float64)
    if not needs_columns(options):
        return r
    assert columns is not None
    if options.similarity == "adjusted_cosine":
        return r - columns.mean[tile.indices]
    if options.similarity == "pearson_baseline":
        assert columns.bias is not None
        assert row_bias is not None
        biases = columns.bias[tile.indices] + row_bias[tile.rows]
        return r - (columns.overall_mean + biases)
    r = np.maximum(r, 0.0)
    idf = np.maximum(np.log(columns.n_rows / (1.0 + columns.n)), 0.0)[tile.indices]
    if options.weighting == "tfidf":
        return np.sqrt(r) * idf
    length = np.bincount(tile.rows, weights=r, minlength=tile.n_rows) / (columns.mean_sum or 1.0)
    return idf * (_K + 1) * r / (_K * (1 - _B + _B * length[tile.rows]) + r)
