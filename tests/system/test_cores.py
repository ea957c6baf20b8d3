"""Cores that a task may use, told from the processes above it; no Spark is started here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mfspark.system import cores
from mfspark.system.cores import cores_of_this_process, cores_of_this_task

EXECUTOR = (
    "java\0org.apache.spark.executor.CoarseGrainedExecutorBackend\0--driver-url\0spark://a:1\0"
    "--executor-id\x000\0--hostname\0h\0--cores\0{}\0--app-id\0app-1\0"
)
DAEMON = "python\0-m\0pyspark.daemon\0pyspark.worker\0"
MACHINE = 9


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of nine cores without processes and without limits."""
    monkeypatch.setattr(cores, "_PROC", tmp_path)
    monkeypatch.setattr(cores, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MACHINE)))
    return tmp_path


def processes(proc: Path, *commands: str) -> None:
    """Make this process the child of the second command's, that one of the third's, and so on."""
    pids = [os.getpid(), *(100 + n for n in range(len(commands))), 1]
    for n, command in enumerate(commands):
        place = proc / str(pids[n])
        place.mkdir()
        (place / "cmdline").write_text(command)
        (place / "stat").write_text(f"{pids[n]} (a ) 7 name) S {pids[n + 1]} 1 1 0")


@pytest.mark.parametrize("n", [1, 4, 64])
def test_a_task_has_the_cores_of_the_executor_above_it(nowhere: Path, n: int) -> None:
    processes(nowhere, DAEMON, DAEMON, EXECUTOR.format(n), "java\0worker.Worker\0--cores\x0032\0")
    assert cores_of_this_task("spark://host:7077") == n
    assert cores_of_this_task("yarn") == n
    assert cores_of_this_task("") == n


@pytest.mark.parametrize(
    ("master", "n"),
    [("local", 1), ("local[3]", 3), ("local[3,4]", 3), ("local[*]", MACHINE),
     ("local[*,4]", MACHINE)],
)  # fmt: skip
def test_on_one_machine_the_master_says_it(nowhere: Path, master: str, n: int) -> None:
    processes(nowhere, DAEMON, "java\0SparkSubmit\0--master\0local[7]\0pyspark-shell\0")
    assert cores_of_this_task(master) == n


@pytest.mark.parametrize("commands", [(), (DAEMON,), (DAEMON, "sh\0")])
def test_where_no_executor_is_seen_the_machine_counts(
    nowhere: Path, commands: tuple[str, ...]
) -> None:
    processes(nowhere, *commands)
    assert cores_of_this_task("k8s://host") == MACHINE
    assert cores_of_this_task("local-cluster[2,1,1024]") == MACHINE


@pytest.mark.parametrize(
    ("limit", "n"),
    [("max 100000", MACHINE), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1),
     ("9900000 100000", MACHINE), ("nonsense", MACHINE)],
)  # fmt: skip
def test_a_container_has_the_cores_that_it_is_allowed(nowhere: Path, limit: str, n: int) -> None:
    (nowhere / "cpu.max").write_text(f"{limit}\n")
    assert cores_of_this_process() == n
