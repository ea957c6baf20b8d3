"""The ratings of a night as arrays that tasks read from files, labelled train or test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.evaluation.pair_hash import share_of_pair
from mfspark.grid.cut import EPOCH
from mfspark.grid.packed_rows import RowsOfTasks
from mfspark.kernels.arrays.tile import Arrays
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import TABLE_CACHE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_GROUPS = 8
"""Row groups a task reads: a million rows."""
_NUMBERS = ("user_idx", "item_idx", "rating")


def ratings_of_tasks(
    spark: SparkSession | None,
    files: TableFiles,
    *,
    timed: bool,
    seed: int | None = None,
    test_share: float = 0.0,
) -> RowsOfTasks:
    """Return the rows of table `ratings`, some row groups a task, as `cut_together` takes them.

    spark: None where this process reads them. seed: label them as `evaluation.splits` does with the
    split `random`. Reads the footers here.
    """
    tasks = files.row_groups(_GROUPS)
    read = _ReadRatings(files, tuple(tasks), timed, seed, test_share)
    return RowsOfTasks(spark, len(tasks), read)


@dataclass(frozen=True)
class _ReadRatings:
    files: TableFiles
    tasks: tuple[tuple[str, range], ...]
    timed: bool
    seed: int | None
    test_share: float

    def __call__(self, number: int) -> Arrays:
        key, groups = self.tasks[number]
        columns = [*_NUMBERS]
        columns += ["rated_at"] if self.timed else []
        columns += [] if self.seed is None else ["user_id", "item_id"]
        with pq.ParquetFile(TABLE_CACHE.open(self.files.storage, key)) as file:
            table = file.read_row_groups(list(groups), columns=columns, use_threads=False)
        rows = {name: table[name].combine_chunks() for name in columns}
        arrays = {name: rows[name].to_numpy() for name in _NUMBERS}
        if self.timed:
            arrays["minute"] = _minutes(rows["rated_at"])
        if self.seed is not None:
            share = share_of_pair(self.seed, rows["user_id"], rows["item_id"])
            arrays["is_test"] = share < self.test_share
        return arrays


def _minutes(times: pa.Array) -> np.ndarray:
    """Return whole minutes after EPOCH, float64 (n); NaN where there is no time."""
    seconds = times.cast(pa.int64()).fill_null(0).to_numpy() // 1_000_000
    minutes = ((seconds - int(EPOCH.timestamp())) // 60).astype(np.float64)
    minutes[times.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return minutes
