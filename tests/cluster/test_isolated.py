"""Nights on machines that have nothing of ours and share no disk: `make test-cluster`.

They run from the archive of `make package`. The short form takes made ratings and two models, the
long form (MFSPARK_CLUSTER=long) ML-100K with the whole configuration.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from tests.support.cluster import submitted
from tests.support.isolated import check_possible, isolated
from tests.support.nights import DATE, run_night
from tests.support.published import content

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
)
REFUSED, PATIENCE = 2, 20.0
"""The exit status of a night that cannot be, and the seconds after which that should be known."""


@dataclass(frozen=True)
class Inputs:
    """What a night reads, and how."""

    files: dict[str, Path]
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        files = [word for name, path in self.files.items() for word in (f"--{name}", str(path))]
        return [*files, *(word for option in self.options for word in ("--set", option))]


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
    return content(root)


@dataclass(frozen=True)
class Place:
    """Where a night publishes: what machines see of it, and what they know of it."""

    warehouse: str
    shared: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Ended:
    """How a night ended: its status, what it said, and the seconds it took."""

    status: int
    said: str
    seconds: float


def night(
    directory: Path, place: Place, inputs: Inputs, settings: dict[str, str] | None = None
) -> Ended:
    """Run a night on an isolated cluster; the machines see the inputs, and what the place shares.

    What the place's environment says reaches executors by the file of properties, never by a
    command line.
    """
    known = {f"spark.executorEnv.{name}": value for name, value in place.environment.items()}
    shared = {path.parent for path in inputs.files.values()} | set(place.shared)
    arguments = [*inputs.arguments, "--warehouse", place.warehouse, "--run-date", DATE]
    with isolated(
        directory, shared=sorted(shared), settings={**(settings or {}), **known}
    ) as cluster:
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
    print(f"status {status} after {seconds:.0f} s")
    return Ended(status, said, seconds)


SECURED = {"spark.authenticate": "true", "spark.network.crypto.enabled": "true"}


@pytest.mark.parametrize("secured", [False, True], ids=["open", "secured"])
def test_a_night_from_the_archive_is_the_night_here(
    inputs: Inputs, here: dict[str, str], tmp_path: Path, secured: bool
) -> None:
    secret = secrets.token_hex()
    settings = {**SECURED, "spark.authenticate.secret": secret} if secured else {}
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    ended = night(tmp_path, Place(str(warehouse), (warehouse,)), inputs, settings)
    assert ended.status == 0, ended.said[-3000:]
    assert secret not in ended.said
    assert content(warehouse) == here


@pytest.mark.xfail(strict=True, reason="nobody looks yet: the guard comes with mfspark/storage")
def test_a_warehouse_that_the_machines_do_not_share_is_refused(
    inputs: Inputs, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    ended = night(tmp_path, Place(str(warehouse)), inputs)
    print("\n".join(line for line in ended.said.splitlines() if "mfspark" in line))
    assert ended.status == REFUSED
    assert "share" in ended.said
    assert str(warehouse) in ended.said
    assert ended.seconds < PATIENCE
