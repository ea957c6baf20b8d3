"""The second pass: all ratings of a user meet in one task, which writes its part of the tables.

Rows are shuffled once, packed, by ranges of users in the order of their ids. The task of a range
has everything that concerns its users: it finds what is superseded, and writes its files of
`ratings` and `users`. Of items it tells how often each has each rating.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mfspark.errors import MfsparkError
from mfspark.grid.packed_rows import RowsOfTasks, at_blocks
from mfspark.ingest.duplicates import left_out_rows, superseded
from mfspark.ingest.numbering import Numbered
from mfspark.ingest.parts import ReadRows
from mfspark.ingest.row_counts import SUPERSEDED, Example
from mfspark.ingest.side_tables.join import Described
from mfspark.ingest.statistics import NO_TIME, RatingTally
from mfspark.kernels.arrays.ordering import order_of, order_of_pairs, starts_of
from mfspark.kernels.arrays.tile import Arrays
from mfspark.schemas import TIMESTAMP, IdTypes, table_schema
from mfspark.storage.protocol import Storage
from mfspark.tables.manifest import FileEntry
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import TABLE_CACHE, write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Repeats = Literal["newest", "sum"]
"""What counts of several rows of a user and an item: the newest, or all of them added up."""
_OF_BASE_RUN = -1  # stands for the number of the file
_GROUPS = 8  # row groups of the base run's ratings that a task reads
_TYPES = {
    "user": "<i4",
    "item": "<i4",
    "variant": "<i4",
    "rating": "<f8",
    "time": "<i8",
    "file": "<i4",
    "line": "<i8",
    "cell": "<i4",
}
"""What is shuffled of a row; user and item are places in the order of ids."""


@dataclass(frozen=True)
class PlacedRows:
    """Reads the rows of parts with their users and items as places in the order of ids."""

    rows: ReadRows
    users: Numbered
    items: Numbered
    base: Storage
    carried: tuple[tuple[str, range], ...] = ()
    """Of the table `ratings` of the base run, where tonight's are added to it: what tasks read."""

    @classmethod
    def of(
        cls, rows: ReadRows, users: Numbered, items: Numbered, base: TableFiles | None
    ) -> PlacedRows:
        """Look at the files of the base run's ratings, if they count; reads their footers."""
        if base is None:
            return cls(rows, users, items, rows.storage)
        return cls(rows, users, items, base.storage, tuple(base.row_groups(_GROUPS)))

    @property
    def n_tasks(self) -> int:
        """The parts, and what tasks read of the base run."""
        return len(self.rows.parts) + len(self.carried)

    def __call__(self, number: int) -> Arrays:
        """Return the rows of a part as _TYPES has them. Raises MfsparkError where some are lost."""
        n_parts = len(self.rows.parts)
        return self._part(number) if number < n_parts else self._carried(number - n_parts)

    def _part(self, number: int) -> Arrays:
        part = self.rows.parts[number]
        with pq.ParquetFile(TABLE_CACHE.open(self.rows.storage, part.rows)) as file:
            table = file.read(use_threads=False)
        if table.num_rows != part.n:
            raise MfsparkError(
                f"{self.rows.storage.show(part.rows)} has {table.num_rows:,} rows, but {part.n:,} "
                "were written",
                "the file system loses data: look at it before anything else",
            )
        (users, _), (items, variants) = self.users.places(number), self.items.places(number)
        item = table["item"].to_numpy()
        return {
            "user": users[table["user"].to_numpy()],
            "item": items[item],
            "variant": variants[item],
            "file": np.full(part.n, part.file, np.int32),
            **_values(table),
            **{name: table[name].to_numpy() for name in ("line", "cell")},
        }

    def _carried(self, number: int) -> Arrays:
        key, groups = self.carried[number]
        columns = ["user_idx", "item_idx", "rating", "rated_at"]
        with pq.ParquetFile(TABLE_CACHE.open(self.base, key)) as file:
            table = file.read_row_groups(list(groups), columns=columns, use_threads=False)
        n, nowhere = table.num_rows, np.full(table.num_rows, _OF_BASE_RUN, np.int64)
        return {
            "user": self.users.place_of_number()[table["user_idx"].to_numpy()],
            "item": self.items.place_of_number()[table["item_idx"].to_numpy()],
            "variant": np.zeros(n, np.int32),
            **_values(table),
            **dict.fromkeys(("file", "line", "cell"), nowhere),
        }


