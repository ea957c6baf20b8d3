"""Items of one title made one item (`items.merge_on = "title"`): their ratings are averaged.

The item that is listed first in the item files stands for all that share its title exactly. A user
who rated several of them has one rating: the mean, at the latest of the times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from mfspark.ingest.ids import TypedIds
    from mfspark.ingest.side_tables.reader import SideTable


def split_titles(catalogue: SideTable, stored: TypedIds) -> tuple[SideTable, pa.Table | None]:
    """Return the catalogue with the first item of each title, and which item stands for another.

    The second has a row (id, kept) for each item left out; None where there is none. Items without
    a title stay.
    """
    kept_of: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    ids, titles = (catalogue.table[name].to_pylist() for name in ("item_id", "title"))
    for item, title in zip(ids, titles, strict=True):
        kept = item if title is None else kept_of.setdefault(title, item)
        if kept != item:
            others.append((item, kept))
    if not others:
        return catalogue, None
    left_out, kept_ids = (pa.array(column, pa.string()) for column in zip(*others, strict=True))
    stays = pc.invert(pc.is_in(catalogue.table["item_id"], left_out))
    merged = pa.table({"id": stored.of(left_out), "kept": stored.of(kept_ids)})
    return replace(catalogue, table=catalogue.table.filter(stays)), merged
