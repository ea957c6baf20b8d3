"""Real nights, killed: executors and Python workers while they work, drivers at each stage.

Whatever was killed, and however often, the published tables are those of an undisturbed night, bit
by bit. Each case proves that its kill happened, and in the step that it names.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mfspark.samples import SyntheticSpec, write_synthetic
from mfspark.tables.warehouse import Warehouse
from tests.faults.cluster import Cluster, standalone, submitted
from tests.faults.processes import command_of, descendants, kill, listening, wait_until
from tests.pipeline.nights import DATE, content_hash, run_night
from tests.rounds import LONG, long_only

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
CHANGING = {"runs": ("published_at",), "loss_history": ("seconds",)}
STEPS = (  # and the step before, whose end says that it has begun
    ("similarity", "ingest"),
    ("train als", "similarity"),
    ("train torch_mf", "train als"),
    ("evaluate", "train torch_mf"),
    ("refit als", "evaluate"),
    ("publish", "refit torch_mf"),
)
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


def content(root: Path) -> dict[str, str]:
    tables = Warehouse(root).manifest().tables
    return {name: content_hash(root, name, CHANGING.get(name, ())) for name in tables}


def arguments(root: Path, ratings: Path) -> list[str]:
    settings = [word for option in OPTIONS for word in ("--set", option)]
    return ["--ratings", str(ratings), "--warehouse", str(root), "--run-date", DATE, *settings]


def kills(n: int, seed: int) -> list[tuple[str, str, str]]:
    """Return n (victim, step, step before), every victim and step in turn."""
    draw = random.Random(seed)
    every = [
        (victim, *step)
        for victim in ("executor", "python worker", "python daemon")
        for step in STEPS
    ]
    return [*draw.sample(every, len(every)), *draw.choices(every, k=n)][:n]


NIGHTS = [kills(5, seed) for seed in range(6)]  # what is killed in each night, and where


@long_only  # six JVMs
@pytest.mark.parametrize("night", NIGHTS)
def test_executors_and_python_workers_are_killed_while_they_work(
    cluster: Cluster,
    undisturbed: dict[str, str],
    ratings: Path,
    tmp_path: Path,
    night: list[tuple[str, str, str]],
) -> None:
    order = [step for step, _ in STEPS]
    happened: list[str] = []
    with submitted(tmp_path / "log", arguments(tmp_path / "wh", ratings), cluster.url) as run:
        for victim, step, before in sorted(night, key=lambda kill: order.index(kill[1])):
            run.wait_for(before)
            wait_until(lambda victim=victim: cluster.find(victim), 60, victim)
            killed = [pid for pid in cluster.find(victim)[:1] if kill(pid)]
            assert killed, f"no {victim} was there to kill"
            assert not run.reached(step), f"{step} was over before the kill"
            happened.append(f"{victim} in {step}")
        assert run.end() == 0, run.log.read_text()[-3000:]
    print(f"killed: {', '.join(happened)}")
    assert len(happened) == len(night)
    assert content(tmp_path / "wh") == undisturbed


DRIVERS = [["train als", "evaluate", "refit als", "publish"]] * 5 if LONG else [["evaluate"]]
"""The step that each rerun of a night is killed in; one more rerun ends."""


@pytest.mark.parametrize(("round_", "steps"), list(enumerate(DRIVERS)))
def test_the_driver_is_killed_and_the_night_run_again(
    undisturbed: dict[str, str], ratings: Path, tmp_path: Path, round_: int, steps: list[str]
) -> None:
    root, before, draw = tmp_path / "wh", dict(STEPS), random.Random(round_)
    for n, step in enumerate(steps):
        with submitted(tmp_path / f"log-{n}", arguments(root, ratings), LOCAL) as run:
            run.wait_for(before[step])
            time.sleep(draw.uniform(0, 0.3))
            assert run.process.poll() is None
            assert not run.reached(step), f"{step} was over before the kill"
            started = [run.process.pid, *descendants(run.process.pid)]
            heard = [listening(pid) for pid in started if command_of(pid)]
            os.killpg(run.process.pid, signal.SIGKILL)
            assert run.end() == -signal.SIGKILL
            assert set.union(*heard) <= {"127.0.0.1", "::ffff:127.0.0.1"}, "others could connect"
            assert any(heard)
        assert Warehouse(root).current() is None
    with submitted(tmp_path / "log", arguments(root, ratings), LOCAL) as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    assert content(root) == undisturbed
    assert list((root / "scratch").iterdir()) == []


@long_only
def test_a_night_on_the_cluster_is_the_same_without_kills(
    cluster: Cluster, undisturbed: dict[str, str], ratings: Path, tmp_path: Path
) -> None:
    with submitted(tmp_path / "log", arguments(tmp_path / "wh", ratings), cluster.url) as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    assert content(tmp_path / "wh") == undisturbed
