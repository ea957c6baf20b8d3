"""The first pass over the ratings: tasks read their splits, check each row, and keep it in parts.

A part holds up to ROWS_A_PART accepted rows of one file in the order in which they were read. Its
users and items are places among its own ids, which are numbered later:

    u7,i1,4.0          users: u7 u3        rows: 0 0 4.0
    u3,i1,2.5     ->   items: i1 i2              1 0 2.5
    u7,i2,5.0                                    0 1 5.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.facts import RowFacts, facts_of_accepted, facts_of_rejected, summed
from mfspark.ingest.readers.source import Source, Split
from mfspark.ingest.readers.validate import CLEANED
from mfspark.ingest.row_counts import LATER
from mfspark.schemas import SIDES, TIMESTAMP, IdTypes, Side, table_schema
from mfspark.storage.protocol import Storage
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import write_rows

ROWS_A_PART = 1 << 20
"""A task holds so many rows, some 100 bytes each, about twice."""
IDS = pa.schema([("id", pa.string()), ("n", pa.int64())])
"""The ids of one side in a part, each once, and how many rows have it."""
REJECTED = table_schema("rejected_ratings", IdTypes())
"""Rows that are left out, and why."""
_ROWS = pa.schema(
    [
        ("user", pa.int32()),
        ("item", pa.int32()),
        ("rating", pa.float64()),
        ("rated_at", TIMESTAMP),
        ("line", pa.int64()),
        ("cell", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Part:
    """Accepted rows of a file: keys of what was written of them."""

    file: int
    """The number of the file."""
    n: int
    """Rows."""
    rows: str
    ids: dict[Side, str]
    n_ids: dict[Side, int]


@dataclass(frozen=True)
class ReadRows:
    """What all tasks of a read gave."""

    storage: Storage
    parts: tuple[Part, ...]
    """In the order of files and lines."""
    rejected: TableFiles
    """Rows of REJECTED."""
    facts: RowFacts

    def ids(self, side: Side) -> TableFiles:
        """Return the ids of one side, a file a part."""
        return TableFiles(self.storage, tuple(part.ids[side] for part in self.parts))


@dataclass(frozen=True)
class ReadSplits:
    """Reads a split: the task of its number. Ratings later than `until` (UTC) are only counted."""

    sources: Sequence[Source]
    splits: Sequence[Split]
    names: Sequence[str]
    """Of the files, as tables show them."""
    storage: Storage
    place: str
    """The key below which parts are written."""
    until: date | None = None

    def __call__(self, number: int) -> dict[str, Any]:
        """Read one split; return its parts, the keys of its rejected rows, and its facts."""
        split = self.splits[number]
        writer = _PartWriter(self.storage, self.place, number, split.file, self.names[split.file])
        for batch in self.sources[split.file].read(split):
            accepted = batch
            if batch["reason"].null_count < batch.num_rows:
                bad = pc.is_valid(batch["reason"])
                writer.reject(batch.filter(bad))
                accepted = batch.filter(pc.invert(bad))
            writer.accept(self._not_later(accepted, writer))
        return writer.finished()

    def _not_later(self, rows: pa.RecordBatch, writer: _PartWriter) -> pa.RecordBatch:
        if self.until is None or rows["rated_at"].null_count == rows.num_rows:
            return rows
        day = datetime(self.until.year, self.until.month, self.until.day, tzinfo=UTC)
        later = pc.greater_equal(rows["rated_at"], pa.scalar(day + timedelta(days=1), TIMESTAMP))
        later = pc.fill_null(later, fill_value=False)
        if not pc.any(later).as_py():
            return rows
        kept = rows.filter(pc.invert(later))
        writer.facts.append(RowFacts({LATER: rows.num_rows - kept.num_rows}))
        return kept


def as_rejected(rows: pa.Table | pa.RecordBatch, name: str) -> pa.Table:
    """Return rejected rows of CLEANED, of a file of a name, as rows of REJECTED."""
    names = pa.repeat(name, rows.num_rows)
    return pa.table([names, rows["line"], rows["raw"], rows["reason"]], schema=REJECTED)


def joined(storage: Storage, outcomes: Sequence[Mapping[str, Any]]) -> ReadRows:
    """Put together what the tasks of a read returned, in their order."""
    parts = [Part(**part) for outcome in outcomes for part in outcome["parts"]]
    rejected = [key for outcome in outcomes for key in outcome["rejected"]]
    facts = summed(RowFacts.from_record(outcome["facts"]) for outcome in outcomes)
    return ReadRows(storage, tuple(parts), TableFiles(storage, tuple(rejected)), facts)


@dataclass
class _PartWriter:
    """Gathers the rows of a split, and writes them when there are enough."""

    storage: Storage
    place: str
    number: int
    file: int
    name: str
    facts: list[RowFacts] = field(default_factory=list[RowFacts])
    _parts: list[Part] = field(default_factory=list[Part])
    _rejected: list[str] = field(default_factory=list[str])
    _good: list[pa.RecordBatch] = field(default_factory=list[pa.RecordBatch])
    _bad: list[pa.RecordBatch] = field(default_factory=list[pa.RecordBatch])

    def accept(self, rows: pa.RecordBatch) -> None:
        """Take accepted rows of CLEANED."""
        self._good.append(rows)
        if sum(batch.num_rows for batch in self._good) >= ROWS_A_PART:
            self._write_part()

    def reject(self, rows: pa.RecordBatch) -> None:
        """Take rejected rows of CLEANED."""
        self._bad.append(rows)
        if sum(batch.num_rows for batch in self._bad) >= ROWS_A_PART:
            self._write_rejected()

    def finished(self) -> dict[str, Any]:
        """Write what is left, and return what there is of all."""
        self._write_part()
        self._write_rejected()
        parts = [asdict(part) for part in self._parts]
        return {"parts": parts, "rejected": self._rejected, "facts": asdict(summed(self.facts))}

    def _write_part(self) -> None:
        rows = pa.Table.from_batches(self._good, CLEANED)
        self._good = []
        if not rows.num_rows:
            return
        places, ids = dict[Side, pa.Array](), dict[Side, pa.Table]()
        for side in SIDES:
            encoded = rows[f"{side}_id"].combine_chunks().dictionary_encode()
            n = np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))
            places[side], ids[side] = encoded.indices, pa.table([encoded.dictionary, n], IDS)
        others = [rows[name] for name in _ROWS.names[2:]]
        table = pa.table([places["user"], places["item"], *others], schema=_ROWS)
        self.facts.append(facts_of_accepted(rows["rating"].combine_chunks(), ids))
        part = Part(
            self.file,
            rows.num_rows,
            self._write(table, "rows"),
            {side: self._write(ids[side], f"{side}s") for side in SIDES},
            {side: ids[side].num_rows for side in SIDES},
        )
        self._parts.append(part)

    def _write_rejected(self) -> None:
        rows = pa.Table.from_batches(self._bad, CLEANED)
        self._bad = []
        if not rows.num_rows:
            return
        self.facts.append(facts_of_rejected(rows, self.file))
        self._rejected.append(self._write(as_rejected(rows, self.name), "rejected"))

    def _write(self, rows: pa.Table, what: str) -> str:
        place = f"{self.place}/{what}"
        return f"{place}/{write_rows(rows, self.storage, place, self.number).name}"
