"""Metrics against their definitions, user by user in plain Python (tests.support.reference)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mfspark.evaluation.bootstrap import paired_change
from mfspark.evaluation.catalog import NDCG, NOVELTY, RMSE, metric_named, of_kind, of_users
from mfspark.evaluation.metrics import (
    MetricFigure,
    Users,
    as_published,
    errors_of_users,
    figure_of,
    gain,
    intervals_of_users,
    ranking_of_users,
    shares_of,
    sums_of,
    sums_of_users,
    value_of_users,
)
from tests.support.reference import clustered_interval, mean_interval, ranking_of_user

NONE = MetricFigure(None, None, None, 0)


def figures(users: Users) -> dict[str, MetricFigure]:
    """Return all metrics of the numbers of some users."""
    rows = zip(of_users(), sums_of_users(users), strict=True)
    return {metric.name: figure_of(metric, sums) for metric, sums in rows}


def of_errors(errors: dict[str, list[float]]) -> dict[str, MetricFigure]:
    users = np.repeat(np.arange(len(errors)), [len(each) for each in errors.values()])
    flat = np.array([error for each in errors.values() for error in each])
    return figures(errors_of_users(users, flat, len(errors)))


def hits_of(lists: list[list[int]], relevant: list[set[int]], k: int) -> np.ndarray:
    hits = np.zeros((len(lists), k), bool)
    for u, ranked in enumerate(lists):
        top = ranked[:k]
        hits[u, : len(top)] = [item in relevant[u] for item in top]
    return hits


def of_lists(lists: list[list[int]], relevant: list[set[int]], k: int) -> dict[str, MetricFigure]:
    n_relevant = np.array([len(each) for each in relevant])
    return figures(ranking_of_users(hits_of(lists, relevant, k), n_relevant))


# --- ratings ------------------------------------------------------------------------------------


def test_rating_metrics_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    errors = {f"u{u}": rng.normal(size=u % 7).tolist() for u in range(50)}
    found = of_errors(errors)
    rated = {user: each for user, each in errors.items() if each}
    squared = {user: [error**2 for error in each] for user, each in rated.items()}
    absolute = {user: [abs(error) for error in each] for user, each in rated.items()}
    rmse = tuple(math.sqrt(x) for x in clustered_interval(squared))
    assert found["rmse"][:3] == pytest.approx(rmse, rel=1e-9)
    assert found["mae"][:3] == pytest.approx(clustered_interval(absolute), rel=1e-9)
    assert found["rmse"].n == sum(len(each) for each in errors.values())


def test_rating_metrics_by_hand() -> None:
    found = of_errors({"a": [1.0, 0.0], "b": [-3.0]})
    mse, half = 10 / 3, 1.96 * math.sqrt((1 - 20 / 3) ** 2 + (9 - 10 / 3) ** 2) / 3
    assert half > mse  # so the lower end is 0, not the root of a negative number
    assert found["rmse"][:3] == pytest.approx((mse**0.5, 0.0, (mse + half) ** 0.5))
    assert found["mae"].value == pytest.approx(4 / 3)


def test_exact_predictions_have_a_closed_interval() -> None:
    found = of_errors({user: [0.1 + 0.7 - 0.1] for user in "abc"})  # no spread: rounding only
    assert found["rmse"][:3] == pytest.approx((0.7, 0.7, 0.7), abs=1e-7)


def test_one_user_has_no_interval() -> None:
    found = of_errors({"a": [1.0, 0.0]})
    assert found["rmse"] == (pytest.approx(0.5**0.5), None, None, 2)
    assert found["mae"] == (0.5, None, None, 2)


def test_intervals_are_measured_where_there_are_any() -> None:
    """Ends belong to the interval; predictions without one do not count."""
    whose, ratings = np.array([0, 0, 1, 1]), np.array([4.0, 5.0, 1.0, 1.0])
    low, high = np.array([2.0, 2.5, 1.0, np.nan]), np.array([4.0, 4.5, 4.0, np.nan])
    errors = errors_of_users(whose, np.zeros(4), 2)
    users = errors | intervals_of_users(whose, low, high, ratings, 2)
    found = figures(users)
    assert found["interval_coverage"] == (pytest.approx(2 / 3), None, None, 3)
    assert found["interval_width"] == (pytest.approx(7 / 3), None, None, 3)
    assert found["rmse"].n == 4
    assert {figures(errors)[name] for name in ("interval_coverage", "interval_width")} == {NONE}


def test_nothing_measured_gives_no_figure() -> None:
    assert set(of_errors({}).values()) == {NONE}
    assert set(figures({}).values()) == {NONE}


def test_rmse_is_over_ratings_not_over_users() -> None:
    users, errors = np.array([2, 0, 0, 2, 2]), np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    found = errors_of_users(users, errors, 4)
    assert figure_of(RMSE, sums_of(shares_of(RMSE, found))).value == pytest.approx(
        np.sqrt(np.mean(errors**2))
    )
    assert found["n_test"].tolist() == [2, 0, 3, 0]
    assert found["absolute_error"].tolist() == [2.5, 0, 4, 0]


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 5, 10, 50])
def test_ranking_metrics_are_those_of_the_definition(k: int) -> None:
    rng = np.random.default_rng(k)
    n_items = 20
    lists = [rng.permutation(n_items)[: rng.integers(0, 13)].tolist() for _ in range(40)]
    relevant = [set(rng.permutation(n_items)[: rng.integers(0, 9)].tolist()) for _ in lists]
    hits, n_relevant = hits_of(lists, relevant, k), np.array([len(each) for each in relevant])
    users = ranking_of_users(hits, n_relevant)
    assert users.keys() - {"n_relevant"} == {metric.name for metric in of_kind("ranking")}
    expected = [ranking_of_user(lists[u], each, k) for u, each in enumerate(relevant) if each]
    for name in expected[0]:
        theirs = [each[name] for each in expected]
        assert users[name][n_relevant > 0].tolist() == pytest.approx(theirs, abs=1e-12), name
        assert not users[name][n_relevant == 0].any()
        found = figures(users)[name]
        assert found[:3] == pytest.approx(mean_interval(theirs), abs=1e-9), name
        assert found.n == len(expected)


def test_ranking_metrics_by_hand() -> None:
    # User 0 hits one of two at rank 2, user 1 nothing, user 2 has no list, user 3 nothing relevant.
    found = of_lists([[7, 8, 9], [7], [], []], [{8, 3}, {2}, {7}, set()], 3)
    gained, ideal = 1 / math.log2(3), 1 + 1 / math.log2(3)
    values = {
        "precision": 1 / 3,
        "recall": 1 / 2,
        "recall_capped": 1 / 2,
        "ndcg": gained / ideal,
        "hit_rate": 1.0,
        "mrr": 1 / 2,
        "map": 1 / 4,
    }
    for metric, value in values.items():
        assert found[metric].value == pytest.approx(value / 3), metric
        assert found[metric].n == 3


def test_recall_divides_by_all_relevant_and_capped_by_at_most_k() -> None:
    found = of_lists([[0, 1]], [{0, 1, 2, 3, 4}], 2)
    assert found["recall"].value == pytest.approx(2 / 5)
    assert found["recall_capped"].value == 1.0
    assert found["ndcg"].value == pytest.approx(1.0)


def test_no_relevant_items_leave_the_means_unknown() -> None:
    assert of_lists([[0]], [set()], 5)["ndcg"] == NONE


def test_one_user_with_relevant_items_has_no_interval() -> None:
    assert of_lists([[0]], [{0}], 5)["hit_rate"] == (1.0, None, None, 1)


def test_intervals_of_shares_stay_inside_0_and_1() -> None:
    half = 1.96 * math.sqrt(1 / 3) / math.sqrt(3)
    two, one = ([[int(user >= n)] for user in range(3)] for n in (2, 1))
    relevant = [{0}] * 3
    assert of_lists(two, relevant, 1)["hit_rate"][:3] == pytest.approx((2 / 3, 2 / 3 - half, 1.0))
    assert of_lists(one, relevant, 1)["hit_rate"][:3] == pytest.approx((1 / 3, 0.0, 1 / 3 + half))


def test_a_figure_of_lists_is_a_mean_over_the_lists_that_have_it() -> None:
    found = figure_of(
        NOVELTY, sums_of_users({"novelty": np.array([2.0, np.nan, 4.0])})[_at("novelty")]
    )
    assert found == (3.0, pytest.approx(3 - 1.96), pytest.approx(3 + 1.96), 2)


# --- sums and tables ----------------------------------------------------------------------------


def test_sums_of_blocks_add_up_to_those_of_all() -> None:
    rng = np.random.default_rng(8)
    whose, errors = rng.integers(0, 30, 200), rng.normal(size=200)
    users = errors_of_users(whose, errors, 30)
    users |= ranking_of_users(rng.random((30, 5)) < 0.2, rng.integers(0, 4, 30))
    users["novelty"] = np.where(rng.random(30) < 0.3, np.nan, rng.random(30))
    parts = [{name: column[block::3] for name, column in users.items()} for block in range(3)]
    summed = sum(map(sums_of_users, parts), np.zeros(()))
    np.testing.assert_allclose(summed, sums_of_users(users), rtol=1e-12)


def test_what_a_user_was_not_measured_by_is_not_published() -> None:
    nan = np.array([np.nan])
    users = errors_of_users(np.array([0]), np.array([2.0]), 2)
    users |= intervals_of_users(np.array([0]), nan, nan, np.array([3.0]), 2)
    users |= ranking_of_users(np.array([[False], [True]]), np.array([0, 1]))
    found = {name: column.tolist() for name, column in as_published(users).items()}
    none = pytest.approx(math.nan, nan_ok=True)
    assert (found["n_test"], found["squared_error"]) == ([1, none], [4, none])
    assert (found["n_intervals"], found["n_inside"]) == ([0, none], [none, none])
    assert (found["n_relevant"], found["ndcg"]) == ([none, 1], [none, 1])


def test_a_gain_is_positive_where_the_metric_got_better() -> None:
    assert gain(NDCG, np.array([1.0, 4.0, 2.0, 4.0])) == pytest.approx(0.25)
    assert gain(RMSE, np.array([4.0, 1.0, 1.0, 1.0])) == pytest.approx(1.0)
    assert value_of_users(RMSE, np.array([8.0, 2.0])) == 2.0


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


def _at(name: str) -> int:
    return of_users().index(metric_named(name))
