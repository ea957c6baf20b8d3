"""Locks between real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mfspark.errors import ConfigError, LockedError
from mfspark.tables.lock import hold_lock, hold_pointer_lock
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.rounds import rounds

spawning = multiprocessing.get_context("forkserver")
spawning.set_forkserver_preload(["tests.support.made_nights"])

HOLD = """
import sys, time
from mfspark.tables.lock import hold_lock
from mfspark.tables.warehouse import Warehouse
from mfspark.errors import LockedError
try:
    with hold_lock(Warehouse(sys.argv[1]), sys.argv[2] or None):
        print("held", flush=True)
        sys.stdin.read()
except LockedError as error:
    print(error.message, flush=True)
    sys.exit(error.status)
"""


def start(root: Path, stage: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), stage],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def holder(root: Path, stage: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lock until it is told to end, or killed."""
    with start(root, stage) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def free(root: Path, stage: str | None = None) -> bool:
    try:
        with hold_lock(Warehouse(root), stage):
            return True
    except LockedError:
        return False


def test_a_night_runs_alone_and_the_refusal_names_the_holder(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        with pytest.raises(LockedError) as told, hold_lock(Warehouse(tmp_path)):
            pass
        assert told.value.status == 75
        assert f"pid {other.pid} on {os.uname().nodename}, since 20" in told.value.message
        assert "a whole night" in told.value.message
        assert not free(tmp_path, "train_als")
    assert free(tmp_path)


def test_two_stages_share_a_warehouse_but_not_with_themselves_or_a_night(tmp_path: Path) -> None:
    with holder(tmp_path, "train_als") as other:
        assert free(tmp_path, "train_torch_mf")
        assert not free(tmp_path, "train_als")
        with pytest.raises(LockedError, match=f"stage train_als .pid {other.pid}"):
            hold_lock(Warehouse(tmp_path)).__enter__()
    assert free(tmp_path)


@pytest.mark.parametrize("stage", ["", "train_als"])
def test_kill_9_lets_go_of_the_lock(tmp_path: Path, stage: str) -> None:
    with holder(tmp_path, stage) as other:
        assert not free(tmp_path)
        os.kill(other.pid, signal.SIGKILL)
        assert other.wait() == -signal.SIGKILL
        assert free(tmp_path)
        with holder(tmp_path) as later, pytest.raises(LockedError) as told:
            hold_lock(Warehouse(tmp_path)).__enter__()
        assert str(later.pid) in told.value.message
        assert f"pid {other.pid} " not in told.value.message, "the dead holder is not blamed"


def test_what_a_killed_holder_started_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A JVM started under the lock outlives a driver killed with kill -9 for a while."""
    child = "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0, close_fds=False)"
    script = HOLD.replace('print("held"', f"import subprocess; print({child}.pid")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        assert not free(tmp_path)
        process.kill()
        process.wait()
        try:
            deadline = time.monotonic() + 5
            while not free(tmp_path) and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(started, 0)  # it lives
            assert free(tmp_path)
        finally:
            os.kill(started, signal.SIGKILL)


def test_a_process_being_started_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Between fork and exec it shares every descriptor; so does a copy of one."""
    held: list[int] = []
    with hold_lock(Warehouse(tmp_path)):
        for link in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):
                if os.readlink(link).endswith("warehouse.lock"):
                    held.append(int(link.name))
        (shared,) = map(os.dup, held)
    try:
        assert free(tmp_path)
    finally:
        os.close(shared)


def test_of_eight_starts_at_once_exactly_one_runs(tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(start(tmp_path)) for _ in range(8)]
        lines = [p.stdout.readline() for p in processes if p.stdout]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        statuses = sorted(process.wait() for process in processes)
    assert lines.count("held\n") == 1
    assert statuses == [0, *[75] * 7]


@pytest.mark.faults
@pytest.mark.parametrize("n_starts", [2, 8])
def test_of_starts_at_once_one_runs_and_a_killed_one_lets_go(tmp_path: Path, n_starts: int) -> None:
    """Each round: all start at once, one holds, the others end with 75, the holder is killed."""
    for _ in range(rounds(20, 200)):
        told = spawning.Queue()
        everybody = spawning.Barrier(n_starts)
        started = [
            spawning.Process(target=made.hold_and_tell, args=(str(tmp_path), everybody, told))
            for _ in range(n_starts)
        ]
        for process in started:
            process.start()
        answers = dict(told.get(timeout=60) for _ in started)
        assert sorted(answers.values()) == ["75"] * (n_starts - 1) + ["held"]
        assert not free(tmp_path)
        holder = next(p for p in started if answers[p.pid] == "held")
        holder.kill()
        for process in started:
            process.join()
        assert holder.exitcode == -signal.SIGKILL
        assert free(tmp_path)


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_lock(Warehouse(tmp_path)):
        _ = 1 / 0
    assert free(tmp_path)
    assert (tmp_path / "locks" / "warehouse.lock").read_text() == ""


def test_the_pointer_lock_is_its_own(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    again = pytest.raises(LockedError, match="publishing")
    with hold_lock(warehouse), hold_pointer_lock(warehouse), again:
        hold_pointer_lock(warehouse).__enter__()


def test_bad_places_and_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", Path("/proc/mfspark")):
        with pytest.raises(ConfigError, match="--warehouse DIR"):
            hold_lock(Warehouse(root)).__enter__()
    with pytest.raises(ConfigError, match="is not a name"):
        hold_lock(Warehouse(tmp_path), "../x").__enter__()
    (tmp_path / "locks" / "warehouse.lock").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot lock"):
        hold_lock(Warehouse(tmp_path)).__enter__()
