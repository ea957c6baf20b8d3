"""DataFrames read from blocks: one Spark task a block, no shuffle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame, SparkSession


def frame_of_blocks(
    spark: SparkSession, n_blocks: int, read: Callable[[int], pa.RecordBatch], schema: pa.Schema
) -> DataFrame:
    """Return the rows that `read` gives for each block, lazily; `read` runs on the executors."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def read_blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from (read(block) for block in batch["id"].to_pylist())

    frame = spark.range(0, n_blocks, 1, n_blocks)
    return frame.mapInArrow(read_blocks, from_arrow_schema(schema))
