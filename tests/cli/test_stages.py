"""`mfspark run` and the stages: arguments, progress, log file, summary, exit statuses."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mfspark.config.config import Config
from mfspark.errors import ConfigError, InputError, LockedError, MfsparkError, RefusedError
from mfspark.ingest.report import IngestReport, SideCounts
from mfspark.models.records import INGEST
from mfspark.pipeline import request as entry
from mfspark.schemas import IdTypes
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command
from tests.support import made_run as made

Work = Callable[[entry.Request, Any], Night]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], list[entry.Request]]:
    """Put a function in the place of the pipeline; returns the requests it gets."""
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "")

    def put(work: Work) -> list[entry.Request]:
        requests: list[entry.Request] = []

        def execute(request: entry.Request, progress: Any) -> Night:
            requests.append(request)
            return work(request, progress)

        monkeypatch.setattr(entry, "execute", execute)
        return requests

    return put


def publish(request: entry.Request, progress: Any) -> Night:
    """A night of two steps that publishes the made run."""
    progress.begin(2)
    with progress.step("ingest"):
        pass
    with progress.step("publish"):
        run_id = made.publish_run(Path(request.warehouse or ""))
    return _night(request, run_id, published=True)


def _night(request: entry.Request, run_id: str, *, published: bool) -> Night:
    warehouse = Warehouse(request.warehouse or "")
    return Night(warehouse, Config(), request.date(), run_id, [], published=published)


def test_every_option_reaches_the_pipeline(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    requests = stand_in(publish)
    config = tmp_path / "c.toml"
    config.write_text("seed = 7\n")
    result = mfspark(
        "train", "--config", config, "--ratings", "a.csv", "-r", "b.csv", "--items", "i.csv",
        "--test", "t.csv", "--warehouse", tmp_path / "w", "--run-date", "2026-11-22",
        "--models", "als, torch_mf", "--set", "publish.n=3", "--set", "seed=8", "--debug",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert requests == [
        entry.Request(
            "train", (str(config),), ("a.csv", "b.csv"), (), ("i.csv",), ("t.csv",),
            str(tmp_path / "w"), "2026-11-22", ("als", "torch_mf"), ("publish.n=3", "seed=8"),
        )
    ]  # fmt: skip


def test_a_published_night_is_summarised(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    stand_in(publish)
    result = mfspark("run", "--warehouse", tmp_path, "--run-date", "2026-11-22")
    assert result.exit_code == 0
    found = [line.split() for line in result.stdout.splitlines()]
    assert ["als", "0.875*", "0.750-1.000", "-", "0.500", "0.375-0.625", "-", "-"] in found
    assert ["ratings", "8"] in found
    assert ["missing_user", "1"] in found
    assert "11 rows read, 8 accepted" in result.stdout
    assert "ratings.csv: text split by ','" in result.stdout
    assert "note: publish.n = 4 asked, only 2 to 3 unseen items" in result.stdout
    (run_id,) = Warehouse(tmp_path).run_ids()
    assert f"run {run_id} is published in {tmp_path}/runs/{run_id} (" in result.stdout
    assert f"mfspark show 1 --warehouse {tmp_path}" in result.stdout


def test_steps_are_lines_on_standard_error_and_in_the_log_file(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    stand_in(publish)
    result = mfspark("run", "--warehouse", tmp_path, "--run-date", "2026-11-22")
    log = (tmp_path / "logs" / "2026-11-22.log").read_text()
    for text in (result.stderr, log):
        assert re.search(r"1/2 ingest: \d+\.\d s", text)
        assert re.search(r"2/2 publish: \d+\.\d s", text)
    assert "no --ratings: the embedded survey is used" in result.stderr
    (run_id,) = Warehouse(tmp_path).run_ids()
    assert log.splitlines()[-1].endswith(f" run {run_id} is done")
    assert logging.getLogger("mfspark").handlers == []


def test_a_night_that_was_already_published_says_so(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    run_id = made.publish_run(tmp_path)
    stand_in(lambda request, _: _night(request, run_id, published=True))
    result = mfspark("run", "--warehouse", tmp_path)
    assert result.exit_code == 0
    assert f"run {run_id} was already published" in result.stderr
    assert f"run {run_id} is published" in result.stdout


def test_a_single_stage_says_where_its_tables_are(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    stand_in(lambda request, _: _night(request, "2026-11-22-0", published=False))
    root = tmp_path / "[red]wide" / ("long" * 40)  # no markup, and never folded
    result = mfspark("ingest", "--warehouse", root, "--ratings", "r.csv")
    assert result.exit_code == 0
    assert f"{root}/scratch/2026-11-22-0/tables" in result.stdout
    assert "survey" not in result.stderr


def test_a_single_stage_says_what_came_in_and_the_whole_command_that_publishes(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    report = IngestReport(
        *(9, 8, 1, 0, {"missing_user": 1}, (1.0, 5.0), 1.0, IdTypes("integer", "integer"), 4, 5),
        read_as={"r.csv": "text split by ','"},
        described_items=SideCounts(5, 2),
    )

    def ingested(request: entry.Request, _: Any) -> Night:
        night = _night(request, "2026-11-22-0", published=False)
        night.finish(INGEST, report)
        return night

    stand_in(ingested)
    options = ["--ratings", "my r.csv", "--models", "als,nmf", "--set", "seed=8"]
    where = ["--warehouse", str(tmp_path), "--run-date", "2026-11-22"]
    result = mfspark("ingest", *options, *where, "--debug")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:-2] == [
        "9 rows read, 8 accepted, 1 rejected, see table rejected_ratings:",
        "  missing_user  1",
        "r.csv: text split by ','",
        "note: nobody rated 2 items of the catalogue",
    ]
    assert lines[-2].startswith("ingest of run 2026-11-22-0 is done")
    words = shlex.split(lines[-1])
    assert words[:2] == ["mfspark", "publish"]
    assert sorted(words[2:]) == sorted([*options, *where])
    assert mfspark("publish", *words[2:]).exit_code == 0


def test_what_came_in_is_said_once_on_the_terminal_and_once_in_the_log(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    def work(request: entry.Request, progress: Any) -> Night:
        logging.getLogger("mfspark.pipeline.ingest").info("9 rows read")
        progress.note("another night waits")
        return publish(request, progress)

    stand_in(work)
    result = mfspark("run", "--warehouse", tmp_path, "--run-date", "2026-11-22")
    log = (tmp_path / "logs" / "2026-11-22.log").read_text()
    assert (log.count("9 rows read"), result.output.count("9 rows read")) == (1, 0)
    assert (log.count("another night"), result.output.count("another night")) == (1, 1)


def test_a_night_behind_what_readers_see_is_shown_by_its_id(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    older = made.publish_run(tmp_path)
    newer = made.publish_run(tmp_path, date(2026, 11, 23))
    stand_in(lambda request, _: _night(request, older, published=True))
    out = mfspark("run", "--warehouse", tmp_path, "--run-date", "2026-11-22").stdout
    assert f"mfspark show 1 --warehouse {tmp_path} --run-id {older};" in out
    there = f"mfspark rollback {older} --warehouse {tmp_path}"
    assert f"readers still see run {newer}; to send them to this one: {there}" in out


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("wrong"), 2),
        (InputError("unusable"), 3),
        (RefusedError("refused"), 5),
        (MfsparkError("broken"), 70),
        (ValueError("a defect"), 70),
        (LockedError("held"), 75),
    ],
)
def test_failures_end_with_their_status_on_one_screen(
    mfspark: Command,
    stand_in: Callable[[Work], list[entry.Request]],
    tmp_path: Path,
    error: Exception,
    status: int,
) -> None:
    def fail(request: entry.Request, progress: Any) -> Night:  # noqa: ARG001
        progress.begin(1)
        with progress.step("ingest"):
            raise error

    stand_in(fail)
    result = mfspark("run", "--warehouse", tmp_path, "--run-date", "2026-11-22")
    assert (result.exit_code, result.stdout) == (status, "")
    assert str(error) in result.stderr
    assert "Traceback" not in result.stderr
    assert "exit code" not in result.stderr.lower()
    log = (tmp_path / "logs" / "2026-11-22.log").read_text().splitlines()
    assert "ingest failed after" in log[0]
    assert log[1].endswith(str(error))


def test_the_log_of_a_refused_night_ends_with_the_reasons(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    def refuse(request: entry.Request, progress: Any) -> Night:  # noqa: ARG001
        raise RefusedError("run x was not published:\n  - rating, als: worse\n  - and 2 more")

    stand_in(refuse)
    assert mfspark("run", "--warehouse", tmp_path, "--run-date", "2026-11-22").exit_code == 5
    lines = (tmp_path / "logs" / "2026-11-22.log").read_text().splitlines()
    assert [line[20:] for line in lines] == [
        *("run x was not published:", "  - rating, als: worse", "  - and 2 more"),
    ]


def test_debug_shows_the_stack(
    mfspark: Command, stand_in: Callable[[Work], list[entry.Request]], tmp_path: Path
) -> None:
    def fail(request: entry.Request, progress: Any) -> Night:  # noqa: ARG001
        raise ValueError("a defect")

    stand_in(fail)
    result = mfspark("run", "--warehouse", tmp_path, "--debug")
    assert result.exit_code == 70
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "publish.m=3"), "unknown key 'publish.m'"),
        (("--set", "models.als.rank=-1"), "models.als.rank = -1"),
        (("--models", "als,sdv"), "models.run"),
        (("--models", ""), "--models is empty"),
        (("--models", " , "), "--models is empty"),
        (("--ratings", ""), "--ratings is empty"),
        (("--warehouse", ""), "--warehouse is empty"),
        (("--items", "movies.csv"), "the embedded survey stands alone, without items"),
        (("--run-date", "tomorrow"), "run date 'tomorrow' is not a date"),
        (("--warehouse", "hdfs://host/w"), "not on a local file system"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_made(
    mfspark: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = mfspark("run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_java_a_night_is_refused_with_the_remedy(
    mfspark: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    result = mfspark("run", "--warehouse", tmp_path / "w")
    assert result.exit_code == 2
    assert "install Java 17 or 21" in result.stderr


def test_a_warehouse_that_cannot_be_made_is_named(mfspark: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = mfspark("run", "--warehouse", tmp_path / "file" / "w")
    assert result.exit_code == 2
    assert f"cannot create {tmp_path}/file/w" in result.stderr
