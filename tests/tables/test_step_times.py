"""What the steps of the last night took, kept for the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mfspark.storage.posix import PosixStorage
from mfspark.tables.step_times import all_step_times, read_step_times, write_step_times


def test_they_survive_a_night_and_steps_found_finished_keep_theirs(tmp_path: Path) -> None:
    storage = PosixStorage(str(tmp_path))
    assert (read_step_times(storage, "run"), all_step_times(storage)) == ({}, {})
    write_step_times(storage, "run", {"a": 12.0, "b": 3.0})
    write_step_times(storage, "run", {"a": 0.01, "b": 4.0})
    write_step_times(storage, "run", {})
    write_step_times(storage, "train-als", {"c": 1.0})
    assert read_step_times(storage, "run") == {"a": 12.0, "b": 4.0}
    assert (tmp_path / "logs" / "steps-run.json").is_file()
    (tmp_path / "logs" / "2026-11-22.log").write_text("")
    assert all_step_times(storage) == {"run": {"a": 12.0, "b": 4.0}, "train-als": {"c": 1.0}}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "x"}', '{"a": null}', "\xff"])
def test_damaged_ones_are_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "logs" / "steps-run.json"
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    assert read_step_times(PosixStorage(str(tmp_path)), "run") == {}
    no_directory = PosixStorage(str(path))
    write_step_times(no_directory, "run", {"a": 1.0})  # no error
