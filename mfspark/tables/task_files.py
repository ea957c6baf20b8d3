"""Parquet files that tasks write and report, and frames that are read from such files.

Tasks write their files and report them; what they report is the frame. So a file that a killed task
left belongs to nothing, and no file system is ever asked what there is.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.errors import ConfigError, MfsparkError
from mfspark.storage.cache import MachineCache
from mfspark.storage.protocol import Storage
from mfspark.storage.traffic import tally_of
from mfspark.system.spark import runs_here
from mfspark.tables.manifest import FileEntry
from mfspark.tables.nearby import brought_nearby
from mfspark.tables.table_files import TableFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

ROWS_A_GROUP = 122_880
"""Rows a row group: few enough that one user's list is a small read, enough to compress and scan
well (it is also what DuckDB writes)."""
FEW_BYTES, FEW_TASKS = 1 << 20, 64
"""Up to so many bytes of memory, rows of a task are handed to the driver rather than written, by so
many tasks at most: 64 MiB in all."""
DRIVER_BYTES, DRIVER_ROWS = 32 << 20, 4_000_000
"""Up to this compressed size and length, rows are sorted in the driver's memory, into one file."""
_COMPRESSION = "zstd"
TABLE_CACHE = MachineCache("tables", 8 << 30)  # names are like no others: files never change
_REPORT = pa.schema(
    [
        ("number", pa.int32()),
        ("name", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("few", pa.binary()),
        ("asked", pa.string()),
    ]
)


@dataclass(frozen=True)
class Written:
    """What the tasks of a frame wrote below a key, in the frame's order."""

    storage: Storage
    place: str
    entries: tuple[FileEntry, ...]
    few: tuple[pa.Table, ...] = ()
    """Rows of tasks that had too few of them for a file, likewise in order."""

    @property
    def files(self) -> TableFiles:
        """The files."""
        return TableFiles(self.storage, tuple(f"{self.place}/{one.name}" for one in self.entries))

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(file.rows for file in self.entries) + sum(few.num_rows for few in self.few)

    @property
    def bytes(self) -> int:
        """The bytes of the files, and of the rows in memory."""
        return sum(file.bytes for file in self.entries) + sum(few.nbytes for few in self.few)

    @property
    def fits_driver(self) -> bool:
        """Whether the driver may hold all rows (a few hundred MB at most)."""
        return self.bytes <= DRIVER_BYTES and self.rows <= DRIVER_ROWS


RowsOf = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""Makes the rows of a table of what a task has, such as those of the blocks that it is given."""


def write_files(
    df: DataFrame,
    storage: Storage,
    place: str,
    schema: pa.Schema,
    rows_of: RowsOf = iter,
    *,
    hand_few: bool = False,
    size: int | None = None,
) -> Written:
    """Write a frame below a key as Parquet, a file a task; one job.

    rows_of: makes the rows in the task that writes them; otherwise they are those of the frame.
    hand_few: tasks that have few rows write no file, and hand them to the driver. size: rows a row
    group, if not the usual ones.
    """
    group, most, few_tasks = size or ROWS_A_GROUP, FEW_BYTES if hand_few else -1, FEW_TASKS

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = context.partitionId() if context else 0
        groups = _row_groups(rows_of(batches), schema, group)
        first = list(islice(groups, 2))
        if not first:
            return
        report: dict[str, Any] = {"number": number}
        if len(first) == 1 and number < few_tasks and first[0].nbytes <= most:
            report |= {"rows": first[0].num_rows, "few": _to_bytes(first[0])}
        else:
            report |= write_file(chain(first, groups), storage, place, number, schema).model_dump()
        report["asked"] = json.dumps(tally_of(storage.root).take().counts())
        yield pa.RecordBatch.from_pylist([report], _REPORT)

    from pyspark.sql.pandas.types import from_arrow_schema

    found = df.mapInArrow(write, from_arrow_schema(_REPORT)).collect()
    reports = sorted((row.asDict() for row in found), key=lambda report: report["number"])
    for report in reports:
        tally_of(storage.root).add(**json.loads(report["asked"]))
    few = [_from_bytes(report["few"]) for report in reports if report["few"] is not None]
    facts = [[report[name] for name in FileEntry.model_fields] for report in reports]
    entries = [
        FileEntry(**dict(zip(FileEntry.model_fields, one, strict=True))) for one in facts if one[0]
    ]
    return Written(storage, place, tuple(entries), tuple(few))


def write_file(
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


def write_rows(rows: pa.Table, storage: Storage, place: str, number: int = 0) -> FileEntry:
    """Write a table that is in memory to one file, in row groups of the usual size."""
    groups = _row_groups(rows.to_batches(), rows.schema, ROWS_A_GROUP)
    return write_file(groups, storage, place, number, rows.schema)


def check_seen(written: Written) -> None:
    """Compare the sizes that tasks report with what the driver sees.

    Raises ConfigError where it does not find a file, MfsparkError where one is not whole.
    """
    storage, place = written.storage, written.place
    seen = storage.sizes(place, [file.name for file in written.entries])
    for file in written.entries:
        key = f"{place}/{file.name}"
        if file.name not in seen:
            raise _not_seen(storage, key)
        if seen[file.name] != file.bytes:
            raise _lost(storage, key, f"{seen[file.name]:,} bytes", f"{file.bytes:,}")


def read_back(written: Written, schema: pa.Schema) -> pa.Table:
    """Return all rows that tasks wrote, in the driver's memory.

    Raises ConfigError where the driver does not find a file that a task reports, MfsparkError where
    it has not the rows that were written.
    """
    storage, parts = written.storage, [schema.empty_table(), *written.few]
    for file, key in zip(written.entries, written.files.keys, strict=True):
        try:
            rows = pq.read_table(storage.open(key), schema=schema)
        except FileNotFoundError:
            raise _not_seen(storage, key) from None
        if rows.num_rows != file.rows:
            raise _lost(storage, key, f"{rows.num_rows:,} rows", f"{file.rows:,}")
        parts.append(rows)
    return pa.concat_tables(parts)


def all_files(written: Written) -> TableFiles:
    """Return what tasks wrote and, in a file more, what they handed over; see `check_seen`."""
    check_seen(written)
    if not written.few:
        return written.files
    few = write_rows(pa.concat_tables(written.few), written.storage, written.place)
    return replace(written.files, keys=(*written.files.keys, f"{written.place}/{few.name}"))


def _not_seen(storage: Storage, key: str) -> ConfigError:
    return ConfigError(
        f"a task wrote {storage.show(key)}, and the driver does not find it there",
        "driver and executors must share the warehouse: choose a directory on a file "
        "system that all machines mount, or an object store (s3://, gs://, az://)",
    )


def _lost(storage: Storage, key: str, found: str, wrote: str) -> MfsparkError:
    return MfsparkError(
        f"{storage.show(key)} has {found}, but its task wrote {wrote}",
        "the file system loses data: look at it before anything else",
    )


def read_files(spark: SparkSession, files: TableFiles, schema: StructType) -> DataFrame:
    """Read files of one schema lazily: by Spark itself where they lie on a disk, else by tasks.

    Copies them first, where all tasks run on this machine and the files lie elsewhere.
    """
    found = brought_nearby(files, here=runs_here(spark))
    if found.paths is not None:
        # Named as local paths, so that Spark does not look on its default file system.
        return spark.read.schema(schema).parquet(*(f"file://{path}" for path in found.paths))
    return read_by_tasks(spark, files, schema.names, schema)


def read_by_tasks(
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
            with pq.ParquetFile(TABLE_CACHE.open(storage, keys[number])) as file:
                for batch in file.iter_batches(columns=columns):
                    yield change(number, batch, row)
                    row += batch.num_rows

    numbers = spark.range(0, len(keys), 1, max(len(keys), 1))
    return numbers.mapInArrow(read, schema)


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


def _to_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


def _from_bytes(content: bytes) -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(bytes(content))) as reader:
        return reader.read_all()


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
