"""Splits of ratings into train and test.

Every split is a function of the ratings as a set: the order of rows, their partitioning and the
dense indices do not matter. Ties and random choices go by one hash of (seed, user_id, item_id).
Train and test never share a (user_id, item_id) pair.
"""

import itertools

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from mfspark.config.config import EvaluationOptions
from mfspark.errors import ConfigError

PAIR = ["user_id", "item_id"]


def split_ratings(
    ratings: DataFrame, options: EvaluationOptions, seed: int, given_test: DataFrame | None = None
) -> tuple[DataFrame, DataFrame]:
    """Return (train, test), both with the columns of `ratings`, as `options.split` asks.

    Both read `ratings` again, as `with_is_test` does, which runs the same jobs and raises the same.
    """
    labelled = with_is_test(ratings, options, seed, given_test)
    return labelled.filter("not is_test").drop("is_test"), labelled.filter("is_test").drop(
        "is_test"
    )


def with_is_test(
    ratings: DataFrame, options: EvaluationOptions, seed: int, given_test: DataFrame | None = None
) -> DataFrame:
    """Return the ratings of train and test with a column `is_test`, as `options.split` asks.

    These are the rows of `ratings`, each once; with the split `given` those that are not in
    `given_test`, and its own. `ratings` has one row a (user_id, item_id); `given_test` has its
    columns and is used by that split only. The result is lazy and reads `ratings` again. Small jobs
    run at once: `temporal` brings a count a day and the one row of the cut to the driver,
    `leave_last` looks for one time. Raises ConfigError where a split by time meets ratings none of
    which has a `rated_at`, and where `given` has no test ratings.
    """
    match options.split:
        case "random":
            is_test = _hash_share(seed) < options.test_share
        case "temporal":
            is_test = _is_latest(ratings, options.test_share, seed)
        case "leave_last":
            last = _last_of_each_user(ratings, seed).withColumn("is_last", F.lit(True))
            labelled = ratings.join(last, PAIR, "left")
            return labelled.select(*ratings.columns, F.col("is_last").isNotNull().alias("is_test"))
        case "given":
            if given_test is None:
                raise ConfigError(
                    'evaluation.split = "given", but there are no test ratings',
                    "name their file with --test FILE (inputs.test), or choose another split",
                )
            train = ratings.join(given_test.select(*PAIR), PAIR, "left_anti")
            train, test = (part.select(*ratings.columns) for part in (train, given_test))
            return train.withColumn("is_test", F.lit(False)).unionAll(
                test.withColumn("is_test", F.lit(True))
            )
        case "none":
            is_test = F.lit(False)
    return ratings.withColumn("is_test", is_test)


def validation_folds(
    train: DataFrame, options: EvaluationOptions, seed: int
) -> list[tuple[DataFrame, DataFrame]]:
    """Cut the training part twice as `options.split` cuts all ratings: (fitted on, held out) each.

    No pair is held out twice, so that what was chosen on the first fold can be measured on the
    second. By time the second ends where the first one's held-out ratings begin. The splits `given`
    and `none` say nothing of training ratings, which are then cut at random.
    """
    if options.split in ("given", "none"):
        options = options.model_copy(update={"split": "random"})
    fitted, held_out = split_ratings(train, options, _other_seed(seed, 1))
    second, second_held_out = split_ratings(fitted, options, _other_seed(seed, 2))
    if options.split == "random":
        second = second.unionByName(held_out)
    return [(fitted, held_out), (second, second_held_out)]


def folds_of_pairs(
    ratings: DataFrame, n_folds: int, seed: int
) -> list[tuple[DataFrame, DataFrame]]:
    """Cut ratings into n parts at random (hash of the pair): all others, and the part, for each."""
    share = _hash_share(_other_seed(seed, 4))
    numbers = F.floor(share * n_folds)
    return [_cut(ratings, numbers == fold) for fold in range(n_folds)]


def windows_in_time(
    ratings: DataFrame, n_windows: int, share: float, seed: int
) -> list[tuple[DataFrame, DataFrame]]:
    """Cut the latest `share` of the ratings into windows of equal numbers, one after the other.

    Each window, the earliest first, is measured on what came before it: (before, window). Ties go
    by hash, as in the split `temporal`. Raises ConfigError where no rating has a time.
    """
    starts = [share * (n_windows - window) / n_windows for window in range(n_windows)]
    later = [_is_latest(ratings, start, seed) for start in starts] + [F.lit(False)]
    return [
        (ratings.filter(~begun), ratings.filter(begun & ~ended))
        for begun, ended in itertools.pairwise(later)
    ]


def groups_of_users(
    ratings: DataFrame, n_groups: int, share: float, seed: int
) -> list[tuple[DataFrame, DataFrame, DataFrame]]:
    """Hold out users whole, a group after the other: (ratings of the others, known, wanted).

    `wanted` is a share of the ratings of the group's users, chosen by the hash of the pair; `known`
    are their others.
    """
    group = F.floor(_user_share(_other_seed(seed, 5)) * n_groups)
    is_wanted = _hash_share(_other_seed(seed, 6)) < share
    return [
        (ratings.filter(group != each), *_cut(ratings.filter(group == each), is_wanted))
        for each in range(n_groups)
    ]


