from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.tile import Arrays
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.factorization.scores import best_items, bias_scores, scores_of_pairs
from tests.support.grids import Array, stars
from tests.support.reference import best_of_row

MEAN = 3.25


def factors(seed: int, n_rows: int, rank: int) -> Arrays:
    """Quarters, so that float32 sums are exact and ties are many; rows 1 and 4 have no ratings."""
    rng = np.random.default_rng(seed)
    return {
        "factors": (rng.integers(-2, 3, (n_rows, rank)) / 2).astype(np.float32),
        "bias": (rng.integers(-2, 3, n_rows) / 4).astype(np.float32),
        "n": np.where(np.isin(np.arange(n_rows), [1, 4]), 0, 3),
    }


def dense_scores(users: Arrays, items: Arrays) -> Array:
    return MEAN + users["bias"][:, None] + items["bias"] + users["factors"] @ items["factors"].T


def known(users: Arrays, items: Arrays) -> Array:
    return (users["n"] > 0)[:, None] & (items["n"] > 0)


@pytest.mark.parametrize("rank", [0, 3])
def test_scores_of_pairs(rank: int) -> None:
    users, items, pairs = factors(1, 12, rank), factors(2, 9, rank), stars(3, 12, 9, 0.4)
    expected = np.where(known(users, items), dense_scores(users, items), np.nan)
    score = scores_of_pairs(MEAN, users, items, pairs.tile)
    assert np.isnan(score).any()
    np.testing.assert_allclose(score, expected[pairs.users, pairs.items], atol=1e-12)


def test_bias_scores_are_never_unknown() -> None:
    users, items, pairs = factors(1, 12, 0), factors(2, 9, 0), stars(3, 12, 9, 0.4)
    score = bias_scores(MEAN, users, items, pairs.tile)
    np.testing.assert_allclose(score, dense_scores(users, items)[pairs.users, pairs.items])


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("n", [1, 4, 20])
def test_best_items(rank: int, n: int) -> None:
    users, items, seen = factors(1, 12, rank), factors(2, 9, rank), stars(3, 12, 9, 0.3)
    scores = np.where(known(users, items), dense_scores(users, items), -np.inf)
    scores[seen.users, seen.items] = -np.inf
    empty = RankedLists.empty(12, n)
    lists = best_items(MEAN, users, items, seen.tile, 10 * np.arange(9), empty)
    for row in range(12):
        best = best_of_row(scores[row], n)
        assert lists.indices[row, : len(best)].tolist() == [10 * c for c in best]
        assert lists.scores[row, : len(best)].tolist() == scores[row, best].tolist()
        assert lists.lengths[row] == len(best)
    assert lists.lengths[[1, 4]].tolist() == [0, 0]


def test_best_items_of_no_users_and_of_no_items() -> None:
    for n_users, n_items in ((0, 3), (3, 0)):
        seen = stars(1, 3, 3, 0.5).tile
        empty = type(seen).from_triples(*np.empty((3, 0), int), n_users, n_items)
        users, items = factors(1, n_users, 2), factors(2, n_items, 2)
        start = RankedLists.empty(n_users, 2)
        lists = best_items(MEAN, users, items, empty, np.arange(n_items), start)
        assert lists.lengths.tolist() == [0] * n_users
