"""DataFrames read from blocks: one Spark task a block, no shuffle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from mfspark.grid.runners import spare_imports

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class ReadEach:
    """Reads the blocks of several things one after the other, as if they were one."""

    readers: Sequence[Callable[[int], pa.RecordBatch]]
    n_blocks: int
    """Blocks of each thing."""

    def __call__(self, number: int) -> pa.RecordBatch:
        """Read block `number mod n_blocks` of thing `number div n_blocks`."""
        thing, block = divmod(number, self.n_blocks)
        return self.readers[thing](block)

    def frame(self, spark: SparkSession, schema: pa.Schema) -> DataFrame:
        """Return all rows as one DataFrame: one plan, however many things there are."""
        return frame_of_blocks(spark, len(self.readers) * self.n_blocks, self, schema)


def frame_of_blocks(
    spark: SparkSession, n_blocks: int, read: Callable[[int], pa.RecordBatch], schema: pa.Schema
) -> DataFrame:
    """Return the rows that `read` gives for each block, lazily; `read` runs on the executors."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def read_blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        spare_imports()
        for batch in batches:
            yield from (read(block) for block in batch["id"].to_pylist())

    frame = spark.range(0, n_blocks, 1, n_blocks)
    return frame.mapInArrow(read_blocks, from_arrow_schema(schema))
