"""What is counted, against what a proxy before the store has seen."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from mfspark.grid.runners import OnSpark
from mfspark.grid.shared_storage import gather_traffic
from mfspark.storage import bucket
from mfspark.storage.object_store import ObjectStorage
from mfspark.storage.posix import PosixStorage
from mfspark.storage.traffic import Traffic, tally_of
from mfspark.tables.task_files import read_files, write_files
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.object_stores import KEYS

spawning = multiprocessing.get_context("spawn")


def kinds(seen: Iterable[str]) -> dict[str, int]:
    """Say of requests what stores charge for them."""
    found: Counter[str] = Counter()
    for request in seen:
        method, path = request.split(" ", 1)
        if method == "GET" and "list-type=2" in path:
            found["lists"] += 1
        elif method == "DELETE" or (method == "POST" and "delete" in path.partition("?")[2]):
            found["deletes"] += 1
        else:
            found["gets" if method in ("GET", "HEAD") else "puts"] += 1
    return {name: found[name] for name in ("gets", "puts", "lists", "deletes")}


def counted(traffic: Traffic) -> dict[str, int]:
    return {name: n for name, n in traffic.counts().items() if name in kinds([])}


@pytest.fixture
def proxy(object_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    monkeypatch.setattr(bucket, "_LONGEST_PAUSE", 0.2)
    with faulty_proxy(object_server("moto").port) as running:
        yield running


@pytest.fixture
def storage(proxy: FaultyProxy, object_storage: Any) -> ObjectStorage:
    return object_storage("moto", AWS_ENDPOINT_URL=proxy.address)


def use(storage: ObjectStorage) -> None:
    """Ask everything that can be asked."""
    storage.put("a/b", b"content")
    storage.read("a/b")
    storage.read("missing")
    storage.create("a/b", b"again")
    storage.exists("a")
    storage.names("")
    storage.files("a")
    storage.sizes("a", ["b"])
    with storage.writing("long") as file:
        for _ in range(25):
            file.write(bytes(1 << 20))
    with storage.open("long") as file:
        file.seek(20 << 20)
        file.read(1000)
    storage.delete(["a/b", "missing"])
    storage.discard("a")


def test_every_kind_of_request_is_counted(proxy: FaultyProxy, storage: ObjectStorage) -> None:
    use(storage)
    traffic = tally_of(storage.root).take()
    assert counted(traffic) == kinds(proxy.seen)
    assert all(counted(traffic).values())
    assert traffic.requests == len(proxy.seen)
    assert traffic.retries == 0
    assert traffic.bytes_written == (25 << 20) + len("content" + "again")
    assert tally_of(storage.root).seen() == Traffic()


def test_requests_that_are_tried_again_count_as_such(
    proxy: FaultyProxy, storage: ObjectStorage
) -> None:
    proxy.fault = lambda number, *_: "503" if number in (1, 2, 4) else None
    for name in "abc":
        storage.put(name, b"x")
    traffic = tally_of(storage.root).take()
    assert traffic.requests == len(proxy.seen) == 6
    assert traffic.retries == 3


def ask(root: str, together: Any) -> None:
    """Put twenty files, and count a thousand deletions more: those meet for sure."""
    storage, tally = ObjectStorage(root), tally_of(root)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: storage.put(f"{n}", b"12345"), range(20)))
        together.wait(60)
        list(pool.map(lambda _: tally.add(deletes=1), range(1000)))


def test_processes_and_threads_of_a_machine_count_together(
    proxy: FaultyProxy, storage: ObjectStorage
) -> None:
    together = spawning.Barrier(4)
    processes = [spawning.Process(target=ask, args=(storage.root, together)) for _ in range(3)]
    for process in processes:
        process.start()
    ask(storage.root, together)
    for process in processes:
        process.join()
    traffic = tally_of(storage.root).take()
    assert traffic.puts == len(proxy.seen) == 80
    assert traffic.bytes_written == 400
    assert traffic.deletes == 4000


def test_where_no_file_can_be_written_the_process_counts(
    storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(file))
    storage.put("a", b"x")
    storage.put("b", b"x")
    assert tally_of(storage.root).take() == Traffic(puts=2, bytes_written=2)
    assert tally_of(storage.root).take() == Traffic()


def test_tasks_of_other_machines_tell_the_driver(
    spark: SparkSession,
    proxy: FaultyProxy,
    storage: ObjectStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver counts elsewhere, as if it were a machine of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("mfspark.grid.shared_storage.runs_here", lambda _: False)
    variables = {name: os.environ[name] for name in (*KEYS, "AWS_ENDPOINT_URL")}

    def put(number: int) -> dict[str, float]:
        os.environ.update(variables)  # the workers were there before the store
        storage.put(f"blocks/{number}", b"x" * 10)
        return {}

    runner = OnSpark(spark, storage)
    runner.run(5, put, "put")
    told = tally_of(storage.root).seen()
    assert told.puts == len(proxy.seen) == 5
    assert told.bytes_written == 50
    gather_traffic(spark, storage)
    assert tally_of(storage.root).take() == told


def test_a_directory_counts_nothing(spark: SparkSession, tmp_path: Path) -> None:
    storage = PosixStorage(str(tmp_path))
    schema = pa.schema([("id", pa.int64())])
    written = write_files(spark.range(10), storage, "t", schema)
    frame = read_files(spark, written.files, spark.range(1).schema)
    assert frame.agg(F.sum("id")).collect()[0][0] == 45
    assert tally_of(storage.root).seen() == Traffic()
