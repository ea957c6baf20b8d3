"""runs, status, verify, rollback, gc: what they print and how they end."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mfspark.cli.options import parse_age
from mfspark.config.config import Config
from mfspark.errors import ConfigError
from mfspark.system.command_line import CommandLine
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command
from tests.support import made_run as made
from tests.support.places import run_dir, scratch_dir, table_dir


def grow_old(root: Path, run_id: str, age: timedelta) -> None:
    path = run_dir(Warehouse(root), run_id) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["published_at"] = (datetime.now(UTC) - age).isoformat()
    path.write_text(json.dumps(manifest))


def test_status_says_how_old_the_current_run_is(mfspark: Command, tmp_path: Path) -> None:
    run = made.publish_run(tmp_path)
    grow_old(tmp_path, run, timedelta(hours=30))
    result = mfspark("status", "-w", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first == f"run {run} is current, published 30 h ago"
    assert second == "its lists are by user_knn: it was made so"


@pytest.mark.parametrize(
    ("max_age", "status"), [("36h", 0), ("2d", 0), ("29h", 4), ("90m", 4), ("1d", 4)]
)
def test_a_stale_run_ends_with_4_and_its_age(
    mfspark: Command, tmp_path: Path, max_age: str, status: int
) -> None:
    run = made.publish_run(tmp_path)
    grow_old(tmp_path, run, timedelta(hours=30))
    result = mfspark("status", "-w", tmp_path, "--max-age", max_age)
    assert result.exit_code == status
    assert "30 h ago" in result.stdout
    if status:
        assert f"run {run} is 30 h old, more than {max_age}" in result.stderr


def test_the_age_is_that_of_the_run_readers_see(mfspark: Command, tmp_path: Path) -> None:
    old = made.publish_run(tmp_path)
    made.publish_run(tmp_path, date(2026, 11, 23))
    grow_old(tmp_path, old, timedelta(days=9))
    assert mfspark("status", "-w", tmp_path, "--max-age", "1d").exit_code == 0
    assert mfspark("rollback", old, "-w", tmp_path).exit_code == 0
    assert mfspark("status", "-w", tmp_path, "--max-age", "1d").exit_code == 4


def test_status_without_a_run_or_with_a_damaged_one(mfspark: Command, tmp_path: Path) -> None:
    result = mfspark("status", "-w", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing was published" in result.stderr
    run = made.publish_run(tmp_path)
    (run_dir(Warehouse(tmp_path), run) / "manifest.json").write_text("{")
    result = mfspark("status", "-w", tmp_path, "--max-age", "1h")
    assert result.exit_code == 4, "of unknown age is too old"
    assert "is damaged" in result.stdout


@pytest.mark.parametrize("text", ["36", "h", "-1h", "1y", "", "1 hour", "9" * 30 + "d"])
def test_what_is_no_age_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="age"):
        parse_age(text)


def test_refused_and_interrupted_nights_are_listed(mfspark: Command, tmp_path: Path) -> None:
    made.publish_run(tmp_path)
    nights = [
        Night.begin(Warehouse(tmp_path), Config(), date(2026, 11, day), []) for day in (23, 24)
    ]
    why = {
        "reasons": ["rating, als: RMSE is worse", "other"],
        "refused_at": "2026-11-24T02:00:00+00:00",
    }
    scratch_dir(nights[1], "why.json").write_text(json.dumps(why))
    for command in ("runs", "status"):
        shown = " ".join(mfspark(command, "-w", tmp_path).stdout.split())
        assert f"{nights[0].run_id}" in shown
        assert "interrupted or running" in shown
        assert "refused: rating, als: RMSE is worse, and 1 more; see" in shown


def test_nights_that_wait_come_with_their_command(mfspark: Command, tmp_path: Path) -> None:
    asked = CommandLine(("--ratings", "my r.csv"), str(Path.cwd()))
    night = Night.begin(Warehouse(tmp_path), Config(), date(2026, 11, 23), [], asked)
    line = f"to go on with run {night.run_id}: mfspark run --ratings 'my r.csv'"
    first = mfspark("runs", "-w", tmp_path)
    assert (first.exit_code, line in first.stdout) == (0, True), "nothing was published yet"
    assert f"mfspark runs --warehouse {tmp_path}" in mfspark("show", "1", "-w", tmp_path).stderr
    made.publish_run(tmp_path)
    for command in ("runs", "status"):
        assert line not in mfspark(command, "-w", tmp_path).stdout, "it was begun before"


def test_verify_finds_one_changed_bit_in_any_run(mfspark: Command, tmp_path: Path) -> None:
    old = made.publish_run(tmp_path)
    new = made.publish_run(tmp_path, date(2026, 11, 23))
    whole = mfspark("verify", "-w", tmp_path, "--all")
    assert whole.exit_code == 0
    assert [line.split(":")[0] for line in whole.stdout.splitlines()] == [
        f"run {new}",
        f"run {old}",
    ]
    assert whole.stdout.count("as published") == 2

    path = next(table_dir(PublishedRun(tmp_path, old), "ratings").glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert mfspark("verify", "-w", tmp_path).exit_code == 0  # what readers see
    for which in ("--all", old):
        result = mfspark("verify", which, "-w", tmp_path)
        assert result.exit_code == 70
        assert f"{path} has not the content that was published" in result.stdout
        assert f"run {old} is damaged" in " ".join(result.stderr.split())
    (run_dir(Warehouse(tmp_path), new) / "manifest.json").write_text("{")
    result = mfspark("verify", "--all", "-w", tmp_path)
    assert f"run {new}: damaged\n{path} has not the content" in result.stdout
    assert f"run {new} and run {old} are damaged" in " ".join(result.stderr.split())
    assert mfspark("verify", old, "--all", "-w", tmp_path).exit_code == 2
    assert mfspark("verify", "2020-01-01-00000000", "-w", tmp_path).exit_code == 2


def test_rollback_says_where_readers_were(mfspark: Command, tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    second = made.publish_run(tmp_path, date(2026, 11, 23))
    result = mfspark("rollback", first, "-w", tmp_path)
    assert result.exit_code == 0
    assert result.stdout == f"readers see run {first} now; before: {second}\n"
    result = mfspark("rollback", "2020-01-01-00000000", "-w", tmp_path)
    assert result.exit_code == 2
    assert second in result.stderr


def test_gc_names_what_it_removed(mfspark: Command, tmp_path: Path) -> None:
    runs = [made.publish_run(tmp_path, date(2026, 11, day)) for day in (21, 22, 23)]
    result = mfspark("gc", "-w", tmp_path, "--keep", 1)
    assert result.stdout == "3 runs kept\n", "within the grace time"
    result = mfspark("gc", "-w", tmp_path, "--keep", 1, "--grace", "0m")
    assert set(result.stdout.splitlines()) == {
        f"removed {runs[0]}", f"removed {runs[1]}", "1 run kept",
    }  # fmt: skip
    assert Warehouse(tmp_path).run_ids() == [runs[2]]
    assert mfspark("gc", "-w", tmp_path / "no").exit_code == 2
    assert mfspark("gc", "-w", tmp_path, "--keep", 0).exit_code == 2
