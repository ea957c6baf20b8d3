"""Puts what side files say beside the users and items of a night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import InputError
from mfspark.ingest.ids import TypedIds
from mfspark.ingest.readers.files import display_names
from mfspark.ingest.report import SideCounts
from mfspark.ingest.side_tables.reader import SideTable
from mfspark.schemas import IdTypes, Side, table_schema


@dataclass(frozen=True)
class Described:
    """What the files of one side say: a row for every user or item, its id the first column."""

    side: Side
    content: SideTable
    ids: pa.Array
    """Their ids in the night's type."""

    @classmethod
    def of(cls, side: Side, content: SideTable, types: IdTypes) -> Described:
        """Give the ids of a side table the night's type, which all of them fit."""
        return cls(side, content, TypedIds(types.of(side)).of(content.table[0]).combine_chunks())

    def beside(
        self, known: Mapping[str, pa.Array | pa.ChunkedArray], types: IdTypes
    ) -> tuple[pa.Table, int]:
        """Return rows of `users` or `items`, and how many of the rated ones are described.

        known: columns of the table by name, all but those of the side files, which are null where
        these say nothing.
        """
        at = pc.index_in(known[f"{self.side}_id"], self.ids)
        names = self.content.table.column_names[1:]
        told = {name: self.content.table[name].take(at) for name in names}
        rated = pc.and_(pc.is_valid(at), pc.greater(known["n_ratings"], 0))
        rows = pa.table({**known, **told}, schema=table_schema(f"{self.side}s", types))
        return rows, pc.sum(rated).as_py() or 0

    def counts(self, n_rated: int, files: Sequence[str]) -> SideCounts:
        """Count them; `n_rated` of them have ratings.

        Raises InputError where there are files, but none of their ids has a rating.
        """
        if not files:
            return SideCounts()
        n, content = len(self.ids), self.content
        if not n_rated:
            listed = n + content.n_skipped
            few = ", ".join(display_names(files)[:3])
            verb = "is rated" if self.side == "item" else "rated anything"
            raise InputError(
                f"none of the {listed:,} {self.side}s in {few} {verb}",
                "probably the wrong file, or ids written differently (leading zeros?)",
            )
        return SideCounts(n, n - n_rated, content.n_duplicates, content.n_skipped)
