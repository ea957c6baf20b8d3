"""Of several ratings of one item by one user the newest counts; the others are superseded.

Newest is the latest `rated_at` (none is the oldest), then the later file, line and column. Ratings
of the base run come before all files, so that what is delivered again counts as delivered.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.ingest.row_counts import SUPERSEDED, too_many_repeats
from mfspark.ingest.scratch import Scratch

_BASE_RUN = -1  # stands for the number of the file


def with_base_ratings(ratings: DataFrame, base: DataFrame) -> DataFrame:
    """Add the base run's ratings (user_id, item_id, rating, rated_at) to tonight's."""
    places = {name: F.lit(_BASE_RUN) for name in ("file", "line", "cell")}
    return ratings.unionByName(base.withColumns(places), allowMissingColumns=True)


def is_of_base_run() -> Column:
    """Return whether a rating is one that `with_base_ratings` added."""
    return F.col("file") == _BASE_RUN


def split_duplicates(accepted: DataFrame, scratch: Scratch) -> tuple[DataFrame, DataFrame | None]:
    """Split ratings into the newest of each (user, item) and the superseded ones.

    A shuffle of 8-byte hashes tells whether there are any; mostly there are none and that is all.
    Otherwise the ratings are shuffled, ranked and kept in scratch.
    """
    pair = F.xxhash64("user_id", "item_id").alias("pair")
    repeated = accepted.select(pair).repartition("pair").groupBy("pair").count().where("count > 1")
    if repeated.isEmpty():
        return accepted, None
    newest_first = Window.partitionBy("user_id", "item_id").orderBy(
        F.col("rated_at").desc_nulls_last(), F.desc("file"), F.desc("line"), F.desc("cell")
    )
    ranked = accepted.withColumn("newest", F.row_number().over(newest_first) == 1)
    written = scratch.keep(ranked, "newest")
    return written.where("newest").drop("newest"), written.where("not newest").drop("newest")


def count_repeats(accepted: DataFrame, n_files: int) -> int:
    """Count the ratings of the first files whose pair comes again in one of them; a shuffle.

    The base run's ratings do not count: what is delivered again or anew is what merging is for.
    """
    here = accepted.where(F.col("file").between(0, n_files - 1)).select("user_id", "item_id")
    return here.count() - here.distinct().count()


def too_many(
    superseded: DataFrame, n_repeats: int, n_rows: int, names: Sequence[str]
) -> InputError:
    """Say how many rows repeat a pair, and show one; brings one row to the driver."""
    place = F.struct("file", "line", "cell")
    rows = as_rejected(superseded)
    at = rows.agg(F.min_by(F.struct("file", "line", "raw"), place).alias("first")).first()
    example = f", such as {names[at.first.file]}:{at.first.line}: {at.first.raw}" if at else ""
    return too_many_repeats(n_repeats, n_rows, example)


def count_choices(accepted: DataFrame, scratch: Scratch) -> DataFrame:
    """Make one row of all choices of an item by a user: how many, and the latest; a shuffle.

    Kept in scratch, so that a retried task changes nothing.
    """
    counted = accepted.groupBy("user_id", "item_id").agg(
        F.sum("rating").alias("rating"), F.max("rated_at").alias("rated_at")
    )
    return scratch.keep(counted, "newest")


def as_rejected(superseded: DataFrame) -> DataFrame:
    """Give superseded ratings a reason, and their fields as raw text."""
    fields = [F.col(name).cast("string") for name in ("user_id", "item_id", "rating", "rated_at")]
    return superseded.withColumns({"raw": F.concat_ws(",", *fields), "reason": F.lit(SUPERSEDED)})
