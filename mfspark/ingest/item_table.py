"""The table `items`: what the tasks of all ranges tell of each item, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from mfspark.ingest.numbering import Numbered
from mfspark.ingest.side_tables.join import Described
from mfspark.ingest.statistics import RatingTally
from mfspark.schemas import IdTypes
from mfspark.storage.protocol import Storage
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import write_rows


@dataclass(frozen=True)
class ItemWriter:
    """Writes the items of a range of places: the task of its number."""

    starts: tuple[int, ...]
    """The place of the first item of each range."""
    items: Numbered
    tallies: TableFiles
    """Columns of `RatingTally`, each file by row: the place of an item."""
    described: Described
    """What item files say."""
    ids: IdTypes
    storage: Storage
    table: str
    """The key of the table."""

    def __call__(self, number: int) -> dict[str, Any]:
        """Write a file; return it as `FileEntry` has it, and how many rated items are described."""
        first, end = [*self.starts, self.items.n][number : number + 2]
        row = pc.field("rows")
        counted = self.tallies.dataset().to_table(filter=(row >= first) & (row < end))
        columns = {name: counted[name].to_numpy() for name in counted.column_names}
        columns["rows"] = columns["rows"] - np.int32(first)
        statistics = RatingTally(**columns).summed(end - first).described(end - first)
        items = self.items.take(np.arange(first, end))
        rows, n_described = self.described.beside(
            {"item_id": items["id"], "item_idx": items["idx"], **statistics}, self.ids
        )
        file = write_rows(rows, self.storage, self.table, number)
        return {"file": file.model_dump(), "n_described": n_described}