def _values(table: pa.Table) -> Arrays:
    times = pc.fill_null(table["rated_at"].cast(pa.int64()), NO_TIME)
    return {"rating": table["rating"].to_numpy(), "time": times.to_numpy()}


@dataclass(frozen=True)
class RangeWriter:
    """Writes what there is of the users of a range."""

    starts: Sequence[int]
    """The place of the first user of each range."""
    users: Numbered
    items: Numbered
    described: Described
    """What user files say."""
    ids: IdTypes
    repeats: Repeats
    names: Sequence[str]
    """Of the files."""
    n_training_files: int
    """Those before the test files: what comes again among them is counted."""
    storage: Storage
    tables: dict[str, str]
    """The keys of the tables `ratings` and `users`."""
    scratch: Storage
    place: str
    """The key below which everything else is written."""

    def range_of(self, rows: Arrays) -> np.ndarray:
        """Return the range of each row."""
        return np.searchsorted(self.starts, rows["user"], side="right") - 1

    def write(self, number: int, rows: Arrays) -> dict[str, Any]:
        """Write the rows of a range, in any order; return the fields of `Outcome`."""
        first, end = [*self.starts, self.users.n][number : number + 2]
        users = self.users.take(np.arange(first, end))
        rows = self._in_order(rows | {"user": rows["user"] - first}, end - first)
        n, outcome = len(rows["user"]), Outcome()
        if self.repeats == "newest":
            rows = self._newest(rows, users, number, outcome)
        else:
            rows = _grouped(rows, ("user", "item", "variant"))
            outcome.n_counted = n - len(rows["user"])
        n_apart = len(rows["user"])
        if rows["variant"].any():
            rows = _grouped(rows, ("user", "item"), mean=True)
        outcome.n, outcome.n_merged = n, n_apart - len(rows["user"])
        outcome.high = float(rows["rating"].max(initial=0.0))
        if len(rows["user"]) or number == 0:
            outcome.ratings = self._write("ratings", number, self._ratings(rows, users))
        tally = RatingTally.of(rows["user"], rows["rating"], rows["time"], end - first)
        of_users = {
            "user_id": users["id"],
            "user_idx": users["idx"],
            **tally.described(end - first),
        }
        table, outcome.n_described = self.described.beside(of_users, self.ids)
        outcome.users = self._write("users", number, table)
        of_items = RatingTally.of(rows["item"], rows["rating"], rows["time"], self.items.n)
        outcome.n_tally = len(of_items.rows)
        outcome.tally = self._keep("item_tally", number, pa.table(of_items.arrays()))
        return asdict(outcome)

    def _in_order(self, rows: Arrays, n_users: int) -> Arrays:
        """Return rows by user, item and variant."""
        variants = rows["variant"]
        by_variant = order_of(variants, int(variants.max(initial=0)) + 1)
        users, items = rows["user"][by_variant], rows["item"][by_variant]
        order = by_variant[order_of_pairs(users, items, n_users, self.items.n)]
        return {name: column[order] for name, column in rows.items()}

    def _newest(self, rows: Arrays, users: pa.Table, number: int, outcome: Outcome) -> Arrays:
        """Return the newest row of each user and item; keep the others as rejected rows."""
        pairs = [rows[name] for name in ("user", "item", "variant")]
        starts, n = starts_of(*pairs), len(rows["user"])
        if len(starts) == n:
            return rows
        newer = [rows[name] for name in ("time", "file", "line", "cell")]
        old = superseded(starts, n, newer)
        here = (rows["file"] >= 0) & (rows["file"] < self.n_training_files)
        outcome.n_repeats = int(here.sum()) - len(starts_of(*(column[here] for column in pairs)))
        rejected = old & (rows["file"] != _OF_BASE_RUN)
        outcome.n_replaced = int(old.sum() - rejected.sum())
        outcome.n_superseded = int(rejected.sum())
        if outcome.n_superseded:
            lost = {name: column[rejected] for name, column in rows.items()}
            table = left_out_rows(
                users["id"].take(pa.array(lost["user"])).combine_chunks(),
                self._items_of(lost)[0],
                lost["rating"],
                lost["time"],
                pa.array(self.names).take(pa.array(lost["file"])),
                lost["line"],
                SUPERSEDED,
            )
            outcome.rejected = self._keep("superseded", number, table)
            at = int(np.lexsort((lost["cell"], lost["line"], lost["file"]))[0])
            file, line, cell = (int(lost[name][at]) for name in ("file", "line", "cell"))
            outcome.first = Example(file, line, cell, table["raw"][at].as_py())
        return {name: column[~old] for name, column in rows.items()}

    def _items_of(self, rows: Arrays) -> list[pa.Array]:
        """Return the ids and numbers of the items of some rows."""
        occurring = np.bincount(rows["item"], minlength=self.items.n) > 0
        found = self.items.take(np.flatnonzero(occurring))
        at = pa.array((np.cumsum(occurring) - 1)[rows["item"]])
        return [found[name].combine_chunks().take(at) for name in ("id", "idx")]

    def _ratings(self, rows: Arrays, users: pa.Table) -> pa.Table:
        items, item_idx = self._items_of(rows)
        at, times = pa.array(rows["user"]), rows["time"]
        columns = {
            "user_id": users["id"].take(at),
            "item_id": items,
            "rating": rows["rating"],
            "rated_at": pa.array(times, mask=times == NO_TIME).cast(TIMESTAMP),
            "user_idx": users["idx"].take(at),
            "item_idx": item_idx,
        }
        return pa.table(columns, schema=table_schema("ratings", self.ids))

    def _write(self, table: str, number: int, rows: pa.Table) -> dict[str, Any]:
        return write_rows(rows, self.storage, self.tables[table], number).model_dump()

    def _keep(self, what: str, number: int, rows: pa.Table) -> str:
        place = f"{self.place}/{what}"
        return f"{place}/{write_rows(rows, self.scratch, place, number).name}"


