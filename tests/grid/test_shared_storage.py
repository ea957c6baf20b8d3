"""Whether driver and executors share the warehouse; another directory plays another machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mfspark.errors import ConfigError
from mfspark.grid import shared_storage
from mfspark.grid.shared_storage import check_shared
from mfspark.kernels.arrays.tile import Numbers
from mfspark.storage.posix import PosixStorage

PLACES = [
    ("local[2]", "sc://elsewhere:15002"),
    ("local[*]", "sc://elsewhere/;token=abc"),
    ("spark://elsewhere:7077", None),
    ("yarn", None),
    ("", "sc://elsewhere"),  # a server that does not tell its master
]


def session(master: str) -> Any:
    """A session of which nothing is known but its master."""
    settings = {"spark.master": master} if master else {}
    return SimpleNamespace(conf=settings)


class Runner:
    """Runs tasks where the paths of `there` show what lies in `shown`, and counts the jobs."""

    def __init__(self, there: Path, shown: Path) -> None:
        self.there, self.shown, self.jobs = there, shown, 0

    def run(self, n_tasks: int, task: Callable[[int], Numbers], _: str) -> list[Numbers]:
        self.jobs += 1
        aside = self.there.with_name("aside")
        if self.there != self.shown:
            self.there.rename(aside)
            self.shown.rename(self.there)
        try:
            return [task(number) for number in range(min(n_tasks, 2))] * (n_tasks // 2)
        finally:
            if self.there != self.shown:
                self.there.rename(self.shown)
                aside.rename(self.there)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PosixStorage:
    monkeypatch.setattr(shared_storage, "_SECONDS", 0)
    monkeypatch.setattr(shared_storage, "_TASKS", 2)
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "other").mkdir()
    return PosixStorage(str(tmp_path / "warehouse"))


def look(
    storage: PosixStorage, shown: Path, master: str, remote: str | None, patch: pytest.MonkeyPatch
) -> int:
    """Check a session of a master and SPARK_REMOTE; return how many jobs were run."""
    runner = Runner(Path(storage.root), shown)
    patch.setattr(shared_storage, "OnSpark", lambda *_: runner)
    patch.delenv("SPARK_REMOTE", raising=False)
    if remote:
        patch.setenv("SPARK_REMOTE", remote)
    check_shared(session(master), storage)
    return runner.jobs


@pytest.mark.parametrize(("master", "remote"), PLACES)
def test_machines_that_share_nothing_are_refused(
    storage: PosixStorage, monkeypatch: pytest.MonkeyPatch, master: str, remote: str | None
) -> None:
    other = Path(storage.root).with_name("other")
    with pytest.raises(ConfigError, match="do not share the warehouse") as refused:
        look(storage, other, master, remote, monkeypatch)
    assert storage.root in refused.value.message
    assert "s3://" in refused.value.hint
    assert "abc" not in str(refused.value)
    assert refused.value.status == 2
    assert storage.files("") == []


@pytest.mark.parametrize(("master", "remote"), PLACES)
def test_machines_that_share_the_warehouse_are_told_by_one_job(
    storage: PosixStorage, monkeypatch: pytest.MonkeyPatch, master: str, remote: str | None
) -> None:
    assert look(storage, Path(storage.root), master, remote, monkeypatch) == 1
    assert storage.files("") == []


@pytest.mark.parametrize(
    ("master", "remote"), [("local[2]", None), ("local[2]", "local[2]"), ("local", None)]
)
def test_nothing_is_run_where_this_process_started_spark_here(
    storage: PosixStorage, monkeypatch: pytest.MonkeyPatch, master: str, remote: str | None
) -> None:
    assert look(storage, Path(storage.root), master, remote, monkeypatch) == 0
