"""Parquet files of ratings: row groups as ranges, and any column types that fit."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import SAMPLE_RECORDS, table_columns
from mfspark.ingest.readers.encodings import windows_1252
from mfspark.ingest.readers.files import open_input
from mfspark.ingest.readers.melt import cleaned, parts_of
from mfspark.ingest.readers.shapes.cells import Cells, Sample
from mfspark.ingest.readers.shapes.long import LongColumns
from mfspark.ingest.readers.shapes.wide import WideColumns
from mfspark.ingest.readers.source import Split, TableFormat, TextTable
from mfspark.ingest.readers.text import Records
from mfspark.ingest.readers.times import times_in_words
from mfspark.ingest.readers.validate import Fields, Rules, clean, rules_of

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

_ROWS_A_BATCH = 1 << 18
_EXACT_BITS = {16: 11, 32: 24, 64: 53}
"""By the bits of floats: they hold every whole number of at most so many."""
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file and its columns."""

    path: str
    reading: LongColumns | WideColumns
    names: tuple[str, ...]
    """Of the file's columns, and then of those that its folders name (user=5)."""
    rules: Rules

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        """Yield the cleaned rows of some row groups; the line is the row's number in the file."""
        line, columns = split.first_line, self.reading
        parts = columns.used
        for found in _batches(self.path, self.names, parts, range(split.start, split.end)):
            n = len(found[parts[0]])
            lines = np.arange(line, line + n, dtype=np.int64)
            line += n
            if isinstance(columns, WideColumns):
                none = pa.nulls(n, pa.string())
                texts = [
                    pc.fill_null(_as_id(found[i]), "") if i in found else none
                    for i in range(len(self.names))
                ]
                yield from cleaned(Records(lines, texts), columns, self.rules)
            else:
                yield clean(_fields(found, columns, pa.array(lines)), self.rules)


def parquet_columns(path: str, options: IngestOptions) -> tuple[Sample, LongColumns | WideColumns]:
    """Return the first rows, and which columns are the parts. Raises InputError."""
    folders = folder_columns(path)
    with opened_parquet(path) as file:
        schema = file.schema_arrow
        names = (*schema.names, *(name for name in folders if name not in schema.names))
    parts = range(len(names))
    first = next(_batches(path, names, parts, None, SAMPLE_RECORDS), None)
    columns = [Cells(_texts(first[i]) if first else ()) for i in parts]
    lines = range(1, len(columns[0].texts) + 1) if columns else ()
    sample = Sample(path, names, columns, lines)
    found = table_columns(sample, options)
    for i in found.used:
        kind = schema.field(i).type if i < len(schema.names) else pa.string()
        if pa.types.is_nested(kind):
            raise InputError(
                f"{path}: column '{names[i]}' is {kind}, not a single value",
                "name another column in ingest.columns",
            )
    return sample, found


def folder_columns(path: str) -> dict[str, str | None]:
    """Return the columns that the folders of a file name, as Hive and Spark write them: user=5."""
    parts = (part.partition("=") for part in path.split("/")[:-1])
    found = {unquote(name): unquote(value) for name, equals, value in parts if name and equals}
    return {name: None if value == _HIVE_NULL else value for name, value in found.items()}


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


def _batches(
    path: str,
    names: Sequence[str],
    parts: Sequence[int],
    groups: Sequence[int] | None,
    rows: int = _ROWS_A_BATCH,
) -> Iterator[dict[int, pa.Array]]:
    """Yield some columns, by their position, of the rows of some row groups (None: of all)."""
    folders = folder_columns(path)
    with opened_parquet(path) as file:
        stored = file.schema_arrow.names
        wanted = {names[i] for i in parts if i < len(stored)}
        read = [i for i, name in enumerate(stored) if name in wanted]  # two may have one name
        for batch in file.iter_batches(rows, groups, list(dict.fromkeys(stored[i] for i in read))):
            found = dict(zip(read, batch.columns, strict=True))
            constant = {i: folders[names[i]] for i in parts if i >= len(stored)}
            text = pa.string()
            yield found | {
                i: pa.repeat(pa.scalar(value, text), batch.num_rows)
                for i, value in constant.items()
            }


def _fields(found: dict[int, pa.Array], columns: LongColumns, lines: pa.Array) -> Fields:
    times, rating = (columns.timestamp, columns.other_time), (columns.rating,)
    typed = {
        i: (_as_time if i in times else _as_number if i in rating else _as_id)(values)
        for i, values in found.items()
    }
    if columns.other_time >= 0 and len({typed[i].type for i in times}) > 1:
        typed |= {i: as_text(typed[i]) for i in times}
    return parts_of(typed, columns, lines)


def _texts(values: pa.Array) -> list[str]:
    """Return a column as text for a look at it; what has no text, such as lists, is blank."""
    try:
        return [(text or "").strip() for text in _as_id(values).to_pylist()]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [""] * len(values)


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
        numbers = pc.cast(values, pa.float64())
        finite = pc.if_else(pc.is_nan(numbers), None, numbers)
        exact = pc.less(pc.abs(finite), 2.0 ** _EXACT_BITS[values.type.bit_width])
        whole = pc.and_(pc.equal(finite, pc.floor(finite)), exact)
        integers = pc.cast(pc.cast(pc.if_else(whole, finite, None), pa.int64()), pa.string())
        texts = pc.if_else(pc.is_null(finite), None, pc.cast(values, pa.string()))
        return pc.coalesce(integers, _with_lost_digits(values, texts, pc.invert(exact)))
    return as_text(values)


def _with_lost_digits(values: pa.Array, texts: pa.Array, inexact: pa.Array) -> pa.Array:
    """Write inexact floats of less than 64 bits as what they are: 1.67772e+07, not 16777216."""
    inexact = pc.fill_null(inexact, fill_value=False)
    if values.type == pa.float64() or not pc.any(inexact).as_py():
        return texts  # the shortest text of 64 bits is in this form
    places = np.finfo(values.type.to_pandas_dtype()).precision - 1
    short = [f"{number:.{places}e}" for number in values.filter(inexact).to_pylist()]
    return pc.replace_with_mask(texts, inexact, pa.array(short, pa.string()))


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
    sample, columns = parquet_columns(path, options)
    texts = [cells.texts for cells in sample.columns]
    rules = rules_of(options, ",", columns, texts)
    source = ParquetSource(path, columns, tuple(sample.names), rules)
    return source, f"parquet {columns.describe(sample.names)}{times_in_words(rules.times)}"


def _table(path: str, _: IngestOptions) -> TextTable:
    with opened_parquet(path) as file:
        table = file.read()
        columns = [c if pa.types.is_list(c.type) else _any_text(c) for c in table.columns]
        return TextTable(table.column_names, columns)


def _any_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return any column as text; a nested one, which says nothing here, as nulls."""
    try:
        return pa.chunked_array(map(_as_id, values.chunks), pa.string())
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
