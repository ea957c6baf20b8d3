"""Damped biases: r(u, i) = mu + b_u + b_i (Koren 2010, "Factor in the neighbors", eq. 2)."""

import numpy as np

from mfspark.kernels.arrays.tile import Array, Tile


def damped_bias(tile: Tile, mean: float, other_bias: Array, damping: float) -> Array:
    """Return b_u = sum_i (r_ui - mu - b_i) / (damping + n_u) for each row, float64 (n_rows).

    tile: the row's ratings; other_bias float64 (n_columns).
    """
    residual = tile.values.astype(np.float64) - mean - other_bias[tile.indices]
    total = np.bincount(tile.rows, weights=residual, minlength=tile.n_rows)
    # No rating and no damping: 0 / 0, which is to be no bias.
    return total / np.maximum(damping + tile.degrees, 1e-12)