def of_some_users(ratings: DataFrame, share: float, seed: int) -> DataFrame:
    """Return all ratings of a share of the users, chosen by a hash of their ids."""
    return ratings.filter(_user_share(_other_seed(seed, 3)) < share)


def _user_share(seed: int) -> Column:
    """Map a user to [0, 1)."""
    return _as_share(F.xxhash64(F.lit(seed), F.col("user_id").cast("string")))


def _other_seed(seed: int, number: int) -> int:
    """Return a seed of another split: the one of the night gave no test rating to its own train."""
    return (seed + number * 1_000_003) % 2**31


def _cut(ratings: DataFrame, is_test: Column) -> tuple[DataFrame, DataFrame]:
    """Cut by a condition that is never null."""
    return ratings.filter(~is_test), ratings.filter(is_test)


def _pair_hash(seed: int) -> Column:
    """Hash a pair to 64 bits; ids go in as text, so their stored type does not matter."""
    return F.xxhash64(F.lit(seed), *(F.col(name).cast("string") for name in PAIR))


def _hash_share(seed: int) -> Column:
    """Map a pair to [0, 1)."""
    return _as_share(_pair_hash(seed))


def _as_share(hashed: Column) -> Column:
    """Map a hash to [0, 1): its upper 53 bits, as many as a double holds exactly."""
    return F.shiftrightunsigned(hashed, 11).cast("double") / float(2**53)


def _is_latest(ratings: DataFrame, share: float, seed: int) -> Column:
    """Return the condition for the latest `share` of all ratings, by (rated_at, hash).

    A rating without time is never the latest; it counts in "all" and stays in train. Two jobs: the
    counts a day (one row a day to the driver), then the cut itself within one day (one row).
    """
    counts = {row["day"]: row["n"] for row in _count_by_day(ratings)}
    undated = counts.pop(None, 0)
    if not counts:
        raise _no_times("temporal")
    n_test = round(share * (undated + sum(counts.values())))
    cut_day, n_within = _day_of_the_cut(counts, n_test)
    if n_within == 0:
        return F.lit(False)
    cut_time, cut_hash = _nth_latest(ratings.filter(_day() == cut_day), n_within, seed)
    is_later = (_time() > cut_time) | ((_time() == cut_time) & (_pair_hash(seed) >= cut_hash))
    return F.coalesce(is_later, F.lit(False))


def _time() -> Column:
    """Microseconds since 1970: comparing integers keeps the driver's time zone out of it."""
    return F.unix_micros(F.col("rated_at"))


def _day() -> Column:
    return F.floor(_time() / F.lit(86_400_000_000))


def _count_by_day(ratings: DataFrame) -> list[Row]:
    return ratings.groupBy(_day().alias("day")).agg(F.count(F.lit(1)).alias("n")).collect()


def _day_of_the_cut(counts: dict[int, int], n_test: int) -> tuple[int, int]:
    """Return the day that the n-th latest rating lies in, and how many of that day are test."""
    for day in sorted(counts, reverse=True):
        if n_test <= counts[day]:
            return day, n_test
        n_test -= counts[day]
    first_day = min(counts)  # more is wanted than has a time: take all that has one
    return first_day, counts[first_day]


def _nth_latest(ratings: DataFrame, n: int, seed: int) -> tuple[int, int]:
    """Return (microseconds, hash) of the n-th latest rating; sorts these ratings in one task."""
    keys = ratings.select(_time().alias("time"), _pair_hash(seed).alias("hash"))
    latest_first = Window.orderBy(F.desc("time"), F.desc("hash"))
    numbered = keys.withColumn("number", F.row_number().over(latest_first))
    row = numbered.filter(F.col("number") == n).collect()[0]
    return row["time"], row["hash"]


def _last_of_each_user(ratings: DataFrame, seed: int) -> DataFrame:
    """Return (user_id, item_id) of the last dated rating of each user with two or more ratings.

    One shuffle by user. Ties go by hash, then by item.
    """
    by_time = F.struct(_time().alias("time"), _pair_hash(seed).alias("hash"), "item_id")
    last = ratings.groupBy("user_id").agg(
        F.max(F.when(F.col("rated_at").isNotNull(), by_time)).alias("last"),
        F.count(F.lit(1)).alias("n"),
    )
    if ratings.filter(F.col("rated_at").isNotNull()).isEmpty():
        raise _no_times("leave_last")
    chosen = last.filter((F.col("n") >= 2) & F.col("last").isNotNull())
    return chosen.select("user_id", F.col("last.item_id").alias("item_id"))


def _no_times(split: str) -> ConfigError:
    return ConfigError(
        f'evaluation.split = "{split}" needs times, but no rating has one (column rated_at)',
        "name the column with the times in ingest.columns.timestamp, "
        'or set evaluation.split = "random"',
    )
