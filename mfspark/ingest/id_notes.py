"""What should be known of ids that are text: why they are no numbers, and which look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.id_text import plain_integers
from mfspark.system.words import count

if TYPE_CHECKING:
    from mfspark.schemas import Side

COMPARED = 20_000_000
"""Ids of a side that are compared at most: some 100 bytes each."""
_FEW = 0.1  # of the ids are no numbers: they rather than the others are odd
_UNSEEN = r"[\p{Cf}\p{Cc}\p{Z}\s'\"\x{b4}\x{60}\x{2018}\x{2019}\x{201c}\x{201d}]+"
"""Blanks, characters without a shape, and quotes."""
_LEADING_ZEROS = r"^\+?0*(\d)"


def notes_on_ids(side: Side, ids: pa.Array, n: int) -> list[str]:
    """Say what is odd about text ids of a side, each once, of which there are `n` in all."""
    if not len(ids):
        return []
    odd = ids.filter(pc.invert(plain_integers(ids)))
    notes: list[str] = []
    if len(ids) < n:
        notes.append(f"of {n:,} {side} ids the first {len(ids):,} were compared with one another")
    if 0 < len(odd) <= _FEW * len(ids):
        notes.append(
            f"{side} ids are text, as {len(odd):,} of {len(ids):,} are no plain integers, "
            f"such as {pc.min(odd).as_py()!r}"
        )
    table = pa.table({"id": ids, "look": _look(ids)})
    alike = table.group_by("look").aggregate([("id", "count"), ("id", "min"), ("id", "max")])
    several = alike.filter(pc.greater(alike["id_count"], 1)).sort_by("id_min")
    if len(several):
        one, other = (several[name][0].as_py() for name in ("id_min", "id_max"))
        notes.append(
            f"{count(len(several), 'group')} of {side} ids differ in case, blanks, quotes, "
            f"leading zeros or width alone, such as {one!r} and {other!r}: they count as different "
            f"{side}s"
        )
    return notes


def _look(ids: pa.Array) -> pa.Array:
    """Return how ids look: those that differ only in what people hardly see, or programs change."""
    look = pc.utf8_lower(pc.utf8_normalize(ids, form="NFKC"))
    look = pc.replace_substring_regex(look, _UNSEEN, "")
    return pc.replace_substring_regex(look, _LEADING_ZEROS, r"\1")
