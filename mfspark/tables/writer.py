"""Writing one table of a night, and reading it: by tasks, each of its own files.

Tasks write their files and report them; what they report is the table. So a file that a killed task
left belongs to nothing, and no file system is ever asked what there is.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.errors import ConfigError, MfsparkError, RefusedError
from mfspark.schemas import SORTED_BY, TIMESTAMP, IdTypes, check_schema, spark_schema, table_schema
from mfspark.storage.protocol import Storage
from mfspark.tables.manifest import FileEntry, TableEntry
from mfspark.tables.night import Night
from mfspark.tables.table_files import TableFiles

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType


ROWS_A_GROUP = 122_880
"""Rows a row group: few enough that one user's list is a small read, enough to compress and scan
well (it is also what DuckDB writes)."""
DRIVER_BYTES, DRIVER_ROWS = 32 * 2**20, 4_000_000
"""Tables up to this compressed size and length are sorted in the driver's memory, into one file."""
BYTES_A_FILE = 128 * 2**20
_COMPRESSION = "zstd"
_REPORT = "name string, rows long, bytes long, sha256 string"


def write_table(df: DataFrame, night: Night, table: str, ids: IdTypes) -> int:
    """Write a table of a night, sorted by `schemas.SORTED_BY`, and return its rows.

    `df` runs exactly once: its rows are first written as they come, since range partitioning would
    run it a second time for its sample. Small tables are then sorted in the driver's memory (a few
    hundred MB at most); larger ones by one range shuffle of what was written. The table is what the
    night then lists; an earlier one of the same night is replaced.

    Raises SchemaError with all differences before anything runs, RefusedError for a published run,
    ConfigError where the driver does not see what tasks wrote.
    """
    check_schema(_arrow_schema(df.schema), table, ids)
    if night.published:
        raise RefusedError(f"run {night.run_id} is published; its tables do not change any more")

    storage, schema = night.storage, table_schema(table, ids)
    target, unsorted = night.table_key(table), night.scratch("writing", table)
    written = write_files(df.select(*schema.names), storage, unsorted, schema)
    rows = TableFiles(storage, tuple(f"{unsorted}/{file.name}" for file in written))
    night.drop_table(table)  # now, as the frame may have read it
    if not written or _fits_driver(written):
        entries = [_sort_in_memory(rows, storage, target, table, schema)]
    else:
        frame = read_files(df.sparkSession, rows, spark_schema(table, ids))
        in_order = _sorted_by_range(frame, table, sum(file.bytes for file in written))
        entries = write_files(in_order, storage, target, schema)
    entry = TableEntry(
        rows=sum(file.rows for file in entries),
        bytes=sum(file.bytes for file in entries),
        schema={field.name: str(field.type) for field in schema},
        sorted_by=SORTED_BY[table],
        files=tuple(entries),
    )
    if entry.rows != sum(file.rows for file in written):
        raise MfsparkError(
            f"table '{table}' has {entry.rows:,} rows in order, but "
            f"{sum(file.rows for file in written):,} were written",
            "run the same command again",
        )
    night.keep_table(table, entry)
    storage.discard(unsorted)
    return entry.rows


def write_files(df: DataFrame, storage: Storage, place: str, schema: pa.Schema) -> list[FileEntry]:
    """Write a frame below a key as Parquet, a file a task, and return them in the frame's order.

    One job. Raises ConfigError where the driver does not find what a task reports.
    """
    size = ROWS_A_GROUP

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = context.partitionId() if context else 0
        groups = _row_groups(batches, schema, size)
        first = next(groups, None)
        if first is not None:
            entry = _write_file(chain([first], groups), storage, place, number, schema)
            yield pa.RecordBatch.from_pylist([entry.model_dump()])

    reported = df.mapInArrow(write, _REPORT).collect()
    entries = sorted((FileEntry(**row.asDict()) for row in reported), key=lambda entry: entry.name)
    _check_seen(storage, place, entries)
    return entries


