"""Time-bin biases: what the ratings of one user have in common that were made within a while.

    r_ui(t) = mu + b_u + b_i + x_u . y_i + sum_s c_(u, s, t div L_s)        c ~ N(0, 1 / lambda_s)

(the day-specific user bias of Koren 2009, "Collaborative filtering with temporal dynamics", in
several lengths L_s, and the same for items). A time bin is a row, a length and the number of its
window; only windows in which the row has ratings count. With lengths of 3 and 1 minutes and a row
that has ratings at minutes 2, 4 and 5, the windows are 0, 1 and 2, 4, 5:

    number   0  1    2  3  4           starts 0 2 5
    window   0  1    2  4  5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array, NamedArrays
from mfspark.kernels.factorization.gibbs import RATE

NO_BIN = -1
"""The number of a rating whose time is not known, or whose window has no ratings."""
_BACK = 1 << 31  # added to windows, which are negative before the epoch
_ROW = 1 << 32


@dataclass(frozen=True)
class TimeBins(NamedArrays):
    """The time bins of the rows of one block, numbered by length, row and window."""

    lengths: Array
    """In minutes, int64 (S)."""
    keys: Array
    """int64 (N): row * 2^32 + window + 2^31, ascending in each length."""
    starts: Array
    """int64 (S + 1): where the numbers of each length begin."""

    @classmethod
    def of(cls, rows: Array, minutes: Array, lengths: Sequence[int]) -> TimeBins:
        """Number the bins of ratings, given their rows int (n) and minutes (n), NaN: unknown."""
        known = ~np.isnan(minutes)
        keys = [np.unique(_keys(rows[known], minutes[known], length)) for length in lengths]
        starts = np.cumsum([0, *map(len, keys)])
        every = np.concatenate([np.empty(0, np.int64), *keys])
        return cls(np.asarray(lengths, np.int64), every, starts)

    @property
    def n(self) -> int:
        """Number of bins of all lengths."""
        return len(self.keys)

    @property
    def length_of(self) -> Array:
        """Which length each bin has, int64 (N)."""
        return np.repeat(np.arange(len(self.lengths)), np.diff(self.starts))

    def numbers(self, rows: Array, minutes: Array) -> Array:
        """Return the bin of each rating in each length, int32 (S, n), or NO_BIN."""
        numbers = np.full((len(self.lengths), len(rows)), NO_BIN, np.int32)
        known = np.flatnonzero(~np.isnan(minutes))
        for s, length in enumerate(self.lengths):
            have = self.keys[self.starts[s] : self.starts[s + 1]]
            want = _keys(rows[known], minutes[known], length)
            position = np.minimum(np.searchsorted(have, want), max(0, len(have) - 1))
            found = have[position] == want if len(have) else np.zeros(len(want), bool)
            numbers[s, known[found]] = position[found] + self.starts[s]
        return numbers

    def global_keys(self, indices: Array) -> Array:
        """Return keys that are the same however rows were cut; indices (rows): their global ones.

        uint64 (N); keys of different lengths may be equal.
        """
        rows, window = np.divmod(self.keys, _ROW)
        return indices[rows].astype(np.uint64) * np.uint64(_ROW) + window.astype(np.uint64)


def _keys(rows: Array, minutes: Array, length: int) -> Array:
    window = np.floor_divide(minutes, length).astype(np.int64)
    return np.asarray(rows, np.int64) * _ROW + window + _BACK


def sums_of_bins(values: Array, numbers: Array) -> Array:
    """Return for each rating the sum of the values of its bins: values (N), numbers (S, n).

    float32 (n); a missing bin counts 0.
    """
    padded = np.append(np.asarray(values, np.float32), np.float32(0))  # at NO_BIN
    return padded[numbers].sum(0, dtype=np.float32)


def averages_of_rows(bias: Array, n_ratings: Array, bins: TimeBins, n_rows: int) -> Array:
    """Return what a rating of each row has of bin biases on average, float64 (n_rows, S).

    bias (N) and n_ratings (N), of each bin; 0 in rows that have none.
    """
    shape = n_rows, len(bins.lengths)
    cells = (bins.keys // _ROW) * shape[1] + bins.length_of
    total, n = (
        np.bincount(cells, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)
        for weights in (bias * n_ratings, n_ratings)
    )
    return total / np.maximum(n, 1)


def sample_time_biases(
    residual: Array, numbers: Array, last: Array, precision: Array, alpha: Array, noise: Array
) -> Array:
    """Draw the biases of time bins given all else, one length after the other; float64 (N).

    residual float64 (n): what nothing else explains, the last biases `last` (N) left in; numbers
    (S, n); precision (S): lambda; alpha (n): precision of a rating; noise: standard normal (N).
    """
    bias = np.asarray(last, np.float64).copy()
    rest = residual - sums_of_bins(bias, numbers)
    for mine, weight in zip(numbers, precision, strict=True):
        has = np.flatnonzero(mine != NO_BIN)
        own = mine[has]
        rest[has] += bias[own]
        known = np.bincount(own, weights=alpha[has], minlength=len(bias))
        total = np.bincount(own, weights=alpha[has] * rest[has], minlength=len(bias))
        drawn = np.flatnonzero(known)  # a bin lies in one length, and has ratings
        spread = known[drawn] + weight
        bias[drawn] = total[drawn] / spread + noise[drawn] / np.sqrt(spread)
        rest[has] -= bias[own]
    return bias


def sample_bias_precision(squares: Array, n: Array, rng: np.random.Generator) -> Array:
    """Draw lambda (S) given the sum of squared biases and the number of bins of each length."""
    return rng.gamma(1 + n / 2) / (RATE + squares / 2)