@dataclass
class Outcome:
    """What the task of a range wrote, and counted."""

    n: int = 0
    """Rows that came to it."""
    n_superseded: int = 0
    """Rows of tonight's files that a newer one supersedes."""
    n_replaced: int = 0
    """The same of ratings of the base run."""
    n_repeats: int = 0
    """Rows of the training files whose pair stands there before."""
    n_counted: int = 0
    """Rows that were added to another one of the same pair."""
    n_merged: int = 0
    """Ratings that were averaged into another one of the same user and title."""
    n_described: int = 0
    """Users that the user files describe and that rated something."""
    high: float = 0.0
    """The largest rating."""
    first: Example | None = None
    """The first superseded row."""
    ratings: dict[str, Any] | None = None
    """The file of this table, as `FileEntry` has it."""
    users: dict[str, Any] | None = None
    tally: str = ""
    """The key of the tally of items."""
    n_tally: int = 0
    """Its entries."""
    rejected: str = ""
    """The key of the superseded rows, if any."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Outcome:
        """Read back what `dataclasses.asdict` gave, from JSON."""
        outcome = cls(**record)
        outcome.first = Example(*outcome.first) if outcome.first else None
        return outcome

    def file(self, table: str) -> FileEntry | None:
        """Return the file that was written of a table."""
        found = getattr(self, table)
        return None if found is None else FileEntry(**found)


def bring_together(
    spark: SparkSession | None, placed: PlacedRows, writer: RangeWriter
) -> list[Outcome]:
    """Bring all rows to the task of their users' range; return what each made of them.

    spark: None where this process, whose memory holds them, does it.
    Raises MfsparkError where rows are lost.
    """
    rows = RowsOfTasks(spark, placed.n_tasks, placed)
    found = at_blocks(rows, writer.range_of, len(writer.starts), _TYPES, writer.write)
    return [Outcome.from_record(outcome) for outcome in found]


def _grouped(rows: Arrays, by: Sequence[str], *, mean: bool = False) -> Arrays:
    """Return one row of those that are equal by some columns, by which they are in order.

    Its rating is their sum or their mean, and its time the latest of theirs.
    """
    starts = starts_of(*(rows[name] for name in by))
    if not len(starts):
        return rows
    total = np.add.reduceat(rows["rating"], starts)
    found = {name: column[starts] for name, column in rows.items()}
    found["rating"] = total / np.diff(starts, append=len(rows["rating"])) if mean else total
    found["time"] = np.maximum.reduceat(rows["time"], starts)
    return found
