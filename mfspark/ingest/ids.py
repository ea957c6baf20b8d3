"""The type in which ids are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import InputError
from mfspark.ingest.facts import POINT_ZERO

if TYPE_CHECKING:
    from mfspark.schemas import IdType, IdTypes, Side


@dataclass(frozen=True)
class TypedIds:
    """How ids of one side are stored."""

    kind: IdType
    floats: bool = False
    """Whether the .0 of whole numbers is taken off."""

    @property
    def arrow(self) -> pa.DataType:
        """The type of a column of them."""
        return pa.int64() if self.kind == "integer" else pa.string()

    def of(self, ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Return ids, as text, the way they are stored."""
        if self.floats:
            ids = pc.replace_substring_regex(ids, POINT_ZERO, r"\1")
        return ids.cast(self.arrow)


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
