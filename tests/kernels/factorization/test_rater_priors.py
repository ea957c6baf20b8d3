from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.kernels.factorization.rater_priors import (
    item_pulls,
    next_prior_means,
    next_rater_priors,
)
from mfspark.kernels.factorization.sampled_products import sums_over_raters
from tests.support.grids import stars

PRIOR, DAMPING = 2.0, 3.0
RATINGS = stars(1, 14, 11, 0.4).widened(2, 1)  # two users and an item have no ratings
TILE = RATINGS.tile
PATTERN = (~np.isnan(RATINGS.dense)).T.astype(float)  # (items, users)
N_USERS, N_ITEMS = PATTERN.sum(0), PATTERN.sum(1)
FEATURES = PATTERN / np.sqrt(np.maximum(N_ITEMS, 1))[:, None]


def blocks() -> tuple[Arrays, Arrays]:
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(12, 4)).astype(np.float32)
    bias = rng.normal(size=12).astype(np.float32)
    items = {"factors": factors, "bias": bias, "n": N_ITEMS.astype(np.int64)}
    return {"n": N_USERS.astype(np.int64)}, items


def step(users: Arrays, items: Arrays) -> tuple[Arrays, Arrays]:
    every = np.ones(TILE.n_ratings, bool)
    pulls = sums_over_raters(TILE, every, item_pulls(items, PRIOR))
    users = users | {"rater_prior": next_rater_priors(users, pulls, DAMPING)}
    sums = sums_over_raters(TILE.transposed(), every, users["rater_prior"])
    return users, items | {"prior_mean": next_prior_means(items, sums)}


def objective(z: Array, rater_priors: Array) -> float:
    left = z - FEATURES @ rater_priors
    weight = (N_ITEMS + PRIOR) * (N_ITEMS > 0)
    return float(weight @ (left**2).sum(1) + (N_USERS + DAMPING) @ (rater_priors**2).sum(1))


def test_rater_priors_go_to_the_ridge_regression() -> None:
    """Every step lowers the objective, and the end is the solution of the normal equations."""
    users, items = blocks()
    z = np.column_stack([items["factors"], items["bias"]]).astype(float)
    W = np.diag((N_ITEMS + PRIOR) * (N_ITEMS > 0))
    A = FEATURES.T @ W @ FEATURES + np.diag(N_USERS + DAMPING)
    solution = np.linalg.solve(A, FEATURES.T @ W @ z)
    objectives = [objective(z, np.zeros_like(solution))]
    for _ in range(300):
        users, items = step(users, items)
        objectives.append(objective(z, users["rater_prior"]))
    assert (np.diff(objectives[:20]) < 0).all()
    np.testing.assert_allclose(users["rater_prior"], solution, atol=1e-4)
    np.testing.assert_allclose(items["prior_mean"], FEATURES @ solution, atol=1e-4)


def test_who_has_no_ratings_has_no_rater_prior() -> None:
    users, items = step(*blocks())
    assert (users["rater_prior"][14:] == 0).all()
    assert (items["prior_mean"][11:] == 0).all()
    assert users["rater_prior"].dtype == items["prior_mean"].dtype == np.float32


@pytest.mark.parametrize("damping", [1e-3, 1e6])
def test_damping_weighs_rater_priors_down(damping: float) -> None:
    users, items = blocks()
    pulls = sums_over_raters(TILE, np.ones(TILE.n_ratings, bool), item_pulls(items, PRIOR))
    size = np.abs(next_rater_priors(users, pulls, damping)).max()
    assert size < 1e-3 if damping > 1 else size > 0.05
