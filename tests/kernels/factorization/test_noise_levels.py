from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mfspark.kernels.arrays.random import gamma_rows
from mfspark.kernels.factorization.noise_levels import NoiseLevel, NoiseSums, sample_level

Array = np.ndarray


def level_of(likeness: float, variance: float) -> NoiseLevel:
    return NoiseLevel(np.asarray(likeness), np.asarray(variance))


def drawn_levels(alpha: Array, n_draws: int, start: NoiseLevel | None = None) -> Array:
    """Draw levels given precisions again and again; (draws, 2): nu and s."""
    rng = np.random.default_rng(1)
    last, sums = start or NoiseLevel.start(), NoiseSums.of(alpha, np.ones(len(alpha), int))
    found = []
    for _ in range(n_draws):
        last = sample_level(sums, last, rng)
        found.append([float(last.likeness), float(last.variance)])
    return np.array(found)


def test_gamma_numbers_have_their_distribution_and_know_no_blocks() -> None:
    rows = np.arange(20_000)
    for shape in (1.5, 12.0, 400.0):
        numbers = gamma_rows(7, rows, np.full(len(rows), shape))
        assert stats.kstest(numbers, stats.gamma(shape).cdf).pvalue > 0.01
    shapes = np.linspace(2, 50, len(rows))
    odd = gamma_rows(7, rows[1::2], shapes[1::2])
    np.testing.assert_array_equal(odd, gamma_rows(7, rows, shapes)[1::2])


def test_the_level_of_a_user_follows_its_conditional() -> None:
    """Against prior times likelihood of 12 ratings on a grid, and a user without any."""
    nu, s, errors = 6.0, 0.5, np.random.default_rng(2).normal(0, 1.4, 12)
    grid = np.linspace(1e-4, 30, 300_001)
    for mine in (errors, errors[:0]):
        log = stats.gamma(nu / 2, scale=2 / (nu * s)).logpdf(grid)
        for error in mine:
            log += stats.norm(0, grid**-0.5).logpdf(error)
        weight = np.exp(log - log.max())
        below = np.cumsum(weight) / weight.sum()
        n = np.full(20_000, len(mine))
        squares = np.full(20_000, np.square(mine).sum())
        draws = level_of(nu, s).sample(squares, n, 3, np.arange(20_000))
        assert stats.kstest(draws, lambda x, b=below: np.interp(x, grid, b)).pvalue > 0.01
        expected = (weight / grid).sum() / weight.sum()
        found = level_of(nu, s).expected_variance(squares[:1], n[:1])
        assert found[0] == pytest.approx(expected, rel=1e-3)


def test_the_common_level_follows_its_posterior() -> None:
    """Means and deviations of nu and s over draws, against both on a dense grid."""
    alpha = stats.gamma(4.0, scale=1 / (4.0 * 0.3)).rvs(60, random_state=5)
    log_nu = np.linspace(np.log(3), np.log(1_000), 600)[:, None]
    log_s = np.linspace(np.log(0.1), np.log(1.0), 500)[None]
    nu, s = np.exp(log_nu), np.exp(log_s)
    log = np.zeros((600, 500))
    for a in alpha:
        log += stats.gamma(nu / 2, scale=2 / (nu * s)).logpdf(a)
    log += stats.gamma(1.0).logpdf(s) + log_s  # the prior is of s, the grid of its logarithm
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    draws = np.log(drawn_levels(alpha, 6_000)[100:])
    for column, values in enumerate((log_nu, log_s)):
        mean = (weight * values).sum()
        deviation = (weight * (values - mean) ** 2).sum() ** 0.5
        assert draws[:, column].mean() == pytest.approx(mean, abs=0.1 * deviation)
        assert draws[:, column].std() == pytest.approx(deviation, rel=0.08)


def test_users_who_are_all_alike_have_one_level() -> None:
    draws = drawn_levels(np.full(500, 4.0), 50)[10:]
    assert draws[:, 0].min() > 300
    np.testing.assert_allclose(draws[:, 1], 0.25, rtol=0.05)


def test_planted_levels_come_back() -> None:
    """2,000 users with 25 ratings each: alpha and the common level, drawn in turn."""
    rng, n_users, n = np.random.default_rng(6), 2_000, 25
    nu, s = 5.0, 0.4
    alpha = rng.gamma(nu / 2, 2 / (nu * s), n_users)
    squares = (rng.normal(size=(n_users, n)) ** 2).sum(1) / alpha
    level, degrees, rows = NoiseLevel.start(), np.full(n_users, n), np.arange(n_users)
    levels, variances = [], []
    for draw in range(300):
        found = level.sample(squares, degrees, draw, rows)
        level = sample_level(NoiseSums.of(found, degrees), level, rng)
        levels.append([float(level.likeness), float(level.variance)])
        variances.append(level.expected_variance(squares, degrees))
    means = np.mean(levels[50:], axis=0)
    np.testing.assert_allclose(means, [nu, s], rtol=0.1)
    found = np.mean(variances[50:], axis=0)
    assert np.corrcoef(np.log(found), np.log(1 / alpha))[0, 1] > 0.92
    # Drawn to what is common: nearer the truth than each user's own mean of squares.
    truth = 1 / alpha
    assert np.mean(np.log(found / truth) ** 2) < 0.9 * np.mean(np.log(squares / n / truth) ** 2)


def test_users_without_ratings_do_not_count() -> None:
    sums = NoiseSums.of(np.array([1.0, 4.0, 100.0]), np.array([3, 1, 0]))
    assert (int(sums.n_levels), float(sums.precisions)) == (2, 5.0)
    assert float(sums.log_precisions) == pytest.approx(np.log(4.0))
