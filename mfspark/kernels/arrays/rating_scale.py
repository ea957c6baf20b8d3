"""Predictions brought into the scale that ratings have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mfspark.kernels.arrays.tile import Array


@dataclass(frozen=True)
class RatingScale:
    """The smallest and the largest rating, and what to do with predictions."""

    low: float
    high: float
    clamp: bool = True
    round_to: float = 0.0
    """Step predictions are rounded to, counted from `low`; 0 means not at all."""

    @classmethod
    def published(
        cls,
        bounds: tuple[float, float],
        step: float | None,
        clamp: bool,
        round_to: float | Literal["step"],
    ) -> RatingScale:
        """Return what predictions are published in: options `publish.clamp` and `round_to`.

        bounds: the smallest and largest rating. step: what all ratings are multiples of, if any.
        """
        rounded = (step or 0.0) if round_to == "step" else round_to
        return cls(*bounds, clamp, rounded)

    def adjust(self, predictions: Array) -> Array:
        """Return predictions rounded to the step and kept inside the scale, float64.

        >>> RatingScale(0.5, 5.0, round_to=0.5).adjust(np.array([3.25, 7.1])).tolist()
        [3.5, 5.0]
        """
        result = np.asarray(predictions, np.float64)
        if self.round_to:
            # Halves are rounded up: 3.25 on half stars is 3.5, as readers of a star rating expect.
            steps = np.floor((result - self.low) / self.round_to + 0.5)
            result = self.low + steps * self.round_to
        return np.clip(result, self.low, self.high) if self.clamp else result

    def interval(self, scores: Array, half_widths: Array) -> tuple[Array, Array]:
        """Return score -/+ half width, kept inside the scale but not rounded, float64 each.

        >>> low, high = RatingScale(1.0, 5.0).interval(np.array([3.0, 4.5]), np.array([0.5, 1.0]))
        >>> low.tolist(), high.tolist()
        ([2.5, 3.5], [3.5, 5.0])
        """
        ends = (scores - half_widths, scores + half_widths)
        low, high = (np.clip(e, self.low, self.high) if self.clamp else e for e in ends)
        return low, high
