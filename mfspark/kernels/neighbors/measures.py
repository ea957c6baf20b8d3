"""The measures of similarity, each a formula over the moments of two rows, and a row of a table.

Moments are explained in kernels.neighbors.moments. To add a measure, add a row to `MEASURES` and
its name to the option `similarity` (config.models).

Quotients are taken before roots, sign(a) sqrt(a^2 / b): similarities that are equal as
fractions are then equal as numbers, so that ties are ties. Where a formula divides 0 by 0, as for a
row whose ratings are all alike, the similarity is 0.

`cosine_corated`, `msd`, `pearson` and `pearson_baseline` are those of Surprise 1.1
(surprise/similarities.pyx), but for pairs without enough support, which are no neighbors here and
have similarity 0 there.

What is multiplied in place of the ratings themselves:

    baseline_residuals   x_ui = r_ui - mu - b_u - b_i
    column_centered      x_ui = r_ui - mean of column i  (Sarwar et al. 2001: of items, the user's)
    tfidf                x_ui = sqrt(r_ui) idf_i           idf_i = log(U / (1 + n_i))
    bm25                 x_ui = idf_i (K + 1) r_ui / (K (1 - B + B l_u) + r_ui)

U rows; n_i ratings of column i; l_u: sum_i r_ui over the mean of that (Robertson & Zaragoza 2009).
Ratings below 0 weigh nothing in tfidf and bm25, and neither does a column that all rows have a
rating in: idf is never below 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array, RowArrays, Tile
from mfspark.kernels.neighbors.moments import Moments, Power, Rows

_COUNT: Power = (0, 0)
_ROUNDING = 1e-13  # of sums of float64; whole numbers up to 2^43 have no smaller relative spread
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
    def support_decides(self) -> bool:
        """Whether pairs that share few columns cannot be alike, whatever they hold there."""
        return bool(self._shrinkage or self.significance)

    def least_shared(self, bars: Array, most: int) -> Array:
        """Return how many columns two rows share at least whose similarity reaches a bar.

        bars float64 (n); most: columns that any two may share; most + 1 where not even those do.
        """
        n = np.arange(most + 1, dtype=np.float64)
        reached = self._counted(np.ones(most + 1), n) * (1 + _ROUNDING)  # no measure is above 1
        return np.maximum(np.searchsorted(reached, bars), self._support)

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
