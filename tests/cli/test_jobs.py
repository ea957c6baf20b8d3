"""The spark-submit jobs: the options of `mfspark run`, a log on standard error, the statuses."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from mfspark.cli import job
from mfspark.config.config import Config
from mfspark.errors import InputError
from mfspark.pipeline import request as entry
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command

JOBS = Path(__file__).resolve().parents[2] / "jobs"


@pytest.fixture(autouse=True)
def _levels_as_before() -> Generator[None]:
    levels = {log: log.level for log in (logging.getLogger(), logging.getLogger("py4j"))}
    yield
    for log, level in levels.items():
        log.setLevel(level)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run job train_als in this process and return its exit status."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    monkeypatch.setattr(sys, "argv", ["train_als.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        job("train", only=("als",))
    return int(ended.value.code or 0)


def test_every_option_reaches_the_pipeline_and_steps_are_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests: list[tuple[entry.Request, Any]] = []

    def execute(request: entry.Request, progress: Any, only: Any) -> Night:
        requests.append((request, only))
        progress.begin(1)
        with progress.step("train"):
            logging.getLogger("mfspark").info("reading ftp://me:hunter2@host/r.csv")
        return Night(Warehouse(tmp_path), Config(), request.date(), "2026-11-22-0", [])

    monkeypatch.setattr(entry, "execute", execute)
    status = run(
        monkeypatch,
        *("--config", "c.toml", "--ratings", "a.csv", "--ratings", "b.csv", "--users", "u.csv"),
        *("--items", "i.csv", "--test", "t.csv", "--warehouse", str(tmp_path)),
        *("--run-date", "2026-11-22", "--models", "als,nmf", "--set", "seed=8", "--debug"),
    )
    assert status == 0
    assert requests == [
        (
            entry.Request(
                *("train", ("c.toml",), ("a.csv", "b.csv"), ("u.csv",), ("i.csv",), ("t.csv",)),
                *(str(tmp_path), "2026-11-22", ("als", "nmf"), ("seed=8",)),
            ),
            ("als",),
        )
    ]
    out, log = capsys.readouterr()
    assert out == ""
    assert re.search(r"^[\d-]+ [\d:,]+ mfspark 1/1 train: \d+\.\d s$", log, re.MULTILINE)
    assert "reading ftp://***@host/r.csv" in log
    assert f"mfspark train of run 2026-11-22-0 done in {tmp_path}" in log
    assert "published" not in log


def test_a_failure_ends_with_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def execute(request: entry.Request, progress: Any, only: Any) -> Night:  # noqa: ARG001
        raise InputError("unusable")

    monkeypatch.setattr(entry, "execute", execute)
    assert run(monkeypatch) == 3
    assert capsys.readouterr().err.endswith("mfspark: unusable\n")


def test_jobs_take_the_options_of_mfspark_run(mfspark: Command) -> None:
    done = subprocess.run(
        [sys.executable, JOBS / "nightly.py", "-h"], capture_output=True, text=True, check=True
    )
    options = [
        set(re.findall(r"--[a-z-]+", text)) for text in (done.stdout, mfspark("run", "-h").stdout)
    ]
    assert options[0] == options[1]
    assert "--ratings" in options[0]


@pytest.mark.parametrize("name", sorted(path.name for path in JOBS.glob("*.py")))
def test_wrong_usage_of_a_job_ends_with_2(name: str) -> None:
    done = subprocess.run(
        [sys.executable, JOBS / name, "--nix"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option: --nix" in done.stderr
