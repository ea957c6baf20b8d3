from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.factorization.gibbs import (
    Prior,
    RowSums,
    sample_prior,
    sample_rows,
    weighted_columns,
)
from mfspark.kernels.factorization.normal_equations import RatingBlock
from tests.support.grids import stars

Array = np.ndarray
ALPHA, PRECISION = 0.3 + np.arange(13) / 4, np.array([0.5, 2.0, 4.0])
COLUMN_ALPHA = np.array([0.2, 3.0, 1.0, 0.7, 5.0, 1.0, 2.0, 0.1, 1.5])


def drawn(noise: Array, by_column: bool = False) -> tuple[Array, Array, Array, Array, Array]:
    """Draw the rows of a small set of ratings, in two parts; return also targets, F and prior.

    Ratings weigh by ALPHA of their row, or by COLUMN_ALPHA of their column.
    """
    ratings = stars(4, 12, 9, 0.5).widened(1, 0)
    rng = np.random.default_rng(1)
    F, mean = rng.normal(size=(9, 3)), rng.normal(size=(13, 3))
    R = ratings.dense
    parts = []
    for columns in (slice(0, 4), slice(4, 9)):
        inside = (ratings.items >= columns.start) & (ratings.items < columns.stop)
        part = ratings.take(inside)
        tile = type(ratings)(
            part.users, part.items - columns.start, part.values, 13, columns.stop - columns.start
        ).tile
        part = RatingBlock(tile, F[columns].astype(np.float32), tile.values.copy())
        parts.append(weighted_columns(part, COLUMN_ALPHA[columns]) if by_column else part)
    alpha = np.ones(13) if by_column else ALPHA
    W, fit = sample_rows(parts, mean.astype(np.float32), PRECISION, alpha, noise.astype(np.float32))
    return W, fit, R, F, mean


def conditional(row: Array, F: Array, mean: Array, alpha: Array) -> tuple[Array, Array]:
    """Return mean and covariance of w given its ratings of precisions alpha (columns), densely."""
    rated = ~np.isnan(row)
    weighted = F[rated].T * alpha[rated]
    A = weighted @ F[rated] + np.diag(PRECISION)
    return np.linalg.solve(A, weighted @ row[rated] + PRECISION * mean), np.linalg.inv(A)


def alpha_of(u: int, by_column: bool) -> Array:
    return COLUMN_ALPHA if by_column else np.full(9, ALPHA[u])


@pytest.mark.parametrize("by_column", [False, True])
def test_without_noise_a_draw_is_the_conditional_mean(by_column: bool) -> None:
    W, fit, R, F, mean = drawn(np.zeros((13, 3)), by_column)
    for u in range(12):
        expected = conditional(R[u], F, mean[u], alpha_of(u, by_column))[0]
        np.testing.assert_allclose(W[u], expected, atol=1e-4)
    assert (W[12] == 0).all()  # no ratings: known of by nobody
    weight = COLUMN_ALPHA if by_column else 1.0
    errors = np.nansum(weight * ((R - W @ F.T) ** 2 - R**2), axis=1)
    np.testing.assert_allclose(fit, errors, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("by_column", [False, True])
def test_draws_have_the_conditional_covariance(by_column: bool) -> None:
    """The three unit vectors of noise give a square root S of the covariance: S S' is all of it."""
    center, _, R, F, mean = drawn(np.zeros((13, 3)), by_column)
    roots = np.stack([drawn(np.tile(e, (13, 1)), by_column)[0] - center for e in np.eye(3)], axis=2)
    for u in range(12):
        expected = conditional(R[u], F, mean[u], alpha_of(u, by_column))[1]
        np.testing.assert_allclose(roots[u] @ roots[u].T, expected, atol=1e-4)


def test_priors_are_drawn_around_what_was_planted() -> None:
    """4,000 rows w = C'v + e: C, the spread of e and that of C come back."""
    rng = np.random.default_rng(2)
    n, k, groups = 4_000, 2, np.array([-1, 0, 0, 0, 1, 1, 1, 1])
    V = np.column_stack([np.ones(n), rng.normal(size=(n, 7))])
    C = np.vstack([[3.0, -5.0], 0.5 * rng.normal(size=(3, k)), 2.0 * rng.normal(size=(4, k))])
    W = V @ C + rng.normal(size=(n, k)) * [0.2, 1.5]
    sums = RowSums.of(V.astype(np.float32), W.astype(np.float32), np.ones(n, int))
    last = Prior.start(8, 2, k)
    draws = []
    for _ in range(200):
        last = sample_prior(sums, V.T @ V, np.ones(8), groups, last, rng)
        draws.append(last)
    kept = draws[20:]
    error = np.mean([p.coefficients for p in kept], axis=0) - C
    assert np.abs(error[:, 0]).max() < 4 * 0.2 / n**0.5
    assert np.abs(error[:, 1]).max() < 4 * 1.5 / n**0.5
    np.testing.assert_allclose(
        np.mean([p.precision for p in kept], axis=0), [0.2**-2, 1.5**-2], rtol=0.1
    )
    spread = np.std([p.coefficients[1, 1] for p in kept])
    assert spread == pytest.approx(1.5 / n**0.5, rel=0.25)
    beta = np.mean([p.group_precision for p in kept], axis=0)
    assert beta[0] > 5 * beta[1]  # the smaller coefficients have the tighter prior


def test_rows_without_ratings_do_not_count() -> None:
    V, W = np.ones((5, 1), np.float32), np.ones((5, 2), np.float32)
    V[3:], W[3:] = 0, 0
    sums = RowSums.of(V, W, np.array([1, 4, 2, 0, 0]))
    assert sums.n_rows == 3
    assert sums.cross.tolist() == [[3.0, 3.0]]
    assert sums.squares.tolist() == [3.0, 3.0]
