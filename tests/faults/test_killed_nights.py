"""Real nights, killed: executors and Python workers while they work, drivers at each stage.

Warehouses lie in a directory and in an object store, whose server is killed too. Whatever was
killed, and however often, the published tables are those of an undisturbed night, bit by bit, and
no file is there that they do not list. Each case proves that its kill happened, and in the step
that it names.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.tables.publish import damages, unlisted
from mfspark.tables.retention import scratch_nights
from mfspark.tables.warehouse import Warehouse
from tests.support.cluster import DRIVERS, VICTIMS, Cluster, Submitted, standalone, submitted
from tests.support.nights import DATE, run_night
from tests.support.object_stores import Server
from tests.support.processes import command_of, descendants, kill, listening, wait_until
from tests.support.published import content
from tests.support.rounds import LONG, long_only

pytestmark = pytest.mark.faults

OPTIONS = (
    'models.run=["als","torch_mf"]',
    "models.als.rank=4",
    "models.als.max_iter=4",
    "models.als.tol=0",
    "models.torch_mf.rank=4",
    "models.torch_mf.epochs=3",
    'grid.engine="spark"',
    "grid.blocks=2",
    "publish.similar_items=4",
    'similarity.tables="all"',
)
BEFORE: dict[str, str | None] = {
    "ingest": None,
    "similarity": "ingest",
    "train als": "similarity",
    "train torch_mf": "train als",
    "evaluate": "train torch_mf",
    "refit als": "evaluate",
    "publish": "refit torch_mf",
}
"""Steps to kill in, each with the one whose end says that it has begun."""
Kill = tuple[str, str]
"""A victim, and the step in which it is killed."""
LOCAL = "local[2]"
STORE = "storage server"
"""The victim of an object store: it is killed, and comes back."""
AWAY_SECONDS = 3.0
UNANSWERED = (2, 70)
"""How a night ends whose storage stays away: refused where it had not begun."""


@dataclass(frozen=True)
class Place:
    """Where nights publish: the root of a warehouse, what executors are told, and its server."""

    root: str
    properties: Path | None = None
    server: Server | None = None

    def check(self, expected: dict[str, str]) -> None:
        """The tables are those expected, whole, and there is no file that no manifest lists."""
        assert content(self.root) == expected
        warehouse = Warehouse(self.root)
        (run_id,) = warehouse.run_ids()
        assert list(damages(warehouse, run_id)) == []
        assert unlisted(warehouse, warehouse.manifest(run_id)) == []
        storage = warehouse.storage
        assert storage.names("runs") == [run_id]
        assert scratch_nights(warehouse) == {}
        assert storage.files("scratch") == []


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, object_storage: Any) -> Place:
    """A directory, or an object store by its name, in which nothing is yet."""
    if request.param == "directory":
        return Place(str(tmp_path / "wh"))
    storage = object_storage(request.param)
    started = request.getfixturevalue("object_server")(request.param)
    properties = tmp_path / "spark.conf"  # executors began before they could inherit it
    properties.write_text(
        "".join(
            f"spark.executorEnv.{name} {value}\n" for name, value in started.environment.items()
        )
    )
    return Place(storage.root, properties, started.server)


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ratings")
    write_synthetic(SyntheticSpec(n_users=80, n_items=50, n_ratings=1500, seed=3), folder, "csv")
    return folder / "ratings.csv"


@pytest.fixture(scope="module")
def undisturbed(
    spark: SparkSession, ratings: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The content of a night that nobody disturbed, by table."""
    root = tmp_path_factory.mktemp("undisturbed")
    run_night(spark, root, *OPTIONS, ratings=(ratings,))
    return content(root)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with standalone(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def arguments(place: Place, ratings: Path) -> list[str]:
    settings = [word for option in OPTIONS for word in ("--set", option)]
    return ["--ratings", str(ratings), "--warehouse", place.root, "--run-date", DATE, *settings]


def in_turn(victims: Sequence[str], n_nights: int) -> list[list[Kill]]:
    """Kill in every step of some nights; three nights kill each of three victims in each step."""
    return [
        [(victims[(n + i) % len(victims)], step) for i, step in enumerate(BEFORE)]
        for n in range(n_nights)
    ]


def at(place: str, kills: list[list[Kill]]) -> list[Any]:
    """Return the parameters of a test: kills in a place."""
    return [pytest.param(place, each, id=f"{place}-{n}") for n, each in enumerate(kills)]


def kill_one(victim: str, cluster: Cluster, place: Place) -> None:
    """Kill a process of the cluster, or the storage's server, which comes back after a while."""
    if victim == STORE:
        assert place.server
        place.server.kill()
        time.sleep(AWAY_SECONDS)
        place.server.start()
        return
    wait_until(lambda: cluster.find(victim), 60, victim)
    assert [pid for pid in cluster.find(victim)[:1] if kill(pid)], f"no {victim} was there to kill"


SHORT_NIGHT: list[Kill] = [
    ("python worker", "ingest"),
    ("executor", "train als"),
    (STORE, "publish"),
]
NIGHTS = (
    at("directory", in_turn(tuple(VICTIMS), 5)) + at("seaweedfs", in_turn((*VICTIMS, STORE), 4))
    if LONG
    else at("seaweedfs", [SHORT_NIGHT])
)
"""What is killed, and where, in each night; in the short form drivers are killed elsewhere."""


@pytest.mark.parametrize(("place", "night"), NIGHTS, indirect=["place"])
def test_executors_and_python_workers_are_killed_while_they_work(
    cluster: Cluster,
    undisturbed: dict[str, str],
    ratings: Path,
    tmp_path: Path,
    place: Place,
    night: list[Kill],
) -> None:
    happened: list[Kill] = []
    with submitted(
        tmp_path / "log", arguments(place, ratings), cluster.url, properties=place.properties
    ) as run:
        for victim, step in night:
            run.wait_for(BEFORE[step])
            if victim == STORE and BEFORE[step] is None:
                wait_until(lambda: cluster.find("executor"), 60, "executors")
            kill_one(victim, cluster, place)
            assert not run.reached(step), f"{step} was over before the kill"
            happened.append((victim, step))
        assert run.end() == 0, run.log.read_text()[-3000:]
    print(f"killed: {happened}")
    assert happened == night
    place.check(undisturbed)


SUBMITS = (
    at("directory", in_turn(DRIVERS, 3)) + at("seaweedfs", in_turn((*DRIVERS, STORE), 4))
    if LONG
    else at("directory", [[("driver", "train als"), ("process group", "evaluate")]])
)
"""What is killed, and where, in each rerun of a night; one more rerun ends."""


def kill_for_good(run: Submitted, victim: str, place: Place) -> None:
    """End a night: by killing its driver, or the storage's server until the night gave up."""
    if victim != STORE:
        run.kill(victim)
        assert run.end() not in (0, None)
        return
    assert place.server
    place.server.kill()
    try:
        assert run.end() in UNANSWERED, run.log.read_text()[-3000:]
    finally:
        place.server.start()
    assert "run the same command again" in run.log.read_text()


@pytest.mark.parametrize(("place", "kills"), SUBMITS, indirect=["place"])
def test_the_driver_is_killed_and_the_night_run_again(
    undisturbed: dict[str, str], ratings: Path, tmp_path: Path, place: Place, kills: list[Kill]
) -> None:
    draw, heard = random.Random(3), set[str]()
    for n, (victim, step) in enumerate(kills):
        with submitted(tmp_path / f"log-{n}", arguments(place, ratings), LOCAL) as run:
            run.wait_for(BEFORE[step])
            wait_until(run.python, 60, "the driver")
            time.sleep(draw.uniform(0, 0.3))
            assert run.process.poll() is None
            assert not run.reached(step), f"{step} was over before the kill"
            started = [run.process.pid, *descendants(run.process.pid)]
            heard |= {address for pid in started for address in listening(pid)}
            kill_for_good(run, victim, place)
            wait_until(lambda pids=started: not any(map(command_of, pids)), 60, "all of it to end")
        assert Warehouse(place.root).current() is None
    with submitted(tmp_path / "log", arguments(place, ratings), LOCAL) as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    print(f"killed: {kills}")
    assert heard, "Spark listened nowhere"
    assert heard <= {"127.0.0.1", "::ffff:127.0.0.1"}, "others could connect"
    place.check(undisturbed)


@long_only
@pytest.mark.parametrize("place", ["directory", "seaweedfs"], indirect=True)
def test_a_night_on_the_cluster_is_the_same_without_kills(
    cluster: Cluster, undisturbed: dict[str, str], ratings: Path, tmp_path: Path, place: Place
) -> None:
    with submitted(
        tmp_path / "log", arguments(place, ratings), cluster.url, properties=place.properties
    ) as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    place.check(undisturbed)
