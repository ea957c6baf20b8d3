"""Statistics of each user and each item, as pandas' `describe` computes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mfspark.kernels.arrays.ordering import order_of_pairs, starts_of
from mfspark.kernels.arrays.tile import Array, RowArrays
from mfspark.schemas import TIMESTAMP

NO_TIME = np.iinfo(np.int64).min
"""Stands for a time that is not known: it is the oldest."""
_NEVER = np.iinfo(np.int64).max
_QUARTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}


@dataclass(frozen=True)
class RatingTally(RowArrays):
    """How often each row has each value, by row and value, all (m)."""

    rows: Array
    """int32."""
    values: Array
    """float64."""
    n: Array
    """int64."""
    first: Array
    """int64, the earliest of their times, in microseconds since 1970; NO_TIME where none has."""
    last: Array
    """int64, the latest."""

    @classmethod
    def of(cls, rows: Array, values: Array, times: Array, n_rows: int) -> RatingTally:
        """Count ratings (m): int32 rows below n_rows, float64 values, int64 times."""
        return cls(rows, values, np.ones(len(rows), np.int64), times, times).summed(n_rows)

    def summed(self, n_rows: int) -> RatingTally:
        """Return one entry for each row and value, in order, of entries in any order."""
        distinct, codes = _encoded(self.values)
        order = order_of_pairs(self.rows, codes, n_rows, len(distinct))
        rows, codes = self.rows[order], codes[order]
        starts = starts_of(rows, codes)
        return RatingTally(
            rows[starts],
            distinct[codes[starts]],
            np.add.reduceat(self.n[order], starts),
            _earliest(self.first[order], starts),
            np.maximum.reduceat(self.last[order], starts),
        )

    def described(self, n_rows: int) -> dict[str, pa.Array]:
        """Return the statistics columns of the rows 0 to n_rows - 1 by their name.

        The standard deviation is the sample's (null for a single rating), from two plain sums:
        those of whole- and half-star ratings are exact. Quartiles are interpolated linearly. A row
        without ratings has n_ratings 0 and nulls.
        """
        entries = np.bincount(self.rows, minlength=n_rows)
        has = entries > 0
        ends = np.cumsum(entries)[has]
        starts = ends - entries[has]
        n = np.add.reduceat(self.n, starts)
        total = np.add.reduceat(self.values * self.n, starts)
        squares = np.add.reduceat(self.values * self.values * self.n, starts)
        low, high = self.values[starts], self.values[ends - 1]
        variance = np.maximum(squares - total * total / n, 0.0) / np.maximum(n - 1, 1)
        std = np.where(low == high, 0.0, np.sqrt(variance))
        quartiles = {name: self._quantile(share, n) for name, share in _QUARTILES.items()}
        columns = {"mean": total / n, "std": std, "min": low, **quartiles, "max": high}
        counts = np.zeros(n_rows, np.int64)
        counts[has] = n
        found = {"n_ratings": pa.array(counts)}
        for name, values in columns.items():
            known = (n > 1) if name == "std" else np.ones(len(n), bool)
            found[name] = _spread(values, known, has, pa.float64())
        times = _earliest(self.first, starts), np.maximum.reduceat(self.last, starts)
        for name, values in zip(("first_rated_at", "last_rated_at"), times, strict=True):
            found[name] = _spread(values, values != NO_TIME, has, TIMESTAMP)
        return found

    def _quantile(self, share: float, n: Array) -> Array:
        """Return a quantile of each row that has ratings; n: how many, int64."""
        position = share * (n - 1)
        below, above = np.floor(position), np.ceil(position)
        up_to, first = np.cumsum(self.n), np.cumsum(n) - n
        low, high = (
            self.values[np.searchsorted(up_to, first + place.astype(np.int64), side="right")]
            for place in (below, above)
        )
        between = (above - position) * low + (position - below) * high
        return np.where(below == above, low, between)


def _encoded(values: Array) -> tuple[Array, Array]:
    """Return the distinct values, ascending, and the place of each value among them, int32."""
    encoded = pa.array(values).dictionary_encode()
    distinct = encoded.dictionary.to_numpy()
    order = np.argsort(distinct, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    return distinct[order], place[encoded.indices.to_numpy()]


def _earliest(times: Array, starts: Array) -> Array:
    earliest = np.minimum.reduceat(np.where(times == NO_TIME, _NEVER, times), starts)
    return np.where(earliest == _NEVER, NO_TIME, earliest)


def _spread(values: Array, known: Array, has: Array, kind: pa.DataType) -> pa.Array:
    """Return a column of all rows; null where a row has no ratings, or its value is not known."""
    column = np.zeros(len(has), values.dtype)
    column[has] = values
    missing = ~has
    missing[has] = ~known
    return pa.array(column, mask=missing).cast(kind)