def _write_file(
    tables: Iterable[pa.Table], storage: Storage, place: str, number: int, schema: pa.Schema
) -> FileEntry:
    """Write tables to one file, a row group each.

    Its name is like no other's, as a task may run twice at once.
    """
    name, rows = f"part-{number:05d}-{uuid.uuid4().hex[:12]}.parquet", 0
    with storage.writing(f"{place}/{name}", durable=False) as sink:
        counted = _Counted(sink)
        with pq.ParquetWriter(counted, schema, compression=_COMPRESSION) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=table.num_rows or None)
                rows += table.num_rows
    return FileEntry(name=name, rows=rows, bytes=counted.bytes, sha256=counted.sha256)


def _row_groups(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, size: int
) -> Iterator[pa.Table]:
    """Gather batches of whatever size into tables of `size` rows, the last one with the rest."""
    waiting: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        waiting.append(batch)
        n += batch.num_rows
        while n >= size:
            gathered = pa.Table.from_batches(waiting)
            yield gathered.slice(0, size).cast(schema)
            waiting, n = gathered.slice(size).to_batches(), n - size
    if n:
        yield pa.Table.from_batches(waiting).cast(schema)


def _check_seen(storage: Storage, place: str, entries: Iterable[FileEntry]) -> None:
    """Compare what tasks report with what the driver sees."""
    for entry in entries:
        key = f"{place}/{entry.name}"
        try:
            with pq.ParquetFile(storage.open(key)) as file:
                rows = file.metadata.num_rows
        except FileNotFoundError:
            raise ConfigError(
                f"a task wrote {storage.show(key)}, and the driver does not find it there",
                "driver and executors must share the warehouse: choose a directory on a file "
                "system that all machines mount, or an object store (s3://, gs://, az://)",
            ) from None
        if rows != entry.rows:
            raise MfsparkError(
                f"{storage.show(key)} has {rows:,} rows, but its task wrote {entry.rows:,}",
                "the file system loses data: look at it before anything else",
            )


def _sort_in_memory(
    files: TableFiles, storage: Storage, place: str, table: str, schema: pa.Schema
) -> FileEntry:
    """Sort a small table with pyarrow; a table without rows still gets its one file."""
    parts = [pq.read_table(storage.open(key), schema=schema) for key in files.keys]
    rows = pa.concat_tables([schema.empty_table(), *parts])
    in_order = rows.sort_by([(name, "ascending") for name in SORTED_BY[table]])  # nulls last
    groups = _row_groups(in_order.to_batches(), schema, ROWS_A_GROUP)
    return _write_file(groups, storage, place, 0, schema)


def _sorted_by_range(frame: DataFrame, table: str, size: int) -> DataFrame:
    """Sort a large table: one shuffle by ranges of its first sort column, 128 MiB a file."""
    from pyspark.sql import functions as F

    first, by = SORTED_BY[table][0], [F.col(c).asc_nulls_last() for c in SORTED_BY[table]]
    n_files = math.ceil(size / BYTES_A_FILE)
    return frame.repartitionByRange(n_files, first).sortWithinPartitions(*by)


def _fits_driver(files: list[FileEntry]) -> bool:
    size, rows = sum(file.bytes for file in files), sum(file.rows for file in files)
    return size <= DRIVER_BYTES and rows <= DRIVER_ROWS


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


def read_files(spark: SparkSession, files: TableFiles, schema: StructType) -> DataFrame:
    """Read files of one schema lazily: by Spark itself where they lie on a disk, else by tasks."""
    if files.paths is not None:
        # Named as local paths, so that Spark does not look on its default file system.
        return spark.read.schema(schema).parquet(*(f"file://{path}" for path in files.paths))
    return _read_by_tasks(spark, files, schema.names, schema)


