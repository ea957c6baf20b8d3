"""Reads ratings with Spark: the driver plans splits, tasks read and clean them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from mfspark.ingest.readers.lines import Facts, examine
from mfspark.ingest.readers.plan import Examine, ReadPlan, examine_here, plan_read
from mfspark.ingest.readers.validate import CLEANED
from mfspark.system.spark import Session
from mfspark.system.task_errors import task_errors

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from mfspark.config.config import IngestOptions

READ_SCHEMA = (
    "file int, line long, cell int, user_id string, item_id string, rating double, "
    "rated_at timestamp, raw string, reason string"
)
"""Columns of `read_ratings`: `file` counts the files from 0; `line` is the line in the file from 1;
`cell` is the column in a wide table, otherwise 0; `raw` and `reason` are null in accepted rows."""

_EXAMINE_HERE = 64 << 20  # bytes that the driver looks through itself: less than a job costs
_FACTS = (
    "task long, lines long, odd_quotes boolean, open_quotes boolean, lone_returns boolean, "
    "utf8_bytes long, other_bytes long, beside_bytes long, undefined_bytes long"
)
_ARROW_READ = pa.schema([("file", pa.int32()), *CLEANED])


def read_ratings(
    spark: SparkSession,
    files: Sequence[str],
    options: IngestOptions,
    split_bytes: int | None = None,
) -> DataFrame:
    """Plan a read of all files and return their rows, accepted and rejected, as READ_SCHEMA.

    Planning looks through text once (line numbers, quotes, encoding): on the driver up to 64 MiB,
    above that with one job. `split_bytes` overrides `options.split_mb`. Raises InputError for
    files that cannot be read as ratings at all.
    """
    return _read(spark, plan_ratings(Session(lambda: spark), files, options, split_bytes))


def plan_ratings(
    session: Session,
    files: Sequence[str],
    options: IngestOptions,
    split_bytes: int | None = None,
) -> ReadPlan:
    """Plan a read; see `read_ratings`."""
    size = split_bytes or options.split_mb << 20

    def examine_all(ranges: Sequence[Examine]) -> list[Facts]:
        if sum(end - start for _, start, end, *_ in ranges) <= _EXAMINE_HERE:
            return examine_here(ranges)
        return _examine_in_tasks(session.spark, ranges)

    return plan_read(files, options, size, examine_all)


def accepted(rows: DataFrame, until: date) -> DataFrame:
    """Return the accepted rows of a read, without those of later UTC dates."""
    next_day = F.lit((until + timedelta(days=1)).isoformat()).cast("timestamp")
    later = F.coalesce(F.col("rated_at") >= next_day, F.lit(False))
    return rows.where(F.col("reason").isNull() & ~later)


def _read(spark: SparkSession, plan: ReadPlan) -> DataFrame:
    """Return the rows of a plan, lazily: each action reads the files again. One task a split."""
    sources, splits = plan.sources, plan.splits

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                split = splits[row["task"]]
                for cleaned in sources[split.file].read(split):
                    file = pa.array(np.full(cleaned.num_rows, split.file, np.int32))
                    columns = [file, *cleaned.columns]
                    yield pa.RecordBatch.from_arrays(columns, schema=_ARROW_READ)

    rows = [(i,) for i in range(len(splits))]
    schema = "task int"
    return _one_task_each(spark, rows, schema).mapInArrow(read, READ_SCHEMA)


def _examine_in_tasks(spark: SparkSession, ranges: Sequence[Examine]) -> list[Facts]:
    """Examine ranges with one job; brings one short row a range to the driver."""

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                facts = examine(*ranges[row["task"]])
                values = {"task": row["task"], **asdict(facts)}
                yield pa.RecordBatch.from_pylist([values])

    tasks = _one_task_each(spark, [(i,) for i in range(len(ranges))], "task int")
    found = tasks.mapInArrow(look, _FACTS)
    with task_errors():
        by_task = {task: Facts(*facts) for task, *facts in found.collect()}
    return [by_task[i] for i in range(len(ranges))]


def _one_task_each(
    spark: SparkSession, rows: Sequence[tuple[object, ...]], schema: str
) -> DataFrame:
    """Return rows as a DataFrame of one partition a row; their first column is their number."""
    frame = spark.createDataFrame(list(rows), schema)
    return frame.repartitionById(len(rows), "task") if len(rows) > 1 else frame.coalesce(1)
