"""Parquet files of Spark's own writer, where they lie on a disk that the driver sees; counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from mfspark.errors import MfsparkError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def write_by_spark(frame: DataFrame, place: Path, **options: str) -> tuple[Path, ...]:
    """Write a frame by Spark's own writer, and return the files in the frame's order.

    options: as Spark's writer of Parquet has them. What is there is replaced.
    Raises MfsparkError where the files have not the rows that were written.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    counted = Observation()
    observed = frame.observe(counted, F.count(F.lit(1)).alias("rows"))
    observed.write.mode("overwrite").options(**options).parquet(f"file://{place}")
    for path in place.iterdir():  # checksums and markers, which other readers trip over
        if path.name.startswith((".", "_")):
            path.unlink()
    files = tuple(sorted(place.iterdir()))
    found = sum(pq.read_metadata(file).num_rows for file in files)
    if found != (wrote := counted.get["rows"]):
        raise MfsparkError(
            f"the files in {place} have {found:,} rows, but their tasks wrote {wrote:,}",
            "driver and executors must share the warehouse, and its file system must lose nothing: "
            "look at it before anything else",
        )
    return files
