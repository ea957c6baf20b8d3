"""write_table: schema, order, files, row groups; through the driver's memory and through Spark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mfspark.errors import ConfigError, MfsparkError, RefusedError, SchemaError
from mfspark.schemas import (
    SORTED_BY,
    IdType,
    IdTypes,
    check_schema,
    spark_schema,
    table_names,
    table_schema,
)
from mfspark.storage.posix import PosixStorage
from mfspark.tables import task_files, writer
from mfspark.tables.task_files import check_seen, read_back
from mfspark.tables.writer import write_list, write_table
from tests.support import made_nights as made
from tests.support.places import scratch_dir, table_dir


@pytest.fixture(params=["driver", "driver, files", "spark", "spark, files", "spark, both"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All ways to sort, of rows that tasks hand over or write to files, or one task this, one that.

    Limits below any size force the ones for large tables.
    """
    if request.param.startswith("spark"):
        monkeypatch.setattr(task_files, "DRIVER_ROWS", -1)
    if request.param.endswith("files"):
        monkeypatch.setattr(task_files, "FEW_BYTES", -1)
    if request.param.endswith("both"):
        monkeypatch.setattr(task_files, "FEW_TASKS", 1)
    return request.param


def lists(spark: SparkSession, n_users: int, model: str = "als") -> DataFrame:
    """Ten rows a user, in no order, columns in another order than the table's."""
    return (
        spark.range(n_users * 10)
        .select(
            (F.col("id") % n_users).alias("user_id"),
            (F.floor(F.col("id") / n_users) + 1).cast("int").alias("rank"),
            F.lit(model).alias("model"),
            F.concat(F.lit("i"), F.col("id")).alias("item_id"),
            F.lit(0.5).alias("score"),
            F.lit("als").alias("tier"),
            F.lit(None).cast("double").alias("score_low"),
            F.lit(None).cast("double").alias("score_high"),
            F.lit(None).cast("array<string>").alias("reason"),
            F.lit(None).cast("string").alias("title"),
        )
        .repartition(3, "item_id")
    )


