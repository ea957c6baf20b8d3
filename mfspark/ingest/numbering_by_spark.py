"""Numbering ids that are too many for one process: sorted and joined by Spark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from mfspark.ingest.numbering import MAX_INDEX, PLACES, Numbered, Numbering, check_number
from mfspark.tables.task_files import Written, check_seen, read_by_tasks, read_files, write_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_BUCKETS = 4096  # in which ratings are counted by place


def number_by_spark(spark: SparkSession, ids: Numbering) -> Numbered:
    """Number ids as `Numbering.here` does.

    Shuffles the ids of all parts twice, to join their places and to bring these to their parts, and
    those that differ to find and to sort them. Raises InputError above 2^31 - 1 ids.
    """
    of_parts = _of_parts(spark, ids)
    others = pa.table({"id": ids.others})
    new = of_parts.select("id").union(
        spark.createDataFrame(others, from_arrow_schema(others.schema))
    )
    new, known = new.distinct(), None
    if ids.base:
        of_side = [(f"{ids.side}_id", ids.typed.arrow), (f"{ids.side}_idx", pa.int32())]
        schema = pa.schema([*of_side, ("n_ratings", pa.int64())])
        known = read_files(spark, ids.base, from_arrow_schema(schema)).toDF("id", "idx", "n")
        new = new.join(known, "id", "left_anti")
    last = known.agg(F.max("idx")).collect()[0][0] if known else None
    first = 0 if last is None else int(last) + 1
    written = _in_order(new.withColumn("idx", F.lit(0)), ids, "new")
    check_number(first + written.rows)
    index = (F.col("place") + first).cast("int").alias("idx")
    everything = _placed(spark, written, ids).select("id", index)
    if known:
        everything = known.select("id", "idx").unionByName(everything)
    written = _in_order(everything, ids, "ids")
    places = _placed(spark, written, ids).select("id", "place")
    joined = of_parts.join(places, "id")
    counted = joined.select("place", "n")
    if known and ids.carried:
        counted = counted.unionByName(known.join(places, "id").select("place", "n"))
    n, width = written.rows, -(-written.rows // _BUCKETS)
    bucket = F.floor(F.col("place") / width).cast("int").alias("bucket")
    weights = np.zeros(-(-n // width), np.int64)
    for row in counted.groupBy(bucket).agg(F.sum("n").alias("n")).collect():
        weights[row.bucket] = row.n
    of_each = tuple((key, 0) for key in _by_part(joined, ids).files.keys)
    return Numbered(ids.rows.storage, n, written.files, of_each, weights, width)


def _of_parts(spark: SparkSession, ids: Numbering) -> DataFrame:
    """Return the ids of all parts: part, row, id, variant, n."""
    names = [("part", pa.int32()), ("row", pa.int32()), ("id", ids.typed.arrow)]
    schema = pa.schema([*names, ("variant", pa.int32()), ("n", pa.int64())])

    def change(part: int, batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
        found = ids.of_part(pa.Table.from_batches([batch]))
        places = np.full(batch.num_rows, part), np.arange(row, row + batch.num_rows)
        columns = [*map(pa.array, places), *(found[name] for name in schema.names[2:])]
        return pa.table(columns, schema=schema).combine_chunks().to_batches()[0]

    files = ids.rows.ids(ids.side)
    return read_by_tasks(spark, files, ["id", "n"], from_arrow_schema(schema), change)


def _in_order(frame: DataFrame, ids: Numbering, name: str) -> Written:
    """Write a frame (id, idx) in the order of its ids.

    It runs once: sorting runs what it sorts a second time for its sample.
    """
    spark, storage, schema = frame.sparkSession, ids.rows.storage, _numbered(ids)
    once = write_files(frame, storage, ids.key(f"{name}_as_they_come"), schema)
    check_seen(once)
    unsorted = read_files(spark, once.files, from_arrow_schema(schema))
    written = write_files(unsorted.orderBy("id"), storage, ids.key(name), schema)
    check_seen(written)
    return written


def _placed(spark: SparkSession, written: Written, ids: Numbering) -> DataFrame:
    """Return the rows of files in order with a column `place`."""
    before = list(accumulate((file.rows for file in written.entries), initial=0))

    def place(number: int, batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
        first = before[number] + row
        places = np.arange(first, first + batch.num_rows)
        return batch.append_column("place", pa.array(places, pa.int64()))

    schema = from_arrow_schema(_numbered(ids).append(pa.field("place", pa.int64())))
    return read_by_tasks(spark, written.files, ["id", "idx"], schema, place)


def _by_part(joined: DataFrame, ids: Numbering) -> Written:
    """Write the places of each part's ids, a file a part."""

    def in_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = pa.Table.from_batches(list(batches))
        yield from rows.sort_by("row").select(PLACES.names).cast(PLACES).to_batches()

    by_part = joined.repartitionById(len(ids.rows.parts), "part")
    frame = by_part.select("row", F.col("place").cast("int"), "variant")
    storage, key = ids.rows.storage, ids.key("places")
    written = write_files(frame, storage, key, PLACES, in_rows, size=MAX_INDEX)
    check_seen(written)
    return written


def _numbered(ids: Numbering) -> pa.Schema:
    return pa.schema([("id", ids.typed.arrow), ("idx", pa.int32())])
