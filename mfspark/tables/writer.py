"""Writing one table of a night: schema checked, rows sorted, files few and clean."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mfspark.errors import RefusedError
from mfspark.schemas import SORTED_BY, TIMESTAMP, IdTypes, check_schema, spark_schema, table_schema
from mfspark.storage.file_system import explain_os_errors
from mfspark.tables.night import Night

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType


ROWS_A_GROUP = 122_880
"""Rows a row group: few enough that one user's list is a small read, enough to compress and scan
well (it is also what DuckDB writes)."""
DRIVER_BYTES, DRIVER_ROWS = 32 * 2**20, 4_000_000
"""Tables up to this compressed size and length are sorted in the driver's memory, into one file."""
BYTES_A_FILE = 128 * 2**20
_COMPRESSION = "zstd"


def write_table(df: DataFrame, night: Night, table: str, ids: IdTypes) -> int:
    """Write a table of a night, sorted by `schemas.SORTED_BY`, and return its rows.

    `df` runs exactly once: its rows are first written as they come, since range partitioning would
    run it a second time for its sample. Small tables are then sorted in the driver's memory (a few
    hundred MB at most); larger ones by one range shuffle of what was written. The table appears by
    one rename; an earlier one of the same night is replaced.

    Raises SchemaError with all differences before anything runs, RefusedError for a published run.
    """
    check_schema(_arrow_schema(df.schema), table, ids)
    if night.published:
        raise RefusedError(f"run {night.run_id} is published; its tables do not change any more")

    file_system, target = night.warehouse.file_system, night.table_dir(table)
    unsorted = night.scratch("writing", table)
    in_order = night.scratch("writing", f"{table}.sorted")
    for directory in (unsorted, in_order):
        file_system.discard(directory)

    _write_parquet(df.select(*table_schema(table, ids).names), unsorted)
    if _fits_driver(unsorted):
        _sort_in_memory(unsorted, in_order, table, ids)
    else:
        _sort_by_range(df.sparkSession, unsorted, in_order, table, ids)

    for path in parquet_files(in_order):
        check_schema(pq.read_schema(path), table, ids)
    file_system.discard(target)
    file_system.move_dir(in_order, target)
    file_system.discard(unsorted)
    return count_rows(target)


def _arrow_schema(schema: StructType) -> pa.Schema:
    return pa.schema([(field.name, _arrow_type(field.dataType)) for field in schema.fields])


def _arrow_type(kind: DataType) -> pa.DataType:
    """Name a Spark type as the schemas do; pyspark's own way wants a time zone, by version."""
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import ArrayType, TimestampType

    if isinstance(kind, TimestampType):
        return TIMESTAMP
    if isinstance(kind, ArrayType):
        return pa.list_(_arrow_type(kind.elementType))
    return to_arrow_type(kind)


def parquet_files(directory: Path) -> list[Path]:
    """Return the Parquet files of a directory by name, without hidden ones."""
    return sorted(p for p in directory.glob("*.parquet") if not p.name.startswith((".", "_")))


def count_rows(directory: Path) -> int:
    """Return the rows of a directory's Parquet files from their footers."""
    return sum(int(pq.read_metadata(path).num_rows) for path in parquet_files(directory))


def _fits_driver(directory: Path) -> bool:
    size = sum(path.stat().st_size for path in parquet_files(directory))
    return size <= DRIVER_BYTES and count_rows(directory) <= DRIVER_ROWS


def _sort_in_memory(unsorted: Path, in_order: Path, table: str, ids: IdTypes) -> None:
    """Sort a small table with pyarrow; a table without rows still gets its one file."""
    schema = table_schema(table, ids)
    paths = [str(path) for path in parquet_files(unsorted)]
    rows = ds.dataset(paths, schema=schema, format="parquet").to_table()
    in_memory = rows.sort_by([(name, "ascending") for name in SORTED_BY[table]])  # nulls last
    with explain_os_errors(in_order, "write"):
        in_order.mkdir(parents=True)
        pq.write_table(
            in_memory,
            in_order / "part-00000.parquet",
            row_group_size=ROWS_A_GROUP,
            compression=_COMPRESSION,
            coerce_timestamps="us",
        )


def _sort_by_range(
    spark: SparkSession, unsorted: Path, in_order: Path, table: str, ids: IdTypes
) -> None:
    """Sort a large table: one shuffle by ranges of its first sort column, 128 MiB a file."""
    from pyspark.sql import functions as F

    size = sum(path.stat().st_size for path in parquet_files(unsorted))
    n_files = math.ceil(size / BYTES_A_FILE)
    first, by = SORTED_BY[table][0], [F.col(c).asc_nulls_last() for c in SORTED_BY[table]]
    rows = spark.read.schema(spark_schema(table, ids)).parquet(_url(unsorted))
    _write_parquet(rows.repartitionByRange(n_files, first).sortWithinPartitions(*by), in_order)
    for path in in_order.iterdir():  # checksums and markers, which other readers trip over
        if path.name.startswith((".", "_")):
            path.unlink()


def _write_parquet(df: DataFrame, directory: Path) -> None:
    (
        df.write.mode("overwrite")  # a scratch path that no reader sees
        .option("compression", _COMPRESSION)
        .option("parquet.block.row.count.limit", str(ROWS_A_GROUP))
        .parquet(_url(directory))
    )


def _url(path: Path) -> str:
    """Name a local path so that Spark does not look for it on its default file system."""
    return f"file://{path}"
