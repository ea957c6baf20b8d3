"""Noise of ratings with a level a user: some use a scale evenly, others say 5 to everything.

    r_ui ~ N(w_u . f_i, 1 / alpha_u)        alpha_u ~ Gamma(nu / 2, nu s / 2)

s is the variance of the noise of a typical user, 1 / mean of alpha, and nu how alike the users are:
as many ratings as their common level counts (Gelman et al. 2013, "Bayesian Data Analysis", 14.7;
in matrix factorization Lakshminarayanan et al. 2011, "Robust Bayesian matrix factorisation"). s has
a Gamma(1, 1) prior, nu one that is flat in its logarithm. Ratings are standardised.
Given n ratings with squared errors that add up to e:

    alpha_u | w, f ~ Gamma((nu + n) / 2, (nu s + e) / 2)
    E[1 / alpha_u] = (nu s + e) / (nu + n - 2)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from mfspark.kernels.arrays.random import gamma_rows
from mfspark.kernels.arrays.tile import Array, NamedArrays

_LEAST, _MOST = 3.0, 1_000.0  # nu: below 2 variances have no mean; beyond, all users are alike
_POINTS, _ZOOMS = 200, 3
_NEGLIGIBLE = -30.0  # a density less than e^-30 of the highest


@dataclass(frozen=True)
class NoiseLevel(NamedArrays):
    """What the noise of all users has in common."""

    likeness: Array
    """nu, float64 ()."""
    variance: Array
    """s, float64 ()."""

    @classmethod
    def start(cls) -> NoiseLevel:
        """Return the level before the first draw: half of what there is, and hardly anything."""
        return cls(np.asarray(_LEAST), np.asarray(0.5))

    def sample(self, squared_errors: Array, n: Array, seed: int, rows: Array) -> Array:
        """Draw alpha of rows given their squared errors and numbers of ratings, float64 (rows).

        rows: their global indices; each draw depends on (seed, index) and its own row alone.
        """
        shape, rate = self._posterior(squared_errors, n)
        return gamma_rows(seed, rows, shape) / rate

    def expected_variance(self, squared_errors: Array, n: Array) -> Array:
        """Return E[1 / alpha] of rows, float64 (rows); that of an unknown user where n is 0."""
        shape, rate = self._posterior(squared_errors, n)
        return rate / (shape - 1)

    def _posterior(self, squared_errors: Array, n: Array) -> tuple[Array, Array]:
        rate = (self.likeness * self.variance + squared_errors) / 2
        return (self.likeness + n) / 2, rate


@dataclass(frozen=True)
class NoiseSums(NamedArrays):
    """What the draw of a level needs to know of the rows with ratings."""

    n_levels: Array
    """How many have ratings, int64 ()."""
    precisions: Array
    """Sum of alpha, float64 ()."""
    log_precisions: Array
    """Sum of log alpha, float64 ()."""

    @classmethod
    def of(cls, alpha: Array, n: Array) -> NoiseSums:
        """Sum up alpha (rows), of rows with n (rows) ratings."""
        known = alpha[n > 0]
        return cls(np.asarray(len(known)), known.sum(), np.log(known).sum())


def sample_level(sums: NoiseSums, last: NoiseLevel, rng: np.random.Generator) -> NoiseLevel:
    """Draw s given nu, then nu given s."""
    nu = float(last.likeness)
    s = rng.gamma(1 + sums.n_levels * nu / 2) / (1 + nu * sums.precisions / 2)

    def log_density(log_nu: Array) -> Array:
        half = np.exp(log_nu) / 2
        normaliser = half * np.log(half * s) - gammaln(half)
        return sums.n_levels * normaliser + half * (sums.log_precisions - s * sums.precisions)

    low, high = np.log(_LEAST), np.log(_MOST)
    return NoiseLevel(np.exp(_drawn(log_density, low, high, rng.random())), np.asarray(s))


def _drawn(log_density: Callable[[Array], Array], low: float, high: float, u: float) -> Array:
    """Return a draw between low and high: the inverse of the distribution at u, on a grid.

    The grid closes in on where the density is; there it is as good as exact.
    """
    for _ in range(_ZOOMS):
        points = np.linspace(low, high, _POINTS)
        density = log_density(points)
        there = np.flatnonzero(density > density.max() + _NEGLIGIBLE)
        low, high = points[max(0, there[0] - 1)], points[min(_POINTS - 1, there[-1] + 1)]
    points = np.linspace(low, high, _POINTS)
    density = log_density(points)
    weight = np.exp(density - density.max())
    below = np.concatenate([[0.0], np.cumsum(weight[1:] + weight[:-1])])
    return np.interp(u * below[-1], below, points)
