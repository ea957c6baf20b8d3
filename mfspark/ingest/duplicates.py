"""Of several ratings of one item by one user the newest counts; the others are superseded.

Newest is the latest `rated_at` (none is the oldest), then the later file, line and column. Ratings
of the base run come before all files, so that what is delivered again counts as delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SUPERSEDED = "superseded_duplicate"
_BASE_RUN = -1  # stands for the number of the file


def with_base_ratings(ratings: DataFrame, base: DataFrame) -> DataFrame:
    """Add the base run's ratings (user_id, item_id, rating, rated_at) to tonight's."""
    places = {name: F.lit(_BASE_RUN) for name in ("file", "line", "cell")}
    return ratings.unionByName(base.withColumns(places), allowMissingColumns=True)


def is_of_base_run() -> Column:
    """Return whether a rating is one that `with_base_ratings` added."""
    return F.col("file") == _BASE_RUN


def split_duplicates(accepted: DataFrame, path: str) -> tuple[DataFrame, DataFrame | None]:
    """Split ratings into the newest of each (user, item) and the superseded ones.

    A shuffle of 8-byte hashes tells whether there are any; mostly there are none and that is all.
    Otherwise the ratings are shuffled, ranked and written to `path`.
    """
    pair = F.xxhash64("user_id", "item_id").alias("pair")
    repeated = accepted.select(pair).repartition("pair").groupBy("pair").count().where("count > 1")
    if repeated.isEmpty():
        return accepted, None
    newest_first = Window.partitionBy("user_id", "item_id").orderBy(
        F.col("rated_at").desc_nulls_last(), F.desc("file"), F.desc("line"), F.desc("cell")
    )
    ranked = accepted.withColumn("newest", F.row_number().over(newest_first) == 1)
    ranked.write.mode("overwrite").parquet(path)
    written = accepted.sparkSession.read.schema(ranked.schema).parquet(path)
    return written.where("newest").drop("newest"), written.where("not newest").drop("newest")


def as_rejected(superseded: DataFrame) -> DataFrame:
    """Give superseded ratings a reason, and their fields as raw text."""
    fields = [F.col(name).cast("string") for name in ("user_id", "item_id", "rating", "rated_at")]
    return superseded.withColumns({"raw": F.concat_ws(",", *fields), "reason": F.lit(SUPERSEDED)})
