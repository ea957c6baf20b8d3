"""Parquet files of ratings: row groups as ranges, and any column types that fit."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import SAMPLE_RECORDS, find_long
from mfspark.ingest.readers.encodings import windows_1252
from mfspark.ingest.readers.files import open_input
from mfspark.ingest.readers.source import TableFormat, TextTable
from mfspark.ingest.readers.times import times_in_words
from mfspark.ingest.readers.validate import Fields, clean, rules_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from mfspark.config.config import IngestOptions, InputColumns
    from mfspark.ingest.readers.columns import LongColumns
    from mfspark.ingest.readers.source import Split
    from mfspark.ingest.readers.validate import Rules

_ROWS_A_BATCH = 1 << 18


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file and its columns."""

    path: str
    columns: LongColumns
    rules: Rules

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        """Yield the cleaned rows of some row groups."""
        rows = read_row_groups(self.path, self.columns, split.start, split.end, split.first_line)
        for fields in rows:
            yield clean(fields, self.rules)


def parquet_columns(path: str, columns: InputColumns) -> tuple[LongColumns, list[str]]:
    """Return which columns are the parts, and the names of all. Raises InputError."""
    with opened_parquet(path) as file:
        schema = file.schema_arrow
    found = find_long(schema.names, len(schema.names), [], columns, path)
    for i in (found.user, found.item, found.rating, found.timestamp):
        kind = schema.field(i).type if i >= 0 else pa.string()
        if pa.types.is_nested(kind):
            raise InputError(
                f"{path}: column '{schema.names[i]}' is {kind}, not a single value",
                "name another column in ingest.columns",
            )
    return found, list(schema.names)


def row_group_ranges(path: str, range_bytes: int) -> list[tuple[int, int, int]]:
    """Cut a file into (first row group, end, first line) of about `range_bytes` each."""
    with opened_parquet(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    ranges: list[tuple[int, int, int]] = []
    start, size, line, first_line = 0, 0, 1, 1
    for i, group in enumerate(groups):
        if i > start and size + group.total_byte_size > range_bytes:
            ranges.append((start, i, first_line))
            start, size, first_line = i, 0, line
        size += group.total_byte_size
        line += group.num_rows
    return [*ranges, (start, len(groups), first_line)] if groups else []


def read_row_groups(
    path: str, columns: LongColumns, start: int, end: int, first_line: int
) -> Iterator[Fields]:
    """Yield the parts of the rows of some row groups; the line is the row's number in the file."""
    with opened_parquet(path) as file:
        names = file.schema_arrow.names
        parts = [columns.user, columns.item, columns.rating, columns.timestamp]
        wanted = list(dict.fromkeys(names[i] for i in parts if i >= 0))
        for batch in file.iter_batches(_ROWS_A_BATCH, list(range(start, end)), wanted):
            user, item, rating = (batch.column(names[i]) for i in parts[:3])
            time = _as_time(batch.column(names[columns.timestamp])) if parts[3] >= 0 else None
            lines = pa.array(np.arange(first_line, first_line + batch.num_rows, dtype=np.int64))
            first_line += batch.num_rows
            yield Fields(lines, _as_id(user), _as_id(item), _as_number(rating), time)


def as_text(values: pa.Array) -> pa.Array:
    """Return a column as text; bytes that are no UTF-8 are read as Windows-1252, as in text files.

    Parquet readers do not check texts, and some writers put any bytes there. Raises ArrowInvalid or
    ArrowNotImplementedError for a nested column.
    """
    kind = values.type
    try:
        if not pa.types.is_string(kind):
            return pc.cast(values, pa.string())
        values.validate(full=True)
    except pa.ArrowInvalid:
        if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
            raise
        content = pc.cast(values, pa.binary()).to_pylist()
        return pa.array([None if text is None else _decoded(text) for text in content], pa.string())
    return values


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return windows_1252(text)


def _as_time(values: pa.Array) -> pa.Array:
    """Return numbers, dates and timestamps as they are, and anything else as text."""
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    temporal = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return values if numeric or temporal else as_text(values)


def _as_id(values: pa.Array) -> pa.Array:
    """Return ids as text; whole floats (a column with blanks, through pandas) lose their .0."""
    if pa.types.is_floating(values.type):
        finite = pc.if_else(pc.is_nan(values), None, values)
        whole = pc.and_(pc.equal(finite, pc.floor(finite)), pc.less(pc.abs(finite), 2.0**53))
        integers = pc.cast(pc.cast(pc.if_else(whole, finite, None), pa.int64()), pa.string())
        return pc.coalesce(integers, pc.cast(finite, pa.string()))
    return as_text(values)


def _as_number(values: pa.Array) -> pa.Array:
    """Return ratings as text or float64; dates and times become text, which is no number."""
    if pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
        return pc.cast(values, pa.float64(), safe=False)
    if pa.types.is_floating(values.type):
        return pc.cast(values, pa.float64())
    return as_text(values)


@contextmanager
def opened_parquet(path: str) -> Generator[pq.ParquetFile]:
    """Open a Parquet file. Raises InputError where it turns out to be broken, then or later."""
    with open_input(path) as stream:
        try:
            with pq.ParquetFile(stream) as file:
                yield file
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise InputError(
                f"{path} is a broken Parquet file: {str(error).splitlines()[0]}",
                "it may be cut off or still being written; copy it again",
            ) from None


def _source(path: str, options: IngestOptions) -> tuple[ParquetSource, str]:
    columns, names = parquet_columns(path, options.columns)
    at = columns.timestamp
    times = [_first_times(path, names[at])] if at >= 0 else []
    rules = rules_of(options, ",", min(at, 0), times)
    source = ParquetSource(path, columns, rules)
    return source, f"parquet {columns.describe(names)}{times_in_words(rules.times)}"


def _first_times(path: str, column: str) -> list[str]:
    with opened_parquet(path) as file:
        batches = file.iter_batches(SAMPLE_RECORDS, columns=[column])
        first = next(batches, None)
    return [] if first is None else [str(v) for v in first.column(0).to_pylist() if v is not None]


def _table(path: str, _: IngestOptions) -> TextTable:
    with opened_parquet(path) as file:
        table = file.read()
        columns = [c if pa.types.is_list(c.type) else _any_text(c) for c in table.columns]
        return TextTable(table.column_names, columns)


def _any_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return any column as text; a nested one, which says nothing here, as nulls."""
    try:
        return pa.chunked_array(map(as_text, values.chunks), pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(values), pa.string())])


PARQUET = TableFormat(
    "parquet",
    "a Parquet file",
    "rename it to .parquet",
    lambda _path, head: head.startswith(b"PAR1"),
    _source,
    row_group_ranges,
    _table,
)
