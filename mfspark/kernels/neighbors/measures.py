"""The measures of similarity, each a formula over the moments of two rows, and a row of a table.

Moments are explained in kernels.neighbors.moments. To add a measure, add a row to `MEASURES` and
its name to the option `similarity` (config.models).

Quotients are taken before roots, sign(a) sqrt(a^2 / b): similarities that are equal as
fractions are then equal as numbers, so that ties are ties. Where a formula divides 0 by 0, as for a
row whose ratings are all alike, the similarity is 0.

`cosine_corated`, `msd`, `pearson` and `pearson_baseline` are those of Surprise 1.1
(surprise/similarities.pyx), but for pairs without enough support, which are no neighbors here and
have similarity 0 there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array, RowArrays
from mfspark.kernels.neighbors.moments import Moments, Power, Rows
from mfspark.kernels.neighbors.weighting import (
    WEIGHTINGS,
    Values,
    baseline_residuals,
    column_centered,
)

_COUNT: Power = (0, 0)
_ROUNDING = 1e-13  # of sums of float64; whole numbers up to 2^43 have no smaller relative spread


@dataclass(frozen=True)
class Totals(RowArrays):
    """What is known of whole rows: n and |x|^2, in a shape that goes with the moments."""

    n: Array
    squares: Array

    @classmethod
    def of(cls, rows: Rows) -> Totals:
        """Of rows, for pairs one by one, and of the columns of dense moments."""
        return cls(rows.n, rows.squares)

    @classmethod
    def across(cls, rows: Rows) -> Totals:
        """Of the rows of dense moments."""
        return cls(rows.n[:, None], rows.squares[:, None])


def _cosine(m: Moments, u: Totals, v: Totals) -> Array:
    """x_u . x_v / (|x_u| |x_v|), over all columns: what is not rated counts as 0."""
    return _rooted(m[1, 1], u.squares * v.squares)


def _cosine_corated(m: Moments, _u: Totals, _v: Totals) -> Array:
    """x_u . x_v / (|x_u| |x_v|), norms over shared columns as well."""
    return _rooted(m[1, 1], m[2, 0] * m[0, 2])


def _msd(m: Moments, _u: Totals, _v: Totals) -> Array:
    """1 / (mean of (x_ui - x_vi)^2 + 1)."""
    difference = m[2, 0] + m[0, 2] - 2 * m[1, 1]
    return _divided(m[0, 0], difference + m[0, 0])


def _pearson(m: Moments, _u: Totals, _v: Totals) -> Array:
    """Correlation over shared columns, around the means of what is shared."""
    n = m[0, 0]
    spread_u = _spread(n * m[2, 0], m[1, 0] ** 2)
    spread_v = _spread(n * m[0, 2], m[0, 1] ** 2)
    return _rooted(n * m[1, 1] - m[1, 0] * m[0, 1], spread_u * spread_v)


def _jaccard(m: Moments, u: Totals, v: Totals) -> Array:
    """Shared columns over all that either has."""
    return _divided(m[0, 0], u.n + v.n - m[0, 0])


def _spread(squares: Array, squared: Array) -> Array:
    """n sum x^2 - (sum x)^2, and 0 where nothing but rounding is left of it."""
    spread = squares - squared
    return np.where(spread > _ROUNDING * squares, spread, 0.0)


def _rooted(a: Array, b: Array) -> Array:
    return np.sign(a) * np.sqrt(_divided(a**2, b))


def _divided(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0 or below: there it is nothing but rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):  # faster than `where` of np.divide
        return np.where(b > 0, a / b, 0.0)


_SHARED: tuple[Power, ...] = ((1, 1), (2, 0), (0, 2))


@dataclass(frozen=True)
class SimilarityMeasure:
    """All there is to say of a measure: one row of `MEASURES`."""

    of: Callable[[Moments, Totals, Totals], Array]
    """Makes similarities of moments and totals, all of one shape."""
    powers: tuple[Power, ...]
    """The moments that it looks at."""
    values: Values | None = None
    """What is multiplied in place of the ratings; None: the ratings."""
    needs_biases: bool = False
    """Whether that takes the biases of the baseline."""
    shrinkage: float = 0.0
    """Default of the option: shared columns at which a similarity counts half."""
    min_support: int = 1
    """Columns two rows must share, whatever the option of that name says."""
    n_fitted: int = 0
    """Shared columns that say nothing yet, as one alone of a correlation: shrinkage leaves them
    out."""
    tolerates_rounding: bool = False
    """Whether moments rounded to float32 leave it off by no more than three dot products would be
    (kernels.neighbors.all_pairs). Not so where a small difference of large moments decides."""
    is_cosine: bool = False
    """Whether it is x_u . x_v / (|x_u| |x_v|), for which the dot product is the only moment."""


MEASURES: dict[str, SimilarityMeasure] = {
    "cosine": SimilarityMeasure(_cosine, ((1, 1),), tolerates_rounding=True, is_cosine=True),
    "cosine_corated": SimilarityMeasure(_cosine_corated, _SHARED, tolerates_rounding=True),
    "msd": SimilarityMeasure(_msd, (_COUNT, *_SHARED)),
    "pearson": SimilarityMeasure(_pearson, (_COUNT, *_SHARED, (1, 0), (0, 1))),
    "pearson_baseline": SimilarityMeasure(
        _cosine_corated,
        _SHARED,
        values=baseline_residuals,
        needs_biases=True,
        shrinkage=100.0,  # as Surprise's, and what follows
        min_support=2,
        n_fitted=1,
        tolerates_rounding=True,
    ),
    "adjusted_cosine": SimilarityMeasure(
        _cosine_corated, _SHARED, values=column_centered, tolerates_rounding=True
    ),
    "jaccard": SimilarityMeasure(_jaccard, (_COUNT,), tolerates_rounding=True),
}
"""By the name of the option `similarity`."""


@dataclass(frozen=True)
class Similarity:
    """A measure with support, shrinkage and weights."""

    name: str = "cosine"
    """Of the measure."""
    weighting: str = "none"
    """Of the ratings, for measures that have no values of their own."""
    min_support: int = 1
    """Columns two rows must share; some measures ask for more."""
    min_similarity: float = -1.0
    """Below it two rows are no neighbors; -1: any are."""
    shrinkage: float | None = None
    """Shared columns at which a similarity counts half; None: the default of the measure."""
    significance: int = 0
    """Similarities of fewer shared columns than this count less; 0: all count alike."""

    @property
    def measure(self) -> SimilarityMeasure:
        """The row of the table."""
        return MEASURES[self.name]

    @property
    def values(self) -> Values | None:
        """What is multiplied in place of the ratings; None: the ratings."""
        return self.measure.values or WEIGHTINGS[self.weighting]

    @property
    def powers(self) -> tuple[Power, ...]:
        """The moments that `of` looks at."""
        return tuple(dict.fromkeys((_COUNT, *self.measure.powers)))

    @property
    def one_moment(self) -> bool:
        """Whether the dot product alone makes the similarity of two rows that share something."""
        counted = self._support > 1 or self._shrinkage or self.significance
        return self.measure.is_cosine and not counted

    @property
    def _support(self) -> int:
        return max(self.measure.min_support, self.min_support)

    @property
    def _shrinkage(self) -> float:
        return self.measure.shrinkage if self.shrinkage is None else self.shrinkage

    def of(self, m: Moments, u: Totals, v: Totals) -> Array:
        """Return the similarity of pairs, float64; -inf where two rows are no neighbors."""
        similarity = self.of_supported(m, u, v)
        if self.min_similarity <= -1:
            return similarity
        return np.where(similarity < self.min_similarity, -np.inf, similarity)

    def of_supported(self, m: Moments, u: Totals, v: Totals) -> Array:
        """Return the same whatever `min_similarity` is: rounding must not decide on that."""
        similarity = self._counted(self.measure.of(m, u, v), m[_COUNT])
        return np.where(m[_COUNT] < self._support, -np.inf, similarity)

    def _counted(self, similarity: Array, n: Array) -> Array:
        """Weigh similarities by the number of columns they rest on."""
        if self._shrinkage:
            n_free = n - self.measure.n_fitted
            similarity = similarity * _divided(n_free, n_free + self._shrinkage)
        if full := self.significance:
            similarity = similarity * (np.minimum(n, full) / full)
        return similarity
