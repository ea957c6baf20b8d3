"""Progress on a terminal: shares, time left, the log beside it, step times kept for next time."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from mfspark.cli.progress import StepClock, TerminalProgress, read_step_times, write_step_times


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_earlier_times_steps_count_alike() -> None:
    time = Time()
    clock = StepClock({}, time)
    clock.begin(4)
    assert (clock.share(), clock.seconds_left()) == (0.0, None)
    clock.start("a")
    time.now += 10
    clock.end()
    assert (clock.share(), clock.seconds_left()) == (0.25, 30.0)
    clock.start("b")
    time.now += 10
    assert (clock.share(), clock.seconds_left()) == (0.25, 20.0)
    time.now += 25  # longer than all that was expected: nothing can be said any more
    assert clock.seconds_left() is None


def test_with_earlier_times_a_step_counts_as_long_as_it_took() -> None:
    time = Time()
    clock = StepClock({"a": 30.0, "b": 10.0}, time)
    clock.begin(2)
    assert clock.seconds_left() == 40.0
    clock.start("a")
    time.now += 15
    assert clock.share() == 15 / 40
    assert clock.seconds_left() == pytest.approx(25)
    time.now += 85  # much longer than the last time: it waits below its end
    assert clock.share() == 0.95 * 30 / 40
    clock.end()
    assert clock.share() == 30 / 40
    clock.start("b")
    clock.end()
    assert (clock.share(), clock.seconds_left()) == (1.0, 0.0)


def test_times_of_another_sequence_of_steps_are_not_used() -> None:
    clock = StepClock({"a": 30.0}, Time())
    clock.begin(2)
    clock.start("a")
    clock.end()
    assert clock.share() == 0.5


def test_a_terminal_shows_stage_percentage_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    out, time = io.StringIO(), Time()
    progress = TerminalProgress(
        Console(file=out, force_terminal=True, width=100),
        StepClock({"ingest": 90.0, "train [als]": 90.0}, time),
    )
    with caplog.at_level(logging.INFO, "mfspark"), progress.shown():
        progress.begin(2)
        with progress.step("ingest"):
            time.now += 90
        with progress.step("train [als]"):
            pass
    assert "train [als]" in out.getvalue()
    assert "50%  1:30 left" in out.getvalue()
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        "1/2 ingest",
        "2/2 train [als]",
    ]


def test_step_times_survive_a_night_and_steps_found_finished_keep_theirs(tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    assert read_step_times(path) == {}
    write_step_times(path, {}, {"a": 12.0, "b": 3.0})
    write_step_times(path, read_step_times(path), {"a": 0.01, "b": 4.0})
    assert read_step_times(path) == {"a": 12.0, "b": 4.0}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "x"}', '{"a": null}', "\xff"])
def test_damaged_step_times_are_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "steps.json"
    path.write_bytes(content.encode("latin-1"))
    assert read_step_times(path) == {}
    write_step_times(tmp_path / "nowhere" / "steps.json", {}, {"a": 1.0})  # no error
