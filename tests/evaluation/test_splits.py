from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mfspark.config.config import EvaluationOptions
from mfspark.errors import ConfigError
from mfspark.evaluation.splits import (
    folds_of_pairs,
    groups_of_users,
    of_some_users,
    split_ratings,
    validation_folds,
    windows_in_time,
)
from mfspark.schemas import IdTypes, spark_schema

START = datetime(2026, 1, 1, tzinfo=UTC)
N_USERS, N_ITEMS = 60, 40
SPLITS = ["random", "temporal", "leave_last", "given", "none"]


def options(split: Any, share: float = 0.2) -> EvaluationOptions:
    return EvaluationOptions(split=split, test_share=share)


def frame(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    return spark.createDataFrame(rows, spark_schema("ratings", IdTypes()))


def rating(user: int, item: int, rated_at: datetime | None) -> tuple[Any, ...]:
    return f"u{user}", f"i{item}", 3.0, rated_at, user, item


@pytest.fixture(scope="module")
def rows() -> list[tuple[Any, ...]]:
    """About half of all pairs; times fall on 200 days, many at the same second."""
    rng = np.random.default_rng(3)
    pairs = [(u, i) for u in range(N_USERS) for i in range(N_ITEMS) if rng.random() < 0.5]
    return [rating(u, i, START + timedelta(hours=int(rng.integers(0, 4800)))) for u, i in pairs]


def pairs_of(ratings: DataFrame) -> set[tuple[Any, Any]]:
    found = [(row.user_id, row.item_id) for row in ratings.collect()]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("split", SPLITS)
def test_train_and_test_are_disjoint_and_together_the_input(
    spark: SparkSession, rows: list[tuple[Any, ...]], split: str
) -> None:
    ratings = frame(spark, rows)
    given = ratings.filter("item_idx % 5 = 0") if split == "given" else None
    train, test = split_ratings(ratings, options(split), 42, given)
    assert train.schema == test.schema == ratings.schema
    together = sorted([tuple(row) for row in train.collect() + test.collect()])
    assert together == sorted(tuple(row) for row in ratings.collect())


@pytest.mark.parametrize("split", ["random", "temporal", "leave_last"])
def test_split_does_not_depend_on_order_parts_or_indices(
    spark: SparkSession, rows: list[tuple[Any, ...]], split: str
) -> None:
    _, test = split_ratings(frame(spark, rows), options(split), 42)
    renumbered = [(*row[:4], 999 - row[4], 999 - row[5]) for row in reversed(rows)]
    other = frame(spark, renumbered).repartition(7, "item_id")
    _, other_test = split_ratings(other, options(split), 42)
    assert pairs_of(test) == pairs_of(other_test)
    assert len(pairs_of(test)) > 0


def test_random_takes_its_share_and_depends_on_the_seed(
    spark: SparkSession, rows: list[tuple[Any, ...]]
) -> None:
    ratings = frame(spark, rows)
    first = pairs_of(split_ratings(ratings, options("random", 0.3), 1)[1])
    second = pairs_of(split_ratings(ratings, options("random", 0.3), 2)[1])
    for test in (first, second):  # 4.5 standard deviations of a binomial share
        assert len(test) / len(rows) == pytest.approx(0.3, abs=4.5 * (0.21 / len(rows)) ** 0.5)
    assert len(first & second) / len(rows) == pytest.approx(0.09, abs=0.04)  # independent draws


def test_random_spreads_over_every_user_and_item(
    spark: SparkSession, rows: list[tuple[Any, ...]]
) -> None:
    test = split_ratings(frame(spark, rows), options("random", 0.5), 7)[1]
    assert {row.user_idx for row in test.collect()} == set(range(N_USERS))
    assert {row.item_idx for row in test.collect()} == set(range(N_ITEMS))


def test_random_is_the_same_for_integer_and_text_ids(spark: SparkSession) -> None:
    numbers = spark.range(2000).select(
        F.col("id").alias("user_id"), (F.col("id") * 7).alias("item_id")
    )
    texts = numbers.select(*(F.col(name).cast("string") for name in numbers.columns))
    of_numbers = pairs_of(split_ratings(numbers, options("random"), 5)[1])
    of_texts = pairs_of(split_ratings(texts, options("random"), 5)[1])
    assert {(str(u), str(i)) for u, i in of_numbers} == of_texts


@pytest.mark.parametrize("share", [0.0001, 0.2, 0.5, 0.99])
def test_temporal_takes_the_latest_share_exactly(
    spark: SparkSession, rows: list[tuple[Any, ...]], share: float
) -> None:
    train, test = split_ratings(frame(spark, rows), options("temporal", share), 42)
    n_test = round(share * len(rows))
    assert test.count() == n_test
    latest = sorted((row[3] for row in rows), reverse=True)[:n_test]
    assert sorted((utc(row) for row in micros(test)), reverse=True) == latest
    assert train.count() == len(rows) - n_test


def micros(ratings: DataFrame) -> list[int]:
    return [row[0] for row in ratings.select(F.unix_micros("rated_at")).collect()]


def utc(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


def test_temporal_breaks_ties_by_hash(spark: SparkSession) -> None:
    ratings = frame(spark, [rating(user, 0, START) for user in range(100)])
    first = pairs_of(split_ratings(ratings, options("temporal", 0.3), 1)[1])
    assert len(first) == 30
    assert first != pairs_of(split_ratings(ratings, options("temporal", 0.3), 2)[1])


def test_temporal_cuts_before_1970_and_within_a_day(spark: SparkSession) -> None:
    before = datetime(1969, 12, 31, 23, tzinfo=UTC)
    times = [before - timedelta(days=1), before, before + timedelta(microseconds=1)]
    ratings = frame(spark, [rating(0, item, time) for item, time in enumerate(times)])
    assert pairs_of(split_ratings(ratings, options("temporal", 0.34), 1)[1]) == {("u0", "i2")}
    assert pairs_of(split_ratings(ratings, options("temporal", 0.67), 1)[0]) == {("u0", "i0")}


def test_ratings_without_time_stay_in_train(spark: SparkSession) -> None:
    dated = [rating(0, item, START + timedelta(days=item)) for item in range(4)]
    undated = [rating(user, 9, None) for user in (0, 1)] + [rating(1, 8, None)]
    ratings = frame(spark, dated + undated)
    train, test = split_ratings(ratings, options("temporal", 0.3), 1)  # 2 of 7
    assert pairs_of(test) == {("u0", "i2"), ("u0", "i3")}
    assert train.count() == 5
    train, test = split_ratings(ratings, options("temporal", 0.99), 1)  # more than have a time
    assert pairs_of(test) == {("u0", f"i{item}") for item in range(4)}
    _, test = split_ratings(ratings, options("leave_last"), 1)
    assert pairs_of(test) == {("u0", "i3")}


@pytest.mark.parametrize("split", ["temporal", "leave_last"])
def test_no_times_at_all_are_refused_with_the_remedy(spark: SparkSession, split: str) -> None:
    ratings = frame(spark, [rating(0, 0, None), rating(0, 1, None)])
    with pytest.raises(ConfigError) as caught:
        split_ratings(ratings, options(split), 1)
    assert caught.value.message == (
        f'evaluation.split = "{split}" needs times, but no rating has one (column rated_at)'
    )
    assert caught.value.hint == (
        "name the column with the times in ingest.columns.timestamp, "
        'or set evaluation.split = "random"'
    )


def test_leave_last_takes_the_last_rating_of_users_with_two(
    spark: SparkSession, rows: list[tuple[Any, ...]]
) -> None:
    lone = rating(N_USERS, 0, START)
    _, test = split_ratings(frame(spark, [*rows, lone]), options("leave_last"), 42)
    last = {user: max(row[3] for row in rows if row[4] == user) for user in range(N_USERS)}
    taken = test.select("user_idx", F.unix_micros("rated_at").alias("time")).collect()
    assert {row.user_idx: utc(row.time) for row in taken} == last
    assert len(taken) == N_USERS


def test_leave_last_breaks_ties_by_hash(spark: SparkSession) -> None:
    ratings = frame(spark, [rating(user, item, START) for user in range(40) for item in (0, 1)])
    first = pairs_of(split_ratings(ratings, options("leave_last"), 1)[1])
    assert len(first) == 40
    assert {item for _, item in first} == {"i0", "i1"}  # and not always the higher id
    assert first != pairs_of(split_ratings(ratings, options("leave_last"), 2)[1])


def test_given_pairs_leave_train_also_where_ratings_lack_them(spark: SparkSession) -> None:
    ratings = frame(spark, [rating(0, 0, None), rating(0, 1, None)])
    given = frame(spark, [("u0", "i1", 5.0, None, 0, 1), ("u7", "i1", 4.0, None, None, 1)])
    train, test = split_ratings(ratings, options("given"), 1, given)
    assert pairs_of(train) == {("u0", "i0")}
    assert {(row.user_id, row.rating) for row in test.collect()} == {("u0", 5.0), ("u7", 4.0)}


def test_given_without_test_ratings_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="--test FILE"):
        split_ratings(frame(spark, [rating(0, 0, None)]), options("given"), 1)


def test_none_keeps_everything_for_training(spark: SparkSession) -> None:
    train, test = split_ratings(frame(spark, [rating(0, 0, None)]), options("none"), 1)
    assert (train.count(), test.count()) == (1, 0)


@pytest.mark.parametrize("split", SPLITS)
def test_validation_folds_hold_out_training_ratings_and_none_twice(
    spark: SparkSession, rows: list[tuple[Any, ...]], split: str
) -> None:
    ratings = frame(spark, rows)
    given = ratings.filter("item_idx % 5 = 0") if split == "given" else None
    train, _ = split_ratings(ratings, options(split), 42, given)
    (first, first_held), (second, second_held) = (
        tuple(map(pairs_of, fold)) for fold in validation_folds(train, options(split), 42)
    )
    assert first | first_held == pairs_of(train)
    assert not first & first_held
    assert not second & second_held
    assert not first_held & second_held
    assert second | second_held <= pairs_of(train)
    least = N_USERS * 0.9 if split == "leave_last" else 0.1 * len(pairs_of(train))
    assert min(len(first_held), len(second_held)) > least


def test_no_validation_fold_by_time_is_fitted_on_what_comes_later(
    spark: SparkSession, rows: list[tuple[Any, ...]]
) -> None:
    train, test = split_ratings(frame(spark, rows), options("temporal"), 42)
    folds = validation_folds(train, options("temporal"), 42)

    def ends(ratings: DataFrame) -> tuple[Any, Any]:
        return ratings.agg(F.min("rated_at"), F.max("rated_at")).collect()[0]

    (first, first_held), (second, second_held) = folds
    assert ends(second)[1] <= ends(second_held)[0]
    assert ends(second_held)[1] <= ends(first_held)[0]
    assert ends(first)[1] <= ends(first_held)[0]
    assert ends(first_held)[1] <= ends(test)[0]


def test_of_some_users_takes_all_ratings_of_each(
    spark: SparkSession, rows: list[tuple[Any, ...]]
) -> None:
    ratings = frame(spark, rows)
    taken = pairs_of(of_some_users(ratings, 0.4, 42))
    users = {user for user, _ in taken}
    assert taken == {pair for pair in pairs_of(ratings) if pair[0] in users}
    assert 0.2 * N_USERS < len(users) < 0.6 * N_USERS


def test_folds_hold_out_every_pair_once(spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    ratings = frame(spark, rows)
    held = []
    for fitted, held_out in folds_of_pairs(ratings, 4, 42):
        assert pairs_of(fitted) | pairs_of(held_out) == pairs_of(ratings)
        assert not pairs_of(fitted) & pairs_of(held_out)
        held.append(pairs_of(held_out))
    assert sum(map(len, held)) == len(rows)
    assert set().union(*held) == pairs_of(ratings)
    assert min(map(len, held)) > 0.15 * len(rows)


def test_windows_follow_one_another(spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    ratings = frame(spark, rows)
    windows = windows_in_time(ratings, 3, 0.3, 42)
    seen = pairs_of(windows[0][0])
    assert len(seen) == pytest.approx(0.7 * len(rows), abs=1)
    latest: Any = None
    for before, window in windows:
        assert pairs_of(before) == seen  # what earlier windows held out is known by now
        assert len(pairs_of(window)) == pytest.approx(0.1 * len(rows), abs=1)
        ends = window.agg(F.min("rated_at"), F.max("rated_at")).collect()[0]
        assert latest is None or latest <= ends[0]
        assert before.agg(F.max("rated_at")).collect()[0][0] <= ends[0]
        seen, latest = seen | pairs_of(window), ends[1]
    assert seen == pairs_of(ratings)


def test_groups_hold_out_users_whole(spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    ratings = frame(spark, rows)
    everybody: list[str] = []
    for fitted, known, wanted in groups_of_users(ratings, 3, 0.25, 42):
        out = {user for user, _ in pairs_of(known) | pairs_of(wanted)}
        assert not out & {user for user, _ in pairs_of(fitted)}
        assert not pairs_of(known) & pairs_of(wanted)
        assert pairs_of(fitted) | pairs_of(known) | pairs_of(wanted) == pairs_of(ratings)
        share = len(pairs_of(wanted)) / len(pairs_of(known) | pairs_of(wanted))
        assert share == pytest.approx(0.25, abs=0.08)
        everybody += out
    assert sorted(everybody) == sorted({f"u{user}" for user in range(N_USERS)})
