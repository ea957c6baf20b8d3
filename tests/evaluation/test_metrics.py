from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from mfspark.evaluation.metrics import (
    ranking_metrics,
    rating_metrics,
    user_errors,
    user_ranks,
)
from tests.support.reference import clustered_interval, mean_interval, ranking_of_user

Figures = tuple[float | None, float | None, float | None]
LISTS = "model string, user_idx int, rank int, item_idx int"
TEST = "user_idx int, item_idx int, rating double"
PREDICTIONS = "model string, user_id string, rating double, prediction double, tier string"
ENDS = "prediction_low double, prediction_high double"


def predictions(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    """Return rows of test_predictions; those of five columns have no interval."""
    whole = [row if len(row) == 7 else (*row, None, None) for row in rows]
    return spark.createDataFrame(whole, f"{PREDICTIONS}, {ENDS}")


def measured(
    lists: DataFrame, test: DataFrame, k: int, relevant: float, n_candidates: int | None
) -> DataFrame:
    return ranking_metrics(lists, user_ranks(lists, test, k, relevant), k, n_candidates)


def by_metric(metrics: DataFrame) -> dict[tuple[str, str], Any]:
    assert metrics.columns == ["model", "metric", "k", "value", "low", "high", "n"]
    rows = metrics.collect()
    found = {(row.model, row.metric): row for row in rows}
    assert len(found) == len(rows)
    return found


def figures(row: Any) -> Figures:
    return row.value, row.low, row.high


# --- ratings ------------------------------------------------------------------------------------


def test_rating_metrics_of_random_predictions(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    rows = [
        (model, f"u{user}", float(rng.integers(1, 6)), float(rng.normal(3, 1)), model)
        for model in ("als", "baseline")
        for user in range(30)
        for _ in range(1 + user % 7)
    ]
    found = by_metric(rating_metrics(user_errors(predictions(spark, rows))))
    assert len(found) == 4
    for model in ("als", "baseline"):
        squared: dict[str, list[float]] = {}
        absolute: dict[str, list[float]] = {}
        for _, user, rating, prediction, _ in (row for row in rows if row[0] == model):
            squared.setdefault(user, []).append((prediction - rating) ** 2)
            absolute.setdefault(user, []).append(abs(prediction - rating))
        rmse = tuple(math.sqrt(x) for x in clustered_interval(squared))
        assert figures(found[model, "rmse"]) == pytest.approx(rmse, rel=1e-9)
        assert figures(found[model, "mae"]) == pytest.approx(clustered_interval(absolute), rel=1e-9)
        assert found[model, "rmse"].n == sum(len(losses) for losses in squared.values())
        assert found[model, "rmse"].k is None


def test_rating_metrics_by_hand(spark: SparkSession) -> None:
    rows = [("m", "a", 4.0, 3.0, "m"), ("m", "a", 5.0, 5.0, "m"), ("m", "b", 1.0, 4.0, "m")]
    found = by_metric(rating_metrics(user_errors(predictions(spark, rows))))
    mse, half = 10 / 3, 1.96 * math.sqrt((1 - 20 / 3) ** 2 + (9 - 10 / 3) ** 2) / 3
    assert half > mse  # so the lower end is 0, not the root of a negative number
    assert figures(found["m", "rmse"]) == pytest.approx((mse**0.5, 0.0, (mse + half) ** 0.5))
    assert found["m", "mae"].value == pytest.approx(4 / 3)


def test_exact_predictions_have_a_closed_interval(spark: SparkSession) -> None:
    rows = [("m", user, 0.1, 0.1 + 0.7, "m") for user in "abc"]  # no spread: rounding only
    found = by_metric(rating_metrics(user_errors(predictions(spark, rows))))
    assert figures(found["m", "rmse"]) == pytest.approx((0.7, 0.7, 0.7), abs=1e-7)


def test_one_user_has_no_interval(spark: SparkSession) -> None:
    rows = [("m", "a", 4.0, 3.0, "m"), ("m", "a", 5.0, 5.0, "m")]
    found = by_metric(rating_metrics(user_errors(predictions(spark, rows))))
    assert figures(found["m", "rmse"]) == (pytest.approx(0.5**0.5), None, None)
    assert figures(found["m", "mae"]) == (0.5, None, None)


def test_intervals_are_measured_where_there_are_any(spark: SparkSession) -> None:
    """Ends belong to the interval; predictions without one do not count."""
    rows: list[tuple[Any, ...]] = [
        ("sure", "a", 4.0, 3.0, "sure", 2.0, 4.0),
        ("sure", "a", 5.0, 3.0, "sure", 2.5, 4.5),
        ("sure", "b", 1.0, 2.0, "sure", 1.0, 4.0),
        ("sure", "b", 1.0, 3.5, "baseline"),
        ("plain", "a", 4.0, 3.0, "plain"),
    ]
    found = by_metric(rating_metrics(user_errors(predictions(spark, rows))))
    assert {metric for model, metric in found if model == "plain"} == {"rmse", "mae"}
    coverage, width = found["sure", "interval_coverage"], found["sure", "interval_width"]
    assert figures(coverage) == (pytest.approx(2 / 3), None, None)
    assert figures(width) == (pytest.approx(7 / 3), None, None)
    assert (coverage.n, width.n, found["sure", "rmse"].n) == (3, 3, 4)


def test_no_predictions_give_no_rows(spark: SparkSession) -> None:
    assert rating_metrics(user_errors(predictions(spark, []))).isEmpty()


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_ranking_metrics_of_random_lists(spark: SparkSession, k: int) -> None:
    rng = np.random.default_rng(k)
    n_users, n_items = 25, 20
    ranked = {  # lists of 0 to 12 items: shorter and longer than k
        (model, user): rng.permutation(n_items)[: rng.integers(0, 13)].tolist()
        for model in ("als", "popularity")
        for user in range(n_users)
    }
    ratings = {
        (user, item): float(rng.integers(1, 6))
        for user in range(n_users)
        for item in rng.permutation(n_items)[: rng.integers(0, 9)].tolist()
    }
    lists = [(m, u, r, i) for (m, u), items in ranked.items() for r, i in enumerate(items, 1)]
    test = [(user, item, rating) for (user, item), rating in ratings.items()]
    metrics = measured(
        spark.createDataFrame(lists, LISTS), spark.createDataFrame(test, TEST), k, 4.0, n_items
    )
    found = by_metric(metrics)
    relevant: dict[int, set[int]] = {}
    for (user, item), rating in ratings.items():
        if rating >= 4.0:
            relevant.setdefault(user, set()).add(item)
    for model in ("als", "popularity"):
        users = [ranking_of_user(ranked[model, u], items, k) for u, items in relevant.items()]
        for metric in users[0]:
            expected = mean_interval([user[metric] for user in users])
            assert figures(found[model, metric]) == pytest.approx(expected, abs=1e-9), metric
            assert (found[model, metric].n, found[model, metric].k) == (len(relevant), k)
        covered = {item for (m, _), items in ranked.items() if m == model for item in items[:k]}
        assert figures(found[model, "coverage"]) == (len(covered) / n_items, None, None)
    assert len(found) == 2 * 8


def test_ranking_metrics_by_hand(spark: SparkSession) -> None:
    lists = [("m", 0, 1, 7), ("m", 0, 2, 8), ("m", 0, 3, 9), ("m", 1, 1, 7)]
    test = [(0, 8, 5.0), (0, 3, 4.0), (0, 9, 3.9), (1, 2, 5.0), (2, 7, 4.0), (3, 7, 1.0)]
    found = by_metric(
        measured(spark.createDataFrame(lists, LISTS), spark.createDataFrame(test, TEST), 3, 4.0, 10)
    )
    # User 0 hits one of two at rank 2, user 1 nothing, user 2 has no list, user 3 nothing relevant.
    gain, ideal = 1 / math.log2(3), 1 + 1 / math.log2(3)
    values = {
        "precision": 1 / 3,
        "recall": 1 / 2,
        "recall_capped": 1 / 2,
        "ndcg": gain / ideal,
        "hit_rate": 1.0,
        "mrr": 1 / 2,
        "map": 1 / 4,
    }
    for metric, value in values.items():
        assert found["m", metric].value == pytest.approx(value / 3), metric
        assert found["m", metric].n == 3
    assert found["m", "coverage"].value == pytest.approx(3 / 10)
    assert found["m", "coverage"].n == 10


def test_recall_divides_by_all_relevant_and_capped_by_at_most_k(spark: SparkSession) -> None:
    lists = spark.createDataFrame([("m", 0, 1, 0), ("m", 0, 2, 1)], LISTS)
    test = spark.createDataFrame([(0, item, 5.0) for item in range(5)], TEST)
    found = by_metric(measured(lists, test, 2, 4.0, None))
    assert found["m", "recall"].value == pytest.approx(2 / 5)
    assert found["m", "recall_capped"].value == 1.0
    assert found["m", "ndcg"].value == pytest.approx(1.0)
    assert ("m", "coverage") not in found


def test_a_model_without_a_hit_has_zeros(spark: SparkSession) -> None:
    lists = spark.createDataFrame([("good", 0, 1, 0), ("bad", 0, 1, 1)], LISTS)
    test = spark.createDataFrame([(0, 0, 5.0), (1, 0, 5.0)], TEST)
    found = by_metric(measured(lists, test, 1, 4.0, 2))
    assert found["good", "recall"].value == 0.5
    assert figures(found["bad", "recall"]) == (0.0, 0.0, 0.0)


def test_no_relevant_items_leave_the_means_unknown(spark: SparkSession) -> None:
    lists = spark.createDataFrame([("m", 0, 1, 0)], LISTS)
    test = spark.createDataFrame([(0, 0, 2.0)], TEST)
    found = by_metric(measured(lists, test, 5, 4.0, 4))
    assert figures(found["m", "ndcg"]) == (None, None, None)
    assert found["m", "ndcg"].n == 0
    assert found["m", "coverage"].value == 0.25


def test_one_user_with_relevant_items_has_no_interval(spark: SparkSession) -> None:
    lists = spark.createDataFrame([("m", 0, 1, 0)], LISTS)
    found = by_metric(measured(lists, spark.createDataFrame([(0, 0, 5.0)], TEST), 5, 4.0, 4))
    assert figures(found["m", "hit_rate"]) == (1.0, None, None)


def test_intervals_of_shares_stay_inside_0_and_1(spark: SparkSession) -> None:
    test = spark.createDataFrame([(user, 0, 5.0) for user in range(3)], TEST)
    hits = {"two of three": 2, "one of three": 1}
    lists = [(m, user, 1, int(user >= n)) for m, n in hits.items() for user in range(3)]
    found = by_metric(measured(spark.createDataFrame(lists, LISTS), test, 1, 4.0, None))
    half = 1.96 * math.sqrt(1 / 3) / math.sqrt(3)
    assert figures(found["two of three", "hit_rate"]) == pytest.approx((2 / 3, 2 / 3 - half, 1.0))
    assert figures(found["one of three", "hit_rate"]) == pytest.approx((1 / 3, 0.0, 1 / 3 + half))


def test_no_lists_give_no_rows(spark: SparkSession) -> None:
    test = spark.createDataFrame([(0, 0, 5.0)], TEST)
    assert measured(spark.createDataFrame([], LISTS), test, 5, 4.0, 4).isEmpty()
