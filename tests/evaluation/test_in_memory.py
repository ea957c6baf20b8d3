from __future__ import annotations

import numpy as np
import pytest

from mfspark.evaluation.bootstrap import paired_change
from mfspark.evaluation.catalog import NDCG, RMSE, of_kind
from mfspark.evaluation.in_memory import (
    errors_of_users,
    gain,
    interval_of,
    ranking_of_users,
    value_of_users,
)
from tests.support.reference import clustered_interval, mean_interval, ranking_of_user


@pytest.mark.parametrize("k", [1, 5, 12])
def test_ranking_metrics_of_each_user_are_those_of_the_definition(k: int) -> None:
    rng = np.random.default_rng(k)
    n_users, n_items = 40, 30
    lists = [rng.permutation(n_items)[: rng.integers(0, 13)] for _ in range(n_users)]
    relevant = [set(rng.permutation(n_items)[: rng.integers(0, 9)].tolist()) for _ in lists]
    users = np.repeat(np.arange(n_users), [len(each) for each in lists])
    ranks = np.concatenate([np.arange(1, len(each) + 1) for each in lists])
    hits = np.array([i in relevant[u] for u, each in enumerate(lists) for i in each.tolist()])
    order = rng.permutation(len(users))
    n_relevant = np.array([len(each) for each in relevant])
    found = ranking_of_users(users[order], ranks[order], hits[order], n_relevant, k)
    assert found.keys() == {metric.name for metric in of_kind("ranking")}
    for u in range(n_users):
        mine = {name: values[u] for name, values in found.items()}
        if relevant[u]:
            assert mine == pytest.approx(ranking_of_user(lists[u].tolist(), relevant[u], k))
        else:
            assert set(mine.values()) == {0.0}


def test_rmse_is_over_ratings_not_over_users() -> None:
    users, errors = np.array([2, 0, 0, 2, 2]), np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    found = errors_of_users(users, errors, 4)
    sums = np.array([found["squared_error"].sum(), found["n_test"].sum()])
    assert value_of_users(RMSE, sums) == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert found["n_test"].tolist() == [2, 0, 3, 0]
    assert found["absolute_error"].tolist() == [2.5, 0, 4, 0]


def test_a_gain_is_positive_where_the_metric_got_better() -> None:
    assert gain(NDCG, np.array([1.0, 4.0, 2.0, 4.0])) == pytest.approx(0.25)
    assert gain(RMSE, np.array([4.0, 1.0, 1.0, 1.0])) == pytest.approx(1.0)


def test_the_interval_of_a_gain_is_that_of_the_mean_difference() -> None:
    rng = np.random.default_rng(3)
    before = rng.random(900)
    after = before + 0.02 + 0.1 * rng.normal(size=900)
    ones = np.ones(900)
    users = np.column_stack([before, ones, after, ones])
    change = paired_change(users, lambda sums: gain(NDCG, sums), seed=1)
    difference = after - before
    half = 1.96 * difference.std(ddof=1) / 30
    assert change.value == pytest.approx(difference.mean(), abs=1e-12)
    assert [change.low, change.high] == pytest.approx(
        [difference.mean() - half, difference.mean() + half], abs=0.15 * half
    )


def test_intervals_are_those_of_the_definitions() -> None:
    rng = np.random.default_rng(5)
    losses = {f"u{u}": rng.normal(size=1 + u % 7).tolist() for u in range(50)}
    squares = {user: [error**2 for error in errors] for user, errors in losses.items()}
    users = np.array([[sum(each), len(each)] for each in squares.values()])
    _, low, high = clustered_interval(squares)
    assert interval_of(RMSE, users) == pytest.approx((low**0.5, high**0.5))
    values = rng.random(40).tolist()
    _, low, high = mean_interval(values)
    assert interval_of(NDCG, np.column_stack([values, np.ones(40)])) == pytest.approx((low, high))
    assert interval_of(NDCG, np.ones((1, 2))) == (None, None)
    assert interval_of(NDCG, np.array([[1.0, 1.0], [0.9, 1.0]]))[1] == 1.0
