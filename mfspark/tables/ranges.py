"""Putting a large table in order without the JVM: a range of its first sort column a task.

Tasks write their rows in order, so that a row group holds few keys; a task of a range then reads
the row groups in which it lies, and sorts once more.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import RowsOf

ROWS_IN_ORDER = 16_384
"""Rows a row group of what is put in order: few, so that a range reads little of others."""


@dataclass(frozen=True)
class InOrder:
    """Makes the rows of a task in order; the task holds all of them."""

    rows_of: RowsOf
    schema: pa.Schema
    by: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return the rows that a task makes of its batches, sorted."""
        rows = pa.Table.from_batches(list(self.rows_of(batches)), self.schema)
        yield from _sorted(rows, self.by)


@dataclass(frozen=True)
class Ranges:
    """Ranges of the first sort column of files in order, from each of `starts` to the next."""

    files: TableFiles
    by: tuple[str, ...]
    starts: tuple[int | str, ...]
    """Ascending; the first range begins before all."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return the rows of the ranges that batches number; a task holds one at a time."""
        key = pc.field(self.by[0])
        for number in itertools.chain.from_iterable(batch["id"].to_pylist() for batch in batches):
            chosen = pc.scalar(True)
            if number:
                chosen &= key >= self.starts[number]
            if number + 1 < len(self.starts):
                chosen &= key < self.starts[number + 1]
            yield from _sorted(self.files.dataset().to_table(filter=chosen), self.by)


def ranges_of(files: TableFiles, by: tuple[str, ...], n: int) -> Ranges:
    """Cut files in order into n ranges of about as many rows, fewer where keys are few.

    Reads the footers of the files: the smallest key of each row group, and its rows.
    """
    groups: list[tuple[Any, int]] = []
    for key in files.keys:
        with files.storage.open(key) as source:
            footer = pq.ParquetFile(source).metadata
        column = footer.schema.names.index(by[0])
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            groups.append((group.column(column).statistics.min, group.num_rows))
    groups.sort()
    total, passed, starts = sum(rows for _, rows in groups), 0, [groups[0][0]]
    for smallest, rows in groups:
        if passed * n >= total * len(starts) and smallest > starts[-1]:
            starts.append(smallest)
        passed += rows
    return Ranges(files, by, tuple(starts))


def _sorted(rows: pa.Table, by: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    yield from rows.sort_by([(name, "ascending") for name in by]).to_batches()  # nulls last
