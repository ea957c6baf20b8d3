"""Statistics of each user and each item, as pandas' `describe` computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from mfspark.schemas import Side

_NUMBERS = ("mean", "std", "min", "q25", "median", "q75", "max")


def _sample_deviation(name: str) -> Column:
    """Return the sample's standard deviation from two plain sums; null for a single value.

    Sums of whole- and half-star ratings are exact in any order. `stddev_samp` merges partial means,
    and its last bits change with the order in which Spark happens to merge them.
    """
    n, total = F.count(name), F.sum(name)
    squares = F.sum(F.col(name) * F.col(name)) - total * total / n
    variance = F.when(F.max(name) == F.min(name), F.lit(0.0)).otherwise(
        F.greatest(squares, F.lit(0.0)) / F.nullif(n - 1, F.lit(0))
    )
    return F.when(n > 1, F.sqrt(variance))


def with_statistics(ids: DataFrame, ratings: DataFrame, side: Side) -> DataFrame:
    """Return the statistics columns of the `users` or `items` table, a row for each of `ids`.

    `ids` is (id, idx); `ratings` has the side's id, rating and rated_at. The standard deviation is
    the sample's (null for a single rating); quartiles are interpolated linearly. An id without
    ratings has n_ratings 0 and nulls. Shuffles the ratings by id.
    """
    id_column = f"{side}_id"
    quartiles = F.percentile("rating", F.array(F.lit(0.25), F.lit(0.5), F.lit(0.75)))
    grouped = ratings.groupBy(id_column).agg(
        F.count("*").alias("n_ratings"),
        F.avg("rating").alias("mean"),
        _sample_deviation("rating").alias("std"),
        F.min("rating").alias("min"),
        quartiles.alias("quartiles"),
        F.max("rating").alias("max"),
        F.min("rated_at").alias("first_rated_at"),
        F.max("rated_at").alias("last_rated_at"),
    )
    named = [F.col("quartiles")[i].alias(name) for i, name in enumerate(("q25", "median", "q75"))]
    statistics = grouped.select("*", *named)
    return (
        ids.select(F.col("id").alias(id_column), F.col("idx").alias(f"{side}_idx"))
        .join(statistics, id_column, "left")
        .select(
            id_column,
            f"{side}_idx",
            F.coalesce("n_ratings", F.lit(0)).cast("bigint").alias("n_ratings"),
            *_NUMBERS,
            "first_rated_at",
            "last_rated_at",
        )
    )
