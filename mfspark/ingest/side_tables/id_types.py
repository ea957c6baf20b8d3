"""The types of ids, which ratings and side files decide together."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow.compute as pc

from mfspark.ingest.ids import decide_type
from mfspark.ingest.readers.id_text import plain_integers
from mfspark.ingest.row_counts import IdForms
from mfspark.ingest.side_tables.reader import SideTable
from mfspark.schemas import IdTypes, Side


def types_of(
    rated: Mapping[Side, IdForms],
    profiles: SideTable,
    catalogue: SideTable,
    option: str,
    of_base: IdTypes | None,
) -> tuple[IdTypes, SideTable, SideTable]:
    """Choose the id types; where they must be integers, drop rows of side files with others.

    rated: how the ids of ratings are written; option: `ids.type`. Items that nobody rated are items
    all the same, so their ids have a say; users of the user files are users only where they rated.
    Raises what `decide_type` does.
    """
    plain, items_plain = plain_integers(catalogue.table["item_id"]), rated["item"].all_plain
    if option == "integer" or (of_base and of_base.item == "integer"):
        catalogue = catalogue.keep(plain)
    else:
        items_plain = items_plain and bool(pc.all(plain, min_count=0).as_py())
    user = decide_type("user", rated["user"].all_plain, option, of_base)
    if user == "integer":
        profiles = profiles.keep(plain_integers(profiles.table["user_id"]))
    item = decide_type("item", items_plain, option, of_base)
    return IdTypes(user, item), profiles, catalogue
