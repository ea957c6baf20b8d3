"""What should be known of ids that are text: why they are no numbers, and which look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.id_text import plain_integers
from mfspark.system.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

    from mfspark.schemas import Side

_MOST = 2_000_000  # ids looked at; they are brought to the driver
_FEW = 0.1  # of the ids are no numbers: they rather than the others are odd
_UNSEEN = r"[\p{Cf}\p{Cc}\p{Z}\s'\"\x{b4}\x{60}\x{2018}\x{2019}\x{201c}\x{201d}]+"
"""Blanks, characters without a shape, and quotes."""
_LEADING_ZEROS = r"^\+?0*(\d)"


def notes_on_ids(side: Side, ids: DataFrame, n: int) -> list[str]:
    """Say what is odd about the `n` text ids of a side, the column `id`; brings them to the driver.

    No word on more than two million.
    """
    if not 0 < n <= _MOST:
        return []
    texts = ids.select("id").toArrow()["id"].combine_chunks()
    return [*_no_numbers(side, texts), *_nearly_the_same(side, texts)]


def _no_numbers(side: Side, ids: pa.Array) -> Iterator[str]:
    """Say so where a few ids keep all from being integers."""
    others = ids.filter(pc.invert(plain_integers(ids)))
    if 0 < len(others) <= _FEW * len(ids):
        yield (
            f"{side} ids are text, as {len(others):,} of {len(ids):,} are no plain integers, "
            f"such as {pc.min(others).as_py()!r}"
        )


def _nearly_the_same(side: Side, ids: pa.Array) -> Iterator[str]:
    """Say so where ids differ in what people hardly see, or programs change."""
    key = pc.utf8_lower(pc.utf8_normalize(ids, form="NFKC"))
    key = pc.replace_substring_regex(key, _UNSEEN, "")
    key = pc.replace_substring_regex(key, _LEADING_ZEROS, r"\1")
    groups = pa.table({"key": key, "id": ids}).group_by("key")
    found = groups.aggregate([("id", "count"), ("id", "min"), ("id", "max")])
    found = found.filter(pc.greater(found["id_count"], 1)).sort_by("id_min")
    if len(found):
        one, other = (found[name][0].as_py() for name in ("id_min", "id_max"))
        yield (
            f"{count(len(found), 'group')} of {side} ids differ in case, blanks, quotes, leading "
            f"zeros or width alone, such as {one!r} and {other!r}: they count as different {side}s"
        )
