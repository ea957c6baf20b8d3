"""The spark-submit jobs: the options of `mfspark run`, log and summary, one line, the statuses."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mfspark.cli import job
from mfspark.config.config import Config
from mfspark.errors import InputError, RefusedError
from mfspark.pipeline import request as entry
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command
from tests.support import made_run as made

ROOT = Path(__file__).resolve().parents[2]
JOBS = ROOT / "jobs"


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


def told(out: str) -> dict[str, Any]:
    """Return the one line of standard output, which keeps to its schema."""
    schema = json.loads((ROOT / "docs" / "schemas" / "job.json").read_text())
    (line,) = out.splitlines()
    found = json.loads(line)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(found)] == []
    return found


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
    config = tmp_path / "c.toml"
    config.write_text("")
    status = run(
        monkeypatch,
        *("--config", str(config), "--ratings", "a.csv", "--ratings", "b.csv", "--users", "u.csv"),
        *("--items", "i.csv", "--test", "t.csv", "--warehouse", str(tmp_path)),
        *("--run-date", "2026-11-22", "--models", "als,nmf", "--set", "seed=8", "--debug"),
    )
    assert status == 0
    assert requests == [
        (
            entry.Request(
                *("train", (str(config),), ("a.csv", "b.csv"), ("u.csv",), ("i.csv",), ("t.csv",)),
                *(str(tmp_path), "2026-11-22", ("als", "nmf"), ("seed=8",)),
            ),
            ("als",),
        )
    ]
    out, log = capsys.readouterr()
    found = told(out)
    assert (found["run_id"], found["stage"]) == ("2026-11-22-0", "train")
    assert (found["models"], found["outcome"], found["status"]) == (["als"], "done", 0)
    assert re.search(r"^[\d-]+ [\d:,]+ mfspark 1/1 train: \d+\.\d s$", log, re.MULTILINE)
    assert "reading ftp://***@host/r.csv" in log
    assert log.count("train of run 2026-11-22-0 is done in") == 1
    assert f"mfspark publish --config {config} --ratings a.csv" in log
    assert "is published" not in log
    assert (tmp_path / "logs" / "steps-train-als.json").is_file()


def test_a_published_night_ends_with_its_summary_and_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = made.publish_run(tmp_path)

    def execute(request: entry.Request, progress: Any, only: Any) -> Night:  # noqa: ARG001
        logging.getLogger("mfspark.pipeline.ingest").info("11 rows read, 8 accepted, 2 rejected")
        return Night(Warehouse(tmp_path), Config(), request.date(), run_id, [], published=True)

    monkeypatch.setattr(entry, "execute", execute)
    assert run(monkeypatch, "-r", "r.csv", "-w", str(tmp_path), "--run-date", "2026-11-22") == 0
    out, log = capsys.readouterr()
    lines = [line.split() for line in log.splitlines()]
    assert ["als", "0.875*", "0.750-1.000", "-", "0.500", "0.375-0.625", "-", "-"] in lines
    assert ["missing_user", "1"] in lines
    assert log.count("11 rows read, 8 accepted") == 1, "nothing is said twice"
    assert "note: nobody rated 1 item of the catalogue" in log
    assert f"run {run_id} is published in {tmp_path}/runs/{run_id}" in log
    found = told(out)
    assert (found["run_id"], found["run_date"]) == (run_id, "2026-11-22")
    assert (found["outcome"], found["served"]["model"]) == ("published", "user_knn")
    assert found["ingest"]["rejected_by_reason"] == {"missing_user": 1, "rating_not_a_number": 1}
    assert {"model": "als", "metric": "rmse", "value": 0.875}.items() <= found["metrics"][2].items()
    assert found["tables"]["ratings"] == 8


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (InputError("unusable", "mend it"), 3, "failed"),
        (RefusedError("run 2026-11-22-0 was not published:\n  - worse"), 5, "refused"),
        (ValueError("a defect"), 70, "failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_failure_ends_with_its_status_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    outcome: str,
) -> None:
    if isinstance(error, RefusedError):
        error.reasons = ("worse",)

    def execute(request: entry.Request, progress: Any, only: Any) -> Night:  # noqa: ARG001
        progress.of_run("2026-11-22-0")
        raise error

    monkeypatch.setattr(entry, "execute", execute)
    assert run(monkeypatch, "--run-date", "2026-11-22", "--ratings", "r.csv") == status
    out, log = capsys.readouterr()
    found = told(out)
    assert (found["run_id"], found["status"]) == ("2026-11-22-0", status)
    assert (found["outcome"], found["error"]) == (
        outcome,
        getattr(error, "message", None) or str(error) or "interrupted",
    )
    assert found["reasons"] == (["worse"] if outcome == "refused" else [])
    last = log.splitlines()[-1].strip()
    assert last == {3: "mend it", 5: "- worse"}.get(status, last)
    assert "Traceback" not in log


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
