"""Ids: the type they are stored in, and their dense numbers, stable from night to night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mfspark.errors import InputError
from mfspark.ingest.scratch import Scratch

if TYPE_CHECKING:
    from mfspark.schemas import IdType, IdTypes, Side

MAX_INDEX = 2**31 - 1
_POINT_ZERO = r"^(0|[1-9][0-9]*)\.0+$"
SPARK_TYPE: dict[IdType, str] = {"integer": "bigint", "string": "string"}


def is_plain_integer(column: str) -> Column:
    """Return whether an id is a plain integer: text that is the same after a round trip."""
    number = F.col(column).try_cast("bigint")
    same = (number >= 0) & (number.cast("string") == F.col(column))
    return F.coalesce(same, F.lit(False))


def has_point_zero(column: str) -> Column:
    """Return whether an id is a whole number written as 7.0, as floats are."""
    return F.col(column).endswith("0") & F.col(column).rlike(_POINT_ZERO)


def without_point_zero(column: str) -> Column:
    """Return ids without the .0 of whole numbers."""
    return F.regexp_replace(column, _POINT_ZERO, "$1").alias(column)


def decide_type(side: Side, all_plain: bool, option: str, base: IdTypes | None) -> IdType:
    """Choose the type of one side's ids.

    A side that is string in the base run stays string. Raises InputError where it was integer and
    no longer can be, or where integers are demanded of ids that are none.

    `auto` gives integers where every id is a plain integer: digits only, no leading zeros, no sign,
    within int64.
    """
    of_base = base.of(side) if base else None
    if option == "integer" and not all_plain:
        raise InputError(
            f'ids.type is "integer", but some {side} ids are not plain integers',
            'set ids.type = "auto" or "string" (leading zeros and signs make an id a string)',
        )
    if option == "string" or not all_plain or (option == "auto" and of_base == "string"):
        if of_base == "integer":
            raise InputError(
                f"{side} ids were integers in the base run and are strings now",
                "check the input for a wrong column; if the ids really changed, start a new "
                'warehouse with ids.type = "string"',
            )
        return "string"
    if of_base == "string":
        raise InputError(
            f'ids.type is "integer", but the warehouse holds {side} ids as strings',
            'start a new warehouse, or set ids.type = "auto"',
        )
    return "integer"


def number_ids(
    ids: DataFrame, base: DataFrame | None, scratch: Scratch, name: str
) -> tuple[DataFrame, int]:
    """Give each id a dense number: return (id, idx int32), and how many there are.

    `ids` has one column `id` without repeats or nulls. Ids of the base run, `base` (id, idx), keep
    their number whether they occur or not; new ones follow in sorted order, integers by value.
    Keeps the new ids in scratch and numbers them by their place in order, so that a retried task
    changes nothing. They are sorted by the driver while they are few, else by a shuffle.
    Raises InputError above 2^31 - 1 ids.
    """
    new = ids.select("id").join(base, "id", "left_anti") if base is not None else ids
    written, n = scratch.keep_in_order(new.select("id"), "id", name)
    first = _next_index(base)
    if first + n > MAX_INDEX:
        raise InputError(
            f"{first + n:,} different ids are more than the {MAX_INDEX:,} that can be numbered",
            "check that the id column is not a row number or a timestamp",
        )
    index = (F.lit(first) + F.col("position")).cast("int").alias("idx")
    numbered = written.select("id", index)
    both = numbered if base is None else base.select("id", "idx").unionAll(numbered)
    return both, first + n


def _next_index(base: DataFrame | None) -> int:
    if base is None:
        return 0
    row = base.agg(F.max("idx").alias("last")).first()
    return 0 if row is None or row["last"] is None else int(row["last"]) + 1
