"""Ids: the type they are stored in, and their dense numbers, stable from night to night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.schemas import IdTypes

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from mfspark.schemas import IdType, Side

MAX_INDEX = 2**31 - 1
SPARK_TYPE: dict[IdType, str] = {"integer": "bigint", "string": "string"}


def id_types(accepted: DataFrame, option: str, previous: IdTypes | None = None) -> IdTypes:
    """Return how user and item ids are stored; one pass over the columns user_id and item_id.

    `auto` gives integers on a side where every id is a plain integer: digits only, no leading
    zeros, no sign, within int64. See `decide_type` for how a previous night counts.
    """
    plain = accepted.agg(
        F.every(is_plain_integer("user_id")).alias("user"),
        F.every(is_plain_integer("item_id")).alias("item"),
    ).first()
    assert plain is not None
    return IdTypes(
        decide_type("user", bool(plain.user), option, previous),
        decide_type("item", bool(plain.item), option, previous),
    )


def is_plain_integer(column: str) -> Column:
    """Return whether an id is a plain integer: text that is the same after a round trip."""
    number = F.col(column).try_cast("bigint")
    same = (number >= 0) & (number.cast("string") == F.col(column))
    return F.coalesce(same, F.lit(False))


def decide_type(side: Side, all_plain: bool, option: str, previous: IdTypes | None) -> IdType:
    """Choose the type of one side's ids.

    A side that was string the night before stays string. Raises InputError where it was integer
    and no longer can be, or where integers are demanded of ids that are none.
    """
    before = previous.of(side) if previous else None
    if option == "integer" and not all_plain:
        raise InputError(
            f'ids.type is "integer", but some {side} ids are not plain integers',
            'set ids.type = "auto" or "string" (leading zeros and signs make an id a string)',
        )
    if option == "string" or not all_plain or (option == "auto" and before == "string"):
        if before == "integer":
            raise InputError(
                f"{side} ids were integers the night before and are strings now",
                "check the input for a wrong column; if the ids really changed, start a new "
                'warehouse with ids.type = "string"',
            )
        return "string"
    if before == "string":
        raise InputError(
            f'ids.type is "integer", but the warehouse holds {side} ids as strings',
            'start a new warehouse, or set ids.type = "auto"',
        )
    return "integer"


def number_ids(ids: DataFrame, previous: DataFrame | None, path: str) -> DataFrame:
    """Give each id a dense number: (id, idx int32).

    `ids` has one column `id` without repeats or nulls. Ids of `previous` (id, idx) keep their
    number whether they occur or not; new ones follow in sorted order, integers by value. Sorts
    and shuffles the new ids, writes them to `path` as Parquet, and numbers them by their place in
    what was written, so that a retried task changes nothing.
    Raises InputError above 2^31 - 1 ids.
    """
    return number_and_count(ids, previous, path)[0]


def number_and_count(
    ids: DataFrame, previous: DataFrame | None, path: str
) -> tuple[DataFrame, int]:
    """Do as `number_ids` does, and also return how many ids there are."""
    spark = ids.sparkSession
    new = ids.select("id").join(previous, "id", "left_anti") if previous is not None else ids
    new.select("id").orderBy("id").write.mode("overwrite").parquet(path)
    first = _next_index(previous)
    place = (
        "id",
        F.col("_metadata.file_name").alias("file"),
        F.col("_metadata.row_index").alias("row"),
    )
    written = spark.read.schema(ids.select("id").schema).parquet(path).select(*place)
    counts = sorted(
        (row.file, row.n) for row in written.groupBy("file").agg(F.count("*").alias("n")).collect()
    )
    offsets: list[Column] = []
    total = first
    for file, n in counts:  # Spark names the files of a sorted write in the order of their rows
        offsets += [F.lit(file), F.lit(total)]
        total += n
    if total > MAX_INDEX:
        raise InputError(
            f"{total:,} different ids are more than the {MAX_INDEX:,} that can be numbered",
            "check that the id column is not a row number or a timestamp",
        )
    if offsets:
        offset = F.element_at(F.create_map(*offsets), F.col("file"))
        numbered = written.select("id", (offset + F.col("row")).cast("int").alias("idx"))
    else:
        numbered = written.select("id", F.lit(0).alias("idx"))
    return (
        numbered if previous is None else previous.select("id", "idx").unionAll(numbered)
    ), total


def _next_index(previous: DataFrame | None) -> int:
    if previous is None:
        return 0
    row = previous.agg(F.max("idx").alias("last")).first()
    return 0 if row is None or row["last"] is None else int(row["last"]) + 1
