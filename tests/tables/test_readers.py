"""DuckDB, pandas, pyarrow and Spark read what was published, also while it is replaced."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import mfspark
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.places import table_dir
from tests.support.rounds import long_only, rounds

ROWS = made.FILES * made.ROWS_A_FILE
Reader = Callable[[Path], list[float]]


def by_duckdb(directory: Path) -> list[float]:
    with duckdb.connect() as connection:
        rows = connection.execute(f"from '{directory}/*.parquet' select score").fetchall()
    return [score for (score,) in rows]


def by_pandas(directory: Path) -> list[float]:
    return pd.read_parquet(directory)["score"].tolist()


def by_pyarrow(directory: Path) -> list[float]:
    return pq.read_table(directory)["score"].to_pylist()


READERS: list[Reader] = [by_duckdb, by_pandas, by_pyarrow]


def dataset_by_duckdb(top_n: ds.Dataset) -> list[float]:
    with duckdb.connect() as connection:
        connection.register("top_n", top_n)
        return [score for (score,) in connection.execute("select score from top_n").fetchall()]


DATASET_READERS: list[Callable[[ds.Dataset], list[float]]] = [
    dataset_by_duckdb,
    lambda top_n: top_n.to_table().to_pandas()["score"].tolist(),
    lambda top_n: top_n.to_table()["score"].to_pylist(),
]
"""The same three, where there is no directory."""

spawning = multiprocessing.get_context("spawn")  # a new process has the environment of the test


def fault(read: Callable[[], list[float]]) -> str:
    """Read once, and say what was wrong with it: torn, short, failed, or nothing."""
    try:
        scores = read()
    except Exception as error:  # any failure of a reader counts
        return f"failed: {error}"
    if len(scores) != ROWS:
        return f"{len(scores)} rows"
    return f"torn: {set(scores)}" if len(set(scores)) > 1 else ""


@contextmanager
def running(target: Callable[..., None], *args: Any) -> Iterator[Any]:
    process = spawning.Process(target=target, args=args)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("reader", READERS)
def test_readers_see_one_whole_night(tmp_path: Path, reader: Reader) -> None:
    made.publish_marked(tmp_path, 1.0)
    made.publish_marked(tmp_path, 2.0)
    assert reader(table_dir(PublishedRun(tmp_path), "serving")) == [2.0] * ROWS


def test_spark_reads_a_published_table(tmp_path: Path, spark: SparkSession) -> None:
    made.publish_marked(tmp_path, 2.0)
    df = spark.read.parquet(str(table_dir(PublishedRun(tmp_path), "serving")))
    assert df.count() == ROWS
    assert {row.score for row in df.select("score").distinct().collect()} == {2.0}


def test_read_table_gives_a_dataset_that_pandas_and_duckdb_take(tmp_path: Path) -> None:
    made.publish_marked(tmp_path, 2.0)
    serving = mfspark.read_table(tmp_path, "serving")
    assert serving.to_table().to_pandas()["rank"].max() == 10
    with duckdb.connect() as connection:
        connection.register("serving", serving)
        assert connection.execute("select count(*) from serving").fetchone() == (ROWS,)


def test_a_dataset_opened_before_a_night_still_reads_after_it(tmp_path: Path) -> None:
    made.publish_marked(tmp_path, 1.0)
    opened = mfspark.read_table(tmp_path, "serving")
    made.publish_marked(tmp_path, 2.0)
    assert set(opened.to_table()["score"].to_pylist()) == {1.0}


def test_the_export_is_read_whole_and_in_order(tmp_path: Path) -> None:
    made.publish_marked(tmp_path, 1.0, publish={"single_file": True})
    made.publish_marked(tmp_path, 2.0, publish={"single_file": True})
    assert [p.name for p in (tmp_path / "exports").iterdir()] == ["serving.parquet"]
    exported = pq.read_table(tmp_path / "exports" / "serving.parquet")
    assert exported.equals(mfspark.read_table(tmp_path, "serving").to_table())
    assert exported["score"][0].as_py() == 2.0


@dataclass(frozen=True)
class Watched:
    """A warehouse, how each reader reads its list, and how often it is replaced and read."""

    root: str
    readers: tuple[Callable[[], list[float]], ...]
    n_nights: int
    n_reads: int
    pause: float = 0.0


@pytest.fixture
def watched(request: pytest.FixtureRequest, tmp_path: Path, object_storage: Any) -> Watched:
    if request.param == "directory":
        opened = Warehouse(tmp_path)
        by_directory = tuple(
            lambda reader=reader: reader(table_dir(PublishedRun(opened), "serving"))
            for reader in READERS
        )
        return Watched(
            str(tmp_path), by_directory, rounds(100, 1000), rounds(0, 50_000), rounds(0, 1) * 0.3
        )
    root = object_storage(request.param).root
    by_dataset = tuple(
        lambda reader=reader: reader(mfspark.read_table(root, "serving"))
        for reader in DATASET_READERS
    )
    return Watched(root, by_dataset, rounds(15, 100), rounds(0, 2000))


@pytest.mark.faults
@pytest.mark.parametrize("watched", ["directory", "seaweedfs"], indirect=True)
def test_nights_published_under_readers(watched: Watched) -> None:
    """No reader ever fails or sees two nights; every kind of reader saw several nights."""
    n_reads, enough = Counter[int](), spawning.Event()
    made.publish_marked(watched.root, 0.0)
    seen = [set[float]() for _ in watched.readers]
    with running(
        made.publish_many, watched.root, watched.n_nights, watched.pause, enough
    ) as writer:
        while writer.is_alive():
            if n_reads.total() >= watched.n_reads:
                enough.set()
            for number, read_list in enumerate(watched.readers):
                scores: list[float] = []

                def read(
                    read: Callable[[], list[float]] = read_list, into: list[float] = scores
                ) -> list[float]:
                    into += read()
                    return into

                assert fault(read) == ""
                seen[number].update(scores)
                n_reads[number] += 1
        assert writer.exitcode == 0
    n_nights = made.seen(watched.root)
    print(f"{n_nights} nights, {dict(n_reads)} reads saw {[len(nights) for nights in seen]}")
    assert n_nights is not None
    assert n_nights >= watched.n_nights
    assert n_reads.total() >= watched.n_reads
    assert min(len(nights) for nights in seen) > 5


@pytest.mark.faults
@long_only
def test_nights_published_under_spark(tmp_path: Path, spark: SparkSession) -> None:
    made.publish_marked(tmp_path, 0.0)
    warehouse, seen, n_reads = Warehouse(tmp_path), set[float](), 0

    def read() -> list[float]:
        frame = spark.read.parquet(*mfspark.read_table(tmp_path, "serving").files)
        return [row.score for row in frame.select("score").collect()]

    enough = spawning.Event()
    enough.set()
    with running(made.publish_many, str(tmp_path), 1000, 0.1, enough) as writer:
        while writer.is_alive():
            assert fault(read) == ""
            seen.add(read()[0])
            n_reads += 2
        assert writer.exitcode == 0
    print(f"{n_reads} reads by Spark saw {len(seen)} nights")
    assert warehouse.current() is not None
    assert len(seen) > 20


@pytest.mark.parametrize("reader", READERS)
def test_the_check_catches_files_overwritten_in_place(tmp_path: Path, reader: Reader) -> None:
    """The control: the same check on a table whose files are replaced one by one."""
    made.write_list(tmp_path, 0.0)
    marks = [float(m) for m in range(1, 20_000)]
    with running(made.overwrite_in_place, str(tmp_path), marks) as writer:
        while writer.is_alive():
            if fault(lambda: reader(tmp_path)):
                return
    pytest.fail("thousands of overwrites in place, and the check saw nothing wrong")
