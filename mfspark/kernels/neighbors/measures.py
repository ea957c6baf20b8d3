"""The measures of similarity, each a formula over the moments of two rows (see kernels.moments).

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
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mfspark.config.models import Measure, SimilarityOptions
    from mfspark.kernels.arrays.tile import Array
    from mfspark.kernels.neighbors.moments import Moments, Power, Rows

_COUNT: Power = (0, 0)
_ROUNDING = 1e-13  # of sums of float64; whole numbers up to 2^43 have no smaller relative spread


@dataclass(frozen=True)
class Totals:
    """What is known of whole rows: n and |x|^2, in a shape that goes with the moments."""

    n: Array
    squares: Array

    @classmethod
    def of(cls, rows: Rows) -> Totals:
        """Of rows, for pairs one by one."""
        return cls(rows.n, rows.squares)

    @classmethod
    def across(cls, rows: Rows) -> Totals:
        """Of the rows of dense moments."""
        return cls(rows.n[:, None], rows.squares[:, None])

    @classmethod
    def down(cls, others: Rows) -> Totals:
        """Of their columns."""
        return cls.of(others)

    def take(self, rows: Array) -> Totals:
        """Of some of them."""
        return Totals(self.n[rows], self.squares[rows])


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


@dataclass(frozen=True)
class Formula:
    """A measure: the moments it looks at, and what it makes of them."""

    powers: tuple[Power, ...]
    of: Callable[[Moments, Totals, Totals], Array]


_SHARED: tuple[Power, ...] = ((1, 1), (2, 0), (0, 2))
FORMULAS: dict[Measure, Formula] = {
    "cosine": Formula(((1, 1),), _cosine),
    "cosine_corated": Formula(_SHARED, _cosine_corated),
    "msd": Formula((_COUNT, *_SHARED), _msd),
    "pearson": Formula((_COUNT, *_SHARED, (1, 0), (0, 1)), _pearson),
    "pearson_baseline": Formula(_SHARED, _cosine_corated),  # of what the baseline leaves over
    "adjusted_cosine": Formula(_SHARED, _cosine_corated),  # of what the column's mean leaves over
    "jaccard": Formula((_COUNT,), _jaccard),
}


@dataclass(frozen=True)
class Similarity:
    """The similarity that options ask for: a measure, support, shrinkage and weights."""

    options: SimilarityOptions

    @property
    def powers(self) -> tuple[Power, ...]:
        """The moments that `of` looks at."""
        return tuple(dict.fromkeys((_COUNT, *FORMULAS[self.options.similarity].powers)))

    @property
    def one_moment(self) -> bool:
        """Whether the dot product alone makes the similarity of two rows that share something."""
        counted = self.min_support > 1 or self.shrinkage or self.options.significance
        return self.options.similarity == "cosine" and not counted

    @property
    def cancels(self) -> bool:
        """Whether a small difference of large moments decides, so that they must not be rounded."""
        return self.options.similarity in ("msd", "pearson")

    @property
    def min_support(self) -> int:
        """Columns two rows must share."""
        least = 2 if self.options.similarity == "pearson_baseline" else 1
        return max(least, self.options.min_support)

    @property
    def shrinkage(self) -> float:
        """Shared columns at which a similarity counts half."""
        if self.options.shrinkage != "auto":
            return self.options.shrinkage
        return 100.0 if self.options.similarity == "pearson_baseline" else 0.0

    def of(self, m: Moments, u: Totals, v: Totals) -> Array:
        """Return the similarity of pairs, float64; -inf where two rows are no neighbors."""
        similarity = self.of_supported(m, u, v)
        if self.options.min_similarity <= -1:
            return similarity
        return np.where(similarity < self.options.min_similarity, -np.inf, similarity)

    def of_supported(self, m: Moments, u: Totals, v: Totals) -> Array:
        """Return the same whatever `min_similarity` is: rounding must not decide on that."""
        similarity = self._counted(FORMULAS[self.options.similarity].of(m, u, v), m[_COUNT])
        return np.where(m[_COUNT] < self.min_support, -np.inf, similarity)

    def _counted(self, similarity: Array, n: Array) -> Array:
        """Weigh similarities by the number of columns they rest on."""
        if self.shrinkage:
            # As Surprise's: one shared rating alone says nothing of a correlation.
            n_free = n - 1 if self.options.similarity == "pearson_baseline" else n
            similarity = similarity * _divided(n_free, n_free + self.shrinkage)
        if full := self.options.significance:
            similarity = similarity * (np.minimum(n, full) / full)
        return similarity
