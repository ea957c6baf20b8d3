"""Users by activity, and items by popularity: thirds of those that have ratings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array


@dataclass(frozen=True)
class Thirds:
    """Upper ends of the first two thirds, in ratings; ties fall into the same part."""

    few: int
    some: int

    @classmethod
    def of(cls, n: Array) -> Thirds:
        """Cut rows by their numbers of ratings, int64 (rows); those without count for nothing.

        >>> Thirds.of(np.array([0, 1, 2, 3, 4, 5, 60]))
        Thirds(few=2, some=4)
        """
        rated = n[n > 0]
        if not len(rated):
            return cls(0, 0)
        few, some = np.quantile(rated, (1 / 3, 2 / 3), method="inverted_cdf")
        return cls(int(few), int(some))

    @property
    def labels(self) -> tuple[str, str, str, str]:
        """What the parts are called, in the order of `part_of`."""
        return (
            "none",
            f"few (1-{self.few})",
            f"some ({self.few + 1}-{self.some})",
            f"many ({self.some + 1}+)",
        )

    def part_of(self, n: Array) -> Array:
        """Return the part of each row by its number of ratings, int8 (rows).

        >>> Thirds(2, 4).part_of(np.array([0, 1, 2, 3, 5])).tolist()
        [0, 1, 1, 2, 3]
        """
        return np.searchsorted([1, self.few + 1, self.some + 1], n, side="right").astype(np.int8)
