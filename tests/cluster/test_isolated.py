"""Nights on machines that have nothing of ours and share no disk: `make test-cluster`.

They run from the archive of `make package`. The short form takes made ratings and two models, the
long form (MFSPARK_CLUSTER=long) ML-100K with the whole configuration.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs
from pyspark.sql import SparkSession

from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from tests.support.cluster import submitted
from tests.support.isolated import check_possible, isolated
from tests.support.nights import DATE, run_night
from tests.support.published import CHANGING, content

FORM = os.environ.get("MFSPARK_CLUSTER", "")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not FORM, reason="a cluster of its own: make test-cluster"),
]
SHORT = (
    'models.run=["als","torch_mf"]',
    "models.als.max_iter=4",
    "models.torch_mf.epochs=3",
    'grid.engine="spark"',
    "grid.blocks=2",
    'similarity.tables="all"',
)
UNLIKE = CHANGING | {"runs": ("published_at", "inputs")}
"""What nights do not have alike; inputs are named by where they lie."""
REFUSED, PATIENCE = 2, 20.0
"""The exit status of a night that cannot be, and the seconds after which that should be known."""


@dataclass(frozen=True)
class Inputs:
    """What a night reads, and how."""

    files: dict[str, Path]
    options: tuple[str, ...] = ()

    def arguments(self, folder: str) -> list[str]:
        """Return the options of a night that reads the files from where they were put."""
        files = {f"--{kind}": f"{folder}/{path.name}" for kind, path in self.files.items()}
        pairs = [*files.items(), *(("--set", option) for option in self.options)]
        return [word for pair in pairs for word in pair]

    @property
    def folder(self) -> Path:
        (folder,) = {path.parent for path in self.files.values()}
        return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, data_set: Callable[[str], Path]) -> Inputs:
    check_possible()
    if FORM == "long":
        folder = data_set("ml-100k")
        names = {"ratings": "u.data", "items": "u.item", "users": "u.user"}
        return Inputs({kind: folder / name for kind, name in names.items()})
    folder = tmp_path_factory.mktemp("inputs")
    write_synthetic(SyntheticSpec(n_users=80, n_items=50, n_ratings=1500, seed=3), folder, "csv")
    return Inputs({"ratings": folder / "ratings.csv"}, SHORT)


@pytest.fixture(scope="module")
def here(
    inputs: Inputs, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The content of the same night in one session here, by table."""
    root = tmp_path_factory.mktemp("here")
    files: dict[str, Any] = {kind: (path,) for kind, path in inputs.files.items()}
    run_night(spark, root, *inputs.options, **files)
    return content(root, UNLIKE)


@dataclass(frozen=True)
class Place:
    """Where a night reads and publishes: what machines see of it, and what they know of it."""

    inputs: str
    warehouse: str
    shared: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str])


def a_directory(inputs: Inputs, directory: Path) -> Place:
    """Return a warehouse in a directory that all machines see."""
    warehouse = directory / "warehouse"
    warehouse.mkdir()
    return Place(str(inputs.folder), str(warehouse), (inputs.folder, warehouse))


@contextmanager
def an_object_store(inputs: Inputs, directory: Path) -> Iterator[Place]:
    """Yield a warehouse, and inputs, on SeaweedFS: the machines share no disk at all."""
    pytest.importorskip("mfspark.storage.object_store", reason="no object store in mfspark yet")
    stores: Any = pytest.importorskip("tests.support.object_stores")
    own = directory / "seaweedfs"
    own.mkdir()
    with stores.seaweedfs(own) as server, pytest.MonkeyPatch.context() as here:
        for name, value in server.environment.items():
            here.setenv(name, value)  # of this process, which reads what was published
        bucket = fs.S3FileSystem(
            endpoint_override=server.environment["AWS_ENDPOINT_URL"], region="us-east-1"
        )
        name = server.bucket.removeprefix("s3://")
        for path in inputs.files.values():
            with bucket.open_output_stream(f"{name}/inputs/{path.name}") as stream:
                stream.write(path.read_bytes())
        yield Place(f"{server.bucket}/inputs", f"{server.bucket}/wh", (), server.environment)


@dataclass(frozen=True)
class Ended:
    """How a night ended: its status, what driver and executors said, and the seconds it took."""

    status: int
    said: str
    executors: str
    seconds: float

    @property
    def story(self) -> str:
        """The last that was said, for who looks at a failure."""
        return f"{self.said[-3000:]}\n--- executors\n{self.executors[-6000:]}"


def night(
    directory: Path, place: Place, inputs: Inputs, settings: dict[str, str] | None = None
) -> Ended:
    """Run a night on an isolated cluster, whose machines see what the place shares.

    What the place's environment says reaches executors by the file of properties, never by a
    command line.
    """
    known = {f"spark.executorEnv.{name}": value for name, value in place.environment.items()}
    arguments = [*inputs.arguments(place.inputs), "--warehouse", place.warehouse]
    arguments += ["--run-date", DATE]
    given = {**(settings or {}), **known}
    with isolated(directory, shared=place.shared, settings=given) as cluster:
        began = time.monotonic()
        with submitted(
            directory / "night.log",
            arguments,
            cluster.url,
            {"spark.executor.memory": "1g"},
            cluster.properties,
            place.environment,
        ) as run:
            status = run.end(3000)
        seconds = time.monotonic() - began
        said = run.log.read_text()
        unpacked = sorted(directory.glob("machine-*/work/*/*/environment/bin/python"))
        assert {path.relative_to(directory).parts[0] for path in unpacked} == {
            "machine-0",
            "machine-1",
        }, said[-3000:]
        logs = sorted(directory.glob("machine-*/work/*/*/stderr"))
        executors = "\n".join(path.read_text(errors="replace") for path in logs)
    print(f"status {status} after {seconds:.0f} s")
    return Ended(status, said, executors, seconds)


def secured() -> dict[str, str]:
    """Return the settings that let in only who knows a secret, and encrypt what is sent."""
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secrets.token_hex(),
        "spark.network.crypto.enabled": "true",
    }


@pytest.mark.parametrize("settings", [{}, secured()], ids=["open", "secured"])
def test_a_night_from_the_archive_is_the_night_here(
    inputs: Inputs, here: dict[str, str], tmp_path: Path, settings: dict[str, str]
) -> None:
    place = a_directory(inputs, tmp_path)
    ended = night(tmp_path, place, inputs, settings)
    assert ended.status == 0, ended.story
    assert settings.get("spark.authenticate.secret", "?!") not in ended.said
    assert content(Path(place.warehouse), UNLIKE) == here


@pytest.mark.parametrize("settings", [{}, secured()], ids=["open", "secured"])
def test_a_night_on_an_object_store_is_the_night_here(
    inputs: Inputs, here: dict[str, str], tmp_path: Path, settings: dict[str, str]
) -> None:
    with an_object_store(inputs, tmp_path) as place:
        ended = night(tmp_path, place, inputs, settings)
        assert ended.status == 0, ended.story
        key = place.environment["AWS_SECRET_ACCESS_KEY"]
        assert key not in ended.said
        assert content(place.warehouse, UNLIKE) == here


def test_a_warehouse_that_the_machines_do_not_share_is_refused(
    inputs: Inputs, tmp_path: Path
) -> None:
    everything = a_directory(inputs, tmp_path)
    place = replace(everything, shared=(inputs.folder,))
    ended = night(tmp_path, place, inputs)
    print("\n".join(line for line in ended.said.splitlines() if "mfspark" in line))
    assert ended.status == REFUSED, ended.story
    assert "share" in ended.said
    assert place.warehouse in ended.said
    assert ended.seconds < PATIENCE
