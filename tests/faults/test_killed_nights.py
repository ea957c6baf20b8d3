"""Real nights, killed: executors and Python workers while they work, drivers at each stage.

Whatever was killed, and however often, the published tables are those of an undisturbed night, bit
by bit. Each case proves that its kill happened, and in the step that it names.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.tables.warehouse import Warehouse
from tests.support.cluster import DRIVERS, VICTIMS, Cluster, standalone, submitted
from tests.support.nights import DATE, run_night
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


def arguments(root: Path, ratings: Path) -> list[str]:
    settings = [word for option in OPTIONS for word in ("--set", option)]
    return ["--ratings", str(ratings), "--warehouse", str(root), "--run-date", DATE, *settings]


def in_turn(victims: Sequence[str], n_nights: int) -> list[list[Kill]]:
    """Kill in every step of some nights; three nights kill each of three victims in each step."""
    return [
        [(victims[(n + i) % len(victims)], step) for i, step in enumerate(BEFORE)]
        for n in range(n_nights)
    ]


NIGHTS: list[list[Kill]] = (
    in_turn(tuple(VICTIMS), 5)
    if LONG
    else [[("executor", "ingest"), ("python worker", "train als"), ("python daemon", "publish")]]
)


@pytest.mark.parametrize("night", NIGHTS)
def test_executors_and_python_workers_are_killed_while_they_work(
    cluster: Cluster,
    undisturbed: dict[str, str],
    ratings: Path,
    tmp_path: Path,
    night: list[Kill],
) -> None:
    happened: list[Kill] = []
    with submitted(tmp_path / "log", arguments(tmp_path / "wh", ratings), cluster.url) as run:
        for victim, step in night:
            run.wait_for(BEFORE[step])
            wait_until(lambda victim=victim: cluster.find(victim), 60, victim)
            killed = [pid for pid in cluster.find(victim)[:1] if kill(pid)]
            assert killed, f"no {victim} was there to kill"
            assert not run.reached(step), f"{step} was over before the kill"
            happened.append((victim, step))
        assert run.end() == 0, run.log.read_text()[-3000:]
    print(f"killed: {happened}")
    assert happened == night
    assert content(tmp_path / "wh") == undisturbed


SUBMITS: list[list[Kill]] = (
    in_turn(DRIVERS, 3) if LONG else [[("driver", "train als"), ("process group", "evaluate")]]
)
"""What is killed, and where, in each rerun of a night; one more rerun ends."""


@pytest.mark.parametrize("kills", SUBMITS)
def test_the_driver_is_killed_and_the_night_run_again(
    undisturbed: dict[str, str], ratings: Path, tmp_path: Path, kills: list[Kill]
) -> None:
    root, draw, heard = tmp_path / "wh", random.Random(3), set[str]()
    for n, (victim, step) in enumerate(kills):
        with submitted(tmp_path / f"log-{n}", arguments(root, ratings), LOCAL) as run:
            run.wait_for(BEFORE[step])
            wait_until(run.python, 60, "the driver")
            time.sleep(draw.uniform(0, 0.3))
            assert run.process.poll() is None
            assert not run.reached(step), f"{step} was over before the kill"
            started = [run.process.pid, *descendants(run.process.pid)]
            heard |= {address for pid in started for address in listening(pid)}
            run.kill(victim)
            assert run.end() not in (0, None)
            wait_until(lambda pids=started: not any(map(command_of, pids)), 60, "all of it to end")
        assert Warehouse(root).current() is None
    with submitted(tmp_path / "log", arguments(root, ratings), LOCAL) as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    print(f"killed: {kills}")
    assert heard, "Spark listened nowhere"
    assert heard <= {"127.0.0.1", "::ffff:127.0.0.1"}, "others could connect"
    assert content(root) == undisturbed
    assert list((root / "scratch").iterdir()) == []


@long_only
def test_a_night_on_the_cluster_is_the_same_without_kills(
    cluster: Cluster, undisturbed: dict[str, str], ratings: Path, tmp_path: Path
) -> None:
    with submitted(tmp_path / "log", arguments(tmp_path / "wh", ratings), cluster.url) as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    assert content(tmp_path / "wh") == undisturbed
