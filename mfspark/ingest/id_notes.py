"""What should be known of ids that are text: why they are no numbers, and which look alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.id_text import plain_integers
from mfspark.system.words import count

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.schemas import Side

_FEW = 0.1  # of the ids are no numbers: they rather than the others are odd
_UNSEEN = r"[\p{Cf}\p{Cc}\p{Z}\s'\"\x{b4}\x{60}\x{2018}\x{2019}\x{201c}\x{201d}]+"
"""Blanks, characters without a shape, and quotes."""
_LEADING_ZEROS = r"^\+?0*(\d)"
_LOOKED_AT = "id string, look string, plain boolean"


def notes_on_ids(side: Side, ids: DataFrame, n: int) -> list[str]:
    """Say what is odd about the `n` text ids of a side, the column `id`.

    One job, which shuffles the ids by how they look; the driver receives one row.
    """
    from pyspark.sql import functions as F

    if not n:
        return []
    alike = (
        ids.select("id")
        .mapInArrow(_look_at, _LOOKED_AT)
        .groupBy("look")
        .agg(
            F.count("*").alias("n"),
            F.struct(F.min("id").alias("one"), F.max("id").alias("other")).alias("ids"),
            F.count_if(~F.col("plain")).alias("n_odd"),
            F.min(F.when(~F.col("plain"), F.col("id"))).alias("odd"),
        )
    )
    several = F.col("n") > 1
    found = alike.agg(
        F.sum("n_odd").alias("n_odd"),
        F.min("odd").alias("odd"),
        F.count_if(several).alias("n_groups"),
        F.min(F.when(several, F.col("ids"))).alias("first"),
    ).collect()[0]
    notes: list[str] = []
    if 0 < found.n_odd <= _FEW * n:
        notes.append(
            f"{side} ids are text, as {found.n_odd:,} of {n:,} are no plain integers, "
            f"such as {found.odd!r}"
        )
    if found.n_groups:
        notes.append(
            f"{count(found.n_groups, 'group')} of {side} ids differ in case, blanks, quotes, "
            f"leading zeros or width alone, such as {found.first.one!r} and "
            f"{found.first.other!r}: they count as different {side}s"
        )
    return notes


def _look_at(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Say of each id how it looks, and whether it is a plain integer.

    Ids that differ only in what people hardly see, or programs change, look alike.
    """
    for batch in batches:
        ids = batch["id"]
        look = pc.utf8_lower(pc.utf8_normalize(ids, form="NFKC"))
        look = pc.replace_substring_regex(look, _UNSEEN, "")
        look = pc.replace_substring_regex(look, _LEADING_ZEROS, r"\1")
        columns = [ids, look, plain_integers(ids)]
        yield pa.RecordBatch.from_arrays(columns, ["id", "look", "plain"])
