"""Frames that a night keeps while it runs, below a key of its scratch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.errors import MfsparkError
from mfspark.storage.protocol import Storage
from mfspark.tables.spark_types import arrow_schema
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import (
    Written,
    all_files,
    check_seen,
    read_back,
    read_by_tasks,
    read_files,
    write_files,
    write_rows,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class FrameScratch:
    """Keeps frames below a key: by Spark's own writer on a disk, else by tasks (ingest.Scratch)."""

    storage: Storage
    place: str

    def keep(self, frame: DataFrame, name: str) -> DataFrame:
        """Write a frame, once, and return it as it is read back."""
        place = self._local(name)
        if place is None:
            return read_files(frame.sparkSession, self._write(frame, name).files, frame.schema)
        _write_by_spark(frame, place)
        return frame.sparkSession.read.schema(frame.schema).parquet(f"file://{place}")

    def keep_in_order(self, frame: DataFrame, by: str, name: str) -> tuple[DataFrame, int]:
        """Write a frame, once, and return it with each row's `position` (long), and its rows.

        What is written fits the driver mostly: then one job does. Otherwise the rows are sorted by
        a range shuffle, and numbered by their place: both writers name files in their order.
        """
        spark, schema = frame.sparkSession, frame.schema
        written = write_files(
            frame,
            self.storage,
            f"{self.place}/{name}_as_they_come",
            arrow_schema(schema),
            hand_few=True,
        )
        if written.fits_driver:
            rows = read_back(written, arrow_schema(schema)).sort_by(by)
            rows = rows.append_column("position", pa.array(np.arange(rows.num_rows)))
            one = write_rows(rows, self.storage, f"{self.place}/{name}")
            files = TableFiles(self.storage, (f"{self.place}/{name}/{one.name}",))
            return read_files(spark, files, _with_position(schema)), rows.num_rows
        in_order = read_files(spark, all_files(written), schema).orderBy(by)
        if self._local(name) is None:
            return _numbered(spark, self._write(in_order, name), schema)
        return _numbered_by_spark(self.keep(in_order, name))

    def _local(self, name: str) -> Path | None:
        return self.storage.local(f"{self.place}/{name}")

    def _write(self, frame: DataFrame, name: str) -> Written:
        place, schema = f"{self.place}/{name}", arrow_schema(frame.schema)
        written = write_files(frame, self.storage, place, schema)
        check_seen(written)
        return written


def _write_by_spark(frame: DataFrame, place: Path) -> None:
    """Write a frame by Spark's own writer, and compare the rows it had with those of the files.

    Raises MfsparkError where they differ.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    counted = Observation()
    observed = frame.observe(counted, F.count(F.lit(1)).alias("rows"))
    observed.write.mode("overwrite").parquet(f"file://{place}")
    found = sum(pq.read_metadata(file).num_rows for file in place.glob("*.parquet"))
    if found != (wrote := counted.get["rows"]):
        raise MfsparkError(
            f"the files in {place} have {found:,} rows, but their tasks wrote {wrote:,}",
            "driver and executors must share the warehouse, and its file system must lose nothing: "
            "look at it before anything else",
        )


def _numbered(spark: SparkSession, written: Written, schema: StructType) -> tuple[DataFrame, int]:
    """Read files by tasks, with a column `position`."""
    offsets = list(accumulate((file.rows for file in written.entries), initial=0))

    def place(number: int, batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
        first = offsets[number] + row
        position = pa.array(range(first, first + batch.num_rows), pa.int64())
        return batch.append_column("position", position)

    with_position = _with_position(schema)
    return read_by_tasks(spark, written.files, schema.names, with_position, place), offsets[-1]


def _with_position(schema: StructType) -> StructType:
    from pyspark.sql.types import LongType, StructField, StructType

    return StructType([*schema.fields, StructField("position", LongType())])


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
