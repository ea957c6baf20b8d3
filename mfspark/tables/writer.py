"""Writing one table of a night: schema checked, rows sorted, files few and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mfspark.errors import MfsparkError, RefusedError
from mfspark.schemas import SORTED_BY, IdTypes, check_schema, spark_schema, table_schema
from mfspark.tables.manifest import FileEntry, TableEntry
from mfspark.tables.nearby import nearby
from mfspark.tables.night import Night
from mfspark.tables.spark_types import arrow_schema
from mfspark.tables.task_files import (
    Written,
    check_seen,
    read_back,
    read_written,
    write_files,
    write_rows,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BYTES_A_FILE = 128 * 2**20


def write_table(df: DataFrame, night: Night, table: str, ids: IdTypes) -> int:
    """Write a table of a night, sorted by `schemas.SORTED_BY`, and return its rows.

    `df` runs exactly once: its rows are first written as they come, since range partitioning would
    run it a second time for its sample; tasks with few rows hand them to the driver. Small tables
    are then sorted in the driver's memory (a few hundred MB at most); larger ones by one range
    shuffle of what was written. The table is what the night then lists; an earlier one of the same
    night is replaced.

    Raises SchemaError with all differences before anything runs, RefusedError for a published run,
    ConfigError where the driver does not see what tasks wrote.
    """
    check_schema(arrow_schema(df.schema), table, ids)
    _check_unpublished(night)

    storage, schema = nearby(df.sparkSession, night.storage), table_schema(table, ids)
    unsorted = night.scratch("writing", table)
    written = write_files(df.select(*schema.names), storage, unsorted, schema, hand_few=True)
    night.drop_table(table)  # now, as the frame may have read it
    small = written.fits_driver or not written.rows
    if small:
        entries = [_write_sorted(read_back(written, schema), night, table)]
    else:
        entries = _write_by_range(df, written, night, table, ids)
    rows = _list(night, table, schema, entries)
    if rows != written.rows:
        raise MfsparkError(
            f"table '{table}' has {rows:,} rows in order, but {written.rows:,} were written",
            "run the same command again",
        )
    if written.entries or not small:
        storage.discard(unsorted)
    return rows


def write_list(rows: Sequence[Sequence[Any]], night: Night, table: str, ids: IdTypes) -> int:
    """Write a table of a handful of rows that the driver has; no job. Otherwise as `write_table`.

    rows: values in the order of the table's columns.
    """
    _check_unpublished(night)
    schema = table_schema(table, ids)
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    night.drop_table(table)
    entry = _write_sorted(pa.table(arrays, schema=schema), night, table)
    return _list(night, table, schema, [entry])


def _check_unpublished(night: Night) -> None:
    if night.published:
        raise RefusedError(f"run {night.run_id} is published; its tables do not change any more")


def _write_sorted(rows: pa.Table, night: Night, table: str) -> FileEntry:
    """Sort a small table with pyarrow; a table without rows still gets its one file."""
    in_order = rows.sort_by([(name, "ascending") for name in SORTED_BY[table]])  # nulls last
    return write_rows(in_order, night.storage, night.table_key(table))


def _write_by_range(
    df: DataFrame, written: Written, night: Night, table: str, ids: IdTypes
) -> Sequence[FileEntry]:
    """Sort a large table: one shuffle by ranges of its first sort column, 128 MiB a file."""
    from pyspark.sql import functions as F

    storage, schema = night.storage, table_schema(table, ids)
    frame = read_written(df.sparkSession, written, spark_schema(table, ids))
    first, by = SORTED_BY[table][0], [F.col(c).asc_nulls_last() for c in SORTED_BY[table]]
    n_files = math.ceil(written.bytes / BYTES_A_FILE)
    in_order = frame.repartitionByRange(n_files, first).sortWithinPartitions(*by)
    ordered = write_files(in_order, storage, night.table_key(table), schema)
    check_seen(ordered)
    return ordered.entries


def _list(night: Night, table: str, schema: pa.Schema, files: Sequence[FileEntry]) -> int:
    """Let the night list a table's files; return the rows."""
    entry = TableEntry(
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        schema={field.name: str(field.type) for field in schema},
        sorted_by=SORTED_BY[table],
        files=tuple(files),
    )
    night.keep_table(table, entry)
    return entry.rows