def _read_by_tasks(
    spark: SparkSession,
    files: TableFiles,
    columns: list[str],
    schema: StructType,
    change: Callable[[int, pa.RecordBatch, int], pa.RecordBatch] = lambda _, batch, __: batch,
) -> DataFrame:
    """Read a file a task; `change` is given the file's number, a batch, and its first row's."""
    storage, keys = files.storage, files.keys

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in chain.from_iterable(batch["id"].to_pylist() for batch in batches):
            row = 0
            with pq.ParquetFile(storage.open(keys[number])) as file:
                for batch in file.iter_batches(columns=columns):
                    yield change(number, batch, row)
                    row += batch.num_rows

    numbers = spark.range(0, len(keys), 1, max(len(keys), 1))
    return numbers.mapInArrow(read, schema)


@dataclass(frozen=True)
class FrameScratch:
    """Keeps frames below a key: by Spark's own writer on a disk, else by tasks (ingest.Scratch)."""

    storage: Storage
    place: str

    def keep(self, frame: DataFrame, name: str) -> DataFrame:
        """Write a frame, once, and return it as it is read back."""
        path = self._path(name)
        if path is None:
            return read_files(frame.sparkSession, self._write(frame, name)[0], frame.schema)
        frame.write.mode("overwrite").parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(path)

    def keep_in_order(self, frame: DataFrame, name: str) -> tuple[DataFrame, int]:
        """Write a sorted frame, and return it with each row's `position` (long), and its rows.

        Both writers name the files in the order of their rows.
        """
        path = self._path(name)
        if path is None:
            return _numbered(frame.sparkSession, *self._write(frame, name), frame.schema)
        return _numbered_by_spark(self.keep(frame, name))

    def _path(self, name: str) -> str | None:
        path = self.storage.local(f"{self.place}/{name}")
        return f"file://{path}" if path else None

    def _write(self, frame: DataFrame, name: str) -> tuple[TableFiles, list[int]]:
        key = f"{self.place}/{name}"
        entries = write_files(frame, self.storage, key, _arrow_schema(frame.schema))
        keys = tuple(f"{key}/{entry.name}" for entry in entries)
        return TableFiles(self.storage, keys), [entry.rows for entry in entries]


def _numbered(
    spark: SparkSession, files: TableFiles, rows: list[int], schema: StructType
) -> tuple[DataFrame, int]:
    """Read files by tasks, with a column `position`."""
    from pyspark.sql.types import LongType, StructField, StructType

    offsets = list(accumulate(rows, initial=0))

    def place(number: int, batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
        first = offsets[number] + row
        position = pa.array(range(first, first + batch.num_rows), pa.int64())
        return batch.append_column("position", position)

    with_position = StructType([*schema.fields, StructField("position", LongType())])
    return _read_by_tasks(spark, files, schema.names, with_position, place), offsets[-1]


def _numbered_by_spark(written: DataFrame) -> tuple[DataFrame, int]:
    """Number the rows of Parquet files that Spark reads by what it knows of each row's place."""
    from pyspark.sql import functions as F

    file, row = F.col("_metadata.file_name"), F.col("_metadata.row_index")
    placed = written.select("*", file.alias("file"), row.alias("row"))
    counted = placed.groupBy("file").agg(F.count("*").alias("n")).collect()
    offsets: list[Column] = []
    total = 0
    for name, n in sorted((row.file, row.n) for row in counted):
        offsets += [F.lit(name), F.lit(total)]
        total += n
    offset = F.element_at(F.create_map(*offsets), F.col("file")) if offsets else F.lit(0)
    position = (offset + F.col("row")).cast("long").alias("position")
    return placed.select(*written.columns, position), total


class _Counted:
    """A file that knows how many bytes were written to it, and their hash."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._digest, self.bytes = sink, hashlib.sha256(), 0
        self.closed = False

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hex."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        """Write, count and hash."""
        self._digest.update(data)
        self.bytes += len(data)
        return self._sink.write(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self.bytes

    def flush(self) -> None:
        """Leave it to whoever opened the file."""

    def close(self) -> None:
        """Leave it to whoever opened the file."""
        self.closed = True