@pytest.mark.usefixtures("way")
def test_rows_are_ordered_and_files_clean(spark: SparkSession, tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    assert write_table(lists(spark, 500), night, "top_n", made.IDS) == 5000
    directory = table_dir(night, "top_n")
    files = list(directory.iterdir())
    assert len(files) == 1, "a small table is one file"
    assert all(p.suffix == ".parquet" and p.name.startswith("part-") for p in files)
    table = pq.read_table(directory)
    check_schema(pq.read_schema(files[0]), "top_n", made.IDS)
    assert table.schema.names == spark_schema("top_n", made.IDS).names
    keys = list(zip(*(table[c].to_pylist() for c in SORTED_BY["top_n"]), strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == 5000
    assert not [p for p in scratch_dir(night, "writing").rglob("*") if p.is_file()]


@pytest.mark.usefixtures("way")
def test_one_users_list_lies_in_one_row_group(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_files, "ROWS_A_GROUP", 1000)
    monkeypatch.setattr(writer, "BYTES_A_FILE", 30_000)
    night = made.begin(tmp_path, 1.0)
    write_table(lists(spark, 2000), night, "top_n", made.IDS)
    footers = [pq.read_metadata(p) for p in table_dir(night, "top_n").iterdir()]
    groups = [m.row_group(i) for m in footers for i in range(m.num_row_groups)]
    ranges = sorted((s.min, s.max) for s in (g.column(1).statistics for g in groups))
    assert len(ranges) >= 20
    holding = [r for r in ranges if r[0] <= 777 <= r[1]]
    assert 1 <= len(holding) <= 2, "statistics leave one group, or two where a list is cut"
    found = ds.dataset(table_dir(night, "top_n")).to_table(filter=ds.field("user_id") == 777)
    assert found.num_rows == 10


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["integer", "string"])
def test_what_tasks_make_is_ordered_as_frames_are(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: IdType
) -> None:
    """Of 400 users, a third of whom have no neighbors; the rows of a task are in no order."""
    monkeypatch.setattr(writer, "ROWS_A_FILE", 500)
    monkeypatch.setattr(writer, "ROWS_IN_ORDER", 40)
    ids = IdTypes(kind, kind)
    schema = table_schema("user_neighbors", ids)

    def made_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in (n for batch in batches for n in batch["id"].to_pylist()):
            users = [u for u in range(399, -1, -1) if u % 5 == number and u % 3]
            rows = [(u, u + rank, rank, 1 / rank, rank) for u in users for rank in (2, 3, 1)]
            yield pa.record_batch(
                [
                    pa.array(column).cast(field.type)
                    for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                ],
                schema=schema,
            )

    night = made.begin(tmp_path, 1.0)
    assert write_table(spark.range(0, 5, 1, 5), night, "user_neighbors", ids, made_of) == 798
    files = night.files("user_neighbors")
    found = pq.read_table(files.paths).select(["user_id", "rank", "neighbor_user_id"])
    as_id = int if kind == "integer" else str
    expected = [(as_id(u), r, as_id(u + r)) for u in range(400) if u % 3 for r in (1, 2, 3)]
    assert list(zip(*found.to_pydict().values(), strict=True)) == sorted(expected)
    assert len(files.keys) == (1 if task_files.DRIVER_ROWS > 0 else 2)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("table", table_names())
def test_a_table_without_rows_leaves_one_readable_file(
    spark: SparkSession, tmp_path: Path, table: str
) -> None:
    night, ids = made.begin(tmp_path, 1.0), IdTypes("string", "integer")
    empty = spark.createDataFrame([], spark_schema(table, ids))
    assert write_table(empty, night, table, ids) == 0
    (file,) = table_dir(night, table).iterdir()
    check_schema(pq.read_schema(file), table, ids)
    assert spark.read.parquet(str(table_dir(night, table))).count() == 0


@pytest.mark.usefixtures("way")
def test_times_are_utc_microseconds_and_nulls_last(spark: SparkSession, tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    rows = spark.sql(
        """select * from values
            (bigint(2), 'b', 4.0D, timestamp'2026-11-22T01:02:03.000004Z', 1, 1),
            (bigint(null), 'a', 1.0D, null, 0, 0),
            (bigint(1), 'ü', 5.0D, timestamp'1969-12-31T23:59:59.999999Z', 0, 2)
           as (user_id, item_id, rating, rated_at, user_idx, item_idx)"""
    )
    write_table(rows, night, "ratings", made.IDS)
    (file,) = table_dir(night, "ratings").iterdir()
    logical = str(pq.ParquetFile(file).schema.column(3).logical_type)
    assert "isAdjustedToUTC=true" in logical
    assert "microseconds" in logical
    table = pq.read_table(file)
    assert table["user_id"].to_pylist() == [1, 2, None]
    assert table["rated_at"].cast(pa.int64()).to_pylist() == [-1, 1795309323000004, None]


def test_all_differences_are_told_before_anything_runs(spark: SparkSession, tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    failing = F.raise_error(F.lit("it ran")).cast("string")
    df = lists(spark, 5).drop("tier").withColumn("rank", F.lit(1.0)).withColumn("extra", failing)
    with pytest.raises(SchemaError) as told:
        write_table(df, night, "top_n", made.IDS)
    for difference in ("missing column 'tier'", "unexpected column 'extra'", "'rank' is double"):
        assert difference in told.value.message
    with pytest.raises(SchemaError, match="'user_id' is int64, should be string"):
        write_table(lists(spark, 5), night, "top_n", IdTypes("string", "string"))
    assert not table_dir(night, "top_n").exists()


def test_a_table_is_computed_once(spark: SparkSession, tmp_path: Path, way: str) -> None:
    night = made.begin(tmp_path, 1.0)
    ran = spark.sparkContext.accumulator(0)

    @F.udf("string")
    def counted(tier: str) -> str:
        ran.add(1)
        return tier

    df = lists(spark, 50).withColumn("tier", counted.asNondeterministic()("tier"))
    write_table(df, night, "top_n", made.IDS)
    assert ran.value == 500, way


@pytest.mark.usefixtures("way")
def test_writing_again_replaces_and_may_read_what_it_replaces(
    spark: SparkSession, tmp_path: Path
) -> None:
    night = made.begin(tmp_path, 1.0)
    write_table(lists(spark, 10), night, "top_n", made.IDS)
    first = spark.read.parquet(str(table_dir(night, "top_n")))
    both = first.unionByName(lists(spark, 10, model="popularity"))
    assert write_table(both, night, "top_n", made.IDS) == 200
    assert write_table(lists(spark, 3), night, "top_n", made.IDS) == 30
    assert pq.read_table(table_dir(night, "top_n")).num_rows == 30


def test_a_published_run_is_not_written(spark: SparkSession, tmp_path: Path) -> None:
    made.publish_marked(tmp_path, 1.0)
    with pytest.raises(RefusedError, match="is published"):
        write_table(lists(spark, 3), made.begin(tmp_path, 1.0), "top_n", made.IDS)
    assert made.seen(tmp_path) == 1.0


def test_a_place_with_blanks_and_accents(spark: SparkSession, tmp_path: Path) -> None:
    night = made.begin(tmp_path / "ma nuit é", 1.0)
    assert write_table(lists(spark, 3), night, "top_n", made.IDS) == 30


def test_rows_of_the_driver_are_a_table_too(tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    rows = [("als", "train", n, "train", 1.0 / (n + 1), 0.5) for n in (2, 0, 1)]
    assert write_list(rows, night, "loss_history", made.IDS) == 3
    (file,) = table_dir(night, "loss_history").iterdir()
    check_schema(pq.read_schema(file), "loss_history", made.IDS)
    assert pq.read_table(file)["iteration"].to_pylist() == [0, 1, 2]
    assert write_list([], night, "loss_history", made.IDS) == 0
    assert night.table("loss_history").rows == 0
    assert night.files("loss_history").dataset().count_rows() == 0


def written_by(spark: SparkSession, storage: PosixStorage) -> task_files.Written:
    schema = pa.schema([("id", pa.int64())])
    return task_files.write_files(spark.range(10), storage, "t", schema)


def test_files_that_the_driver_does_not_see_are_told(spark: SparkSession, tmp_path: Path) -> None:
    storage, schema = PosixStorage(str(tmp_path)), pa.schema([("id", pa.int64())])
    written = written_by(spark, storage)
    assert sorted(read_back(written, schema)["id"].to_pylist()) == list(range(10))
    check_seen(written)
    storage.delete(written.files.keys[:1])
    with pytest.raises(ConfigError, match="does not find it"):
        check_seen(written)
    with pytest.raises(ConfigError, match="does not find it"):
        read_back(written, schema)


def test_files_that_are_not_whole_are_told(spark: SparkSession, tmp_path: Path) -> None:
    storage, schema = PosixStorage(str(tmp_path)), pa.schema([("id", pa.int64())])
    written = written_by(spark, storage)
    first = tmp_path / written.files.keys[0]
    first.write_bytes(first.read_bytes() + b"more")
    with pytest.raises(MfsparkError, match="but its task wrote"):
        check_seen(written)
    pq.write_table(pa.table({"id": [1]}), first)
    with pytest.raises(MfsparkError, match="has 1 rows, but its task wrote 5"):
        read_back(written, schema)
