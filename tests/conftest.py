"""Shared fixtures: one lazy Spark session, the golden figures, and the data sets where they lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request, execute
from mfspark.storage import bucket
from mfspark.storage.bucket import bucket_of
from mfspark.storage.object_store import ObjectStorage
from mfspark.system.spark import spark_session
from mfspark.tables.night import Night
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.object_stores import SERVERS, ObjectServer
from tests.support.rounds import LONG

# Short forms try the same examples every time, so that a change is judged by what it changed.
settings.register_profile("short", derandomize=True, deadline=None)
settings.register_profile("long", derandomize=False, deadline=None)
settings.load_profile("long" if LONG else "short")

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One local session for all tests that need a JVM; the others never start it."""
    settings = {
        "spark.master": os.environ.get("MFSPARK_TEST_MASTER", "local[2]"),
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": "2",  # tables of a few rows: more would only cost time
        "spark.default.parallelism": "2",
        "spark.ui.enabled": "false",
        # the quick compiler alone: a session of many small jobs is over before the other pays
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.adaptive.enabled": "true",
        "spark.python.worker.reuse": "true",  # importing torch takes two seconds a worker
    }
    with spark_session(settings) as session:
        yield session


@pytest.fixture(scope="session")
def survey_night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The embedded survey by the default configuration, published in a warehouse of its own."""
    assert spark.getActiveSession() is not None  # execute uses the running session
    warehouse = tmp_path_factory.mktemp("survey") / "warehouse"
    request = Request("run", warehouse=str(warehouse), run_date="2026-11-22")
    return execute(request, LoggedProgress())


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a function that starts an object store by its name, once, or skips the test."""
    with ExitStack() as running:
        servers: dict[str, ObjectServer] = {}

        def started(name: str) -> ObjectServer:
            if name not in servers:
                directory = tmp_path_factory.mktemp(name)
                servers[name] = running.enter_context(SERVERS[name](directory))
            return servers[name]

        yield started


@pytest.fixture
def object_storage(object_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that gives an empty place in an object store, which clients can find."""

    def place(name: str, **environment: str) -> ObjectStorage:
        server = object_server(name)
        for variable, value in {**server.environment, **environment}.items():
            monkeypatch.setenv(variable, value)
        bucket_of.cache_clear()
        return ObjectStorage.at(f"{server.bucket}/{uuid4().hex}")

    yield place
    bucket_of.cache_clear()


@pytest.fixture
def proxy(object_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy before moto for all clients, with short pauses, small parts and no heartbeats."""
    monkeypatch.setattr("mfspark.storage.leases.Leases.beat_seconds", 100.0)
    monkeypatch.setattr(bucket, "WHOLE_BYTES", 50_000)
    monkeypatch.setattr(bucket, "PART_BYTES", 100_000)
    monkeypatch.setattr(bucket, "_LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 20.0)
    with faulty_proxy(object_server("moto").port) as running:
        running.wait_seconds = 0.8
        yield running


@pytest.fixture
def proxied(proxy: FaultyProxy, object_storage: Any) -> Any:
    """Return a function that gives an empty storage behind the proxy, which counts from 0."""
    first = object_storage("moto", AWS_ENDPOINT_URL=proxy.address)

    def another() -> ObjectStorage:
        proxy.reset()
        return ObjectStorage(f"{first.root}/{uuid4().hex}")

    return another


@pytest.fixture(scope="session")
def golden() -> Any:
    """Return a function that reads one golden file by its name."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text())


def _data_root() -> Path:
    return Path(os.environ.get("MFSPARK_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_set() -> Any:
    """Return a function that gives the folder of a public data set, or skips the test."""

    def folder(name: str) -> Path:
        path = _data_root() / name
        if not path.is_dir():
            pytest.skip(f"data set {name} is not here; set MFSPARK_TEST_DATA to its parent folder")
        return path

    return folder
