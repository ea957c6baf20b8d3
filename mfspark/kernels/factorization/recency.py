"""How much ratings count by their age: exponential decay with a half-life."""

from __future__ import annotations

import numpy as np

from mfspark.kernels.arrays.tile import Array

MINUTES_A_DAY = 24 * 60


def recency_weights(minutes: Array, newest: float, oldest: float, half_life: float) -> Array:
    """Return 2^(-age / half_life) of ratings made at some minutes (n), float64 (n).

    Ages are counted from the newest rating; half_life in days. A rating of unknown time (NaN)
    counts as the oldest.

    >>> recency_weights(np.array([1440.0, 0.0, np.nan]), 1440.0, -1440.0, 1.0).tolist()
    [1.0, 0.5, 0.25]
    """
    known = np.where(np.isnan(minutes), oldest, minutes.astype(np.float64))
    return np.exp2((known - newest) / (half_life * MINUTES_A_DAY))


def span_of(minutes: Array) -> Array:
    """Return the oldest and the newest of minutes (n), float64 (2); NaN where none is known."""
    known = minutes[~np.isnan(minutes)].astype(np.float64)
    return np.array([known.min(), known.max()]) if len(known) else np.full(2, np.nan)
