"""Writing one table of a night: schema checked, rows sorted, files few and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from mfspark.errors import MfsparkError, RefusedError
from mfspark.schemas import SORTED_BY, IdTypes, check_schema, spark_schema, table_schema
from mfspark.system.spark import runs_here
from mfspark.tables.manifest import FileEntry, TableEntry
from mfspark.tables.nearby import nearby
from mfspark.tables.night import Night
from mfspark.tables.ranges import ROWS_IN_ORDER, InOrder, ranges_of
from mfspark.tables.spark_types import arrow_schema
from mfspark.tables.task_files import (
    RowsOf,
    Written,
    all_files,
    check_seen,
    read_back,
    read_files,
    write_files,
    write_rows,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BYTES_A_FILE, ROWS_A_FILE = 128 * 2**20, 2_500_000
"""Of larger tables: a task that sorts a file holds all of it, a few hundred MB."""


def write_table(
    df: DataFrame, night: Night, table: str, ids: IdTypes, rows_of: RowsOf | None = None
) -> int:
    """Write a table of a night, sorted by `schemas.SORTED_BY`, and return its rows.

    rows_of: makes the table's rows of the frame's, in the tasks that write them; the rows of a task
    fit its memory.

    `df` runs exactly once: its rows are first written as they come, since range partitioning would
    run it a second time for its sample; tasks with few rows hand them to the driver. Small tables
    are then sorted in the driver's memory (a few hundred MB at most); larger ones by ranges: what
    tasks made by tasks again, frames by one range shuffle. The table is what the night then lists;
    an earlier one of the same night is replaced.

    Raises SchemaError with all differences before anything runs, RefusedError for a published run,
    ConfigError where the driver does not see what tasks wrote.
    """
    schema, made, size = table_schema(table, ids), iter, None
    if rows_of is None:
        check_schema(arrow_schema(df.schema), table, ids)
        df = df.select(*schema.names)
    else:
        made, size = InOrder(rows_of, schema, SORTED_BY[table]), ROWS_IN_ORDER
    _check_unpublished(night)

    storage = nearby(night.storage, here=runs_here(df.sparkSession))
    unsorted = night.scratch("writing", table)
    written = write_files(df, storage, unsorted, schema, made, hand_few=True, size=size)
    night.drop_table(table)  # now, as the frame may have read it
    small = written.fits_driver or not written.rows
    if small:
        entries = [_write_sorted(read_back(written, schema), night, table)]
    else:
        n_files = math.ceil(max(written.bytes / BYTES_A_FILE, written.rows / ROWS_A_FILE))
        entries = _write_by_range(df, written, night, table, ids, n_files, is_made=bool(rows_of))
    rows = list_table(night, table, schema, entries)
    if rows != written.rows:
        raise MfsparkError(
            f"table '{table}' has {rows:,} rows in order, but {written.rows:,} were written",
            "run the same command again",
        )
    if written.entries or not small:
        storage.discard(unsorted)
    return rows


def write_list(rows: Sequence[Sequence[Any]], night: Night, table: str, ids: IdTypes) -> int:
    """Write a table of a handful of rows, values in the order of its columns; no job.

    Otherwise as `write_table`.
    """
    schema = table_schema(table, ids)
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return write_arrow(pa.table(arrays, schema=schema), night, table, ids)


def write_arrow(rows: pa.Table, night: Night, table: str, ids: IdTypes) -> int:
    """Write a table whose rows the driver has; no job. Otherwise as `write_table`."""
    check_schema(rows.schema, table, ids)
    _check_unpublished(night)
    night.drop_table(table)
    return list_table(night, table, rows.schema, [_write_sorted(rows, night, table)])


def _check_unpublished(night: Night) -> None:
    if night.published:
        raise RefusedError(f"run {night.run_id} is published; its tables do not change any more")


def _write_sorted(rows: pa.Table, night: Night, table: str) -> FileEntry:
    """Sort a small table with pyarrow; a table without rows still gets its one file."""
    in_order = rows.sort_by([(name, "ascending") for name in SORTED_BY[table]])  # nulls last
    return write_rows(in_order, night.storage, night.table_key(table))


def _write_by_range(
    df: DataFrame,
    written: Written,
    night: Night,
    table: str,
    ids: IdTypes,
    n_files: int,
    *,
    is_made: bool,
) -> Sequence[FileEntry]:
    """Sort a large table, a file for each range of its first sort column.

    Tasks sort what tasks made; a frame, whose rows may be too many for one, takes a range shuffle.
    """
    from pyspark.sql import functions as F

    spark, schema, by = df.sparkSession, table_schema(table, ids), SORTED_BY[table]
    files, rows_of = all_files(written), cast("RowsOf", iter)
    if is_made:
        rows_of = ranges = ranges_of(files, by, n_files)
        in_order = spark.range(0, len(ranges.starts), 1, len(ranges.starts))
    else:
        frame = read_files(spark, files, spark_schema(table, ids))
        ranged = frame.repartitionByRange(n_files, by[0])
        in_order = ranged.sortWithinPartitions(*(F.col(c).asc_nulls_last() for c in by))
    ordered = write_files(in_order, night.storage, night.table_key(table), schema, rows_of)
    check_seen(ordered)
    return ordered.entries


def list_table(night: Night, table: str, schema: pa.Schema, files: Sequence[FileEntry]) -> int:
    """Let the night list the files of a table, which are in its order; return the rows."""
    entry = TableEntry(
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        schema={field.name: str(field.type) for field in schema},
        sorted_by=SORTED_BY[table],
        files=tuple(files),
    )
    night.keep_table(table, entry)
    return entry.rows
