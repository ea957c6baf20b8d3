"""Progress on a terminal: shares, time left, the log beside it."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from mfspark.cli.progress import TerminalProgress
from tests.support.hand_clock import HandClock


@pytest.fixture
def out() -> io.StringIO:
    """What a terminal of 100 columns shows."""
    return io.StringIO()


def shown(out: io.StringIO, known: dict[str, float], time: HandClock) -> TerminalProgress:
    console = Console(file=out, force_terminal=True, color_system=None, width=100)
    return TerminalProgress(console, known, time)


def screen(progress: TerminalProgress, out: io.StringIO) -> str:
    """Draw the bar anew and return its last line, spaces joined."""
    progress.shown().refresh()
    return " ".join(out.getvalue().splitlines()[-1].split())


def test_without_earlier_times_steps_count_alike(out: io.StringIO) -> None:
    time = HandClock()
    progress = shown(out, {}, time)
    with progress.shown():
        assert "starting Spark" in screen(progress, out)
        progress.begin(4)
        assert screen(progress, out).endswith("0% 0:00:00 --:-- left")
        with progress.step("a"):
            time.now += 10
            assert "a " in screen(progress, out)
        assert screen(progress, out).endswith("25% 0:00:10 00:30 left")
        with progress.step("b"):
            time.now += 20
        assert screen(progress, out).endswith("50% 0:00:30 00:30 left")


def test_with_earlier_times_a_step_counts_as_long_as_it_took(out: io.StringIO) -> None:
    time = HandClock()
    progress = shown(out, {"a": 30.0, "b": 10.0}, time)
    with progress.shown():
        progress.begin(2)
        with progress.step("a"):
            time.now += 60  # twice as long as the last time
        assert screen(progress, out).endswith("75% 0:01:00 00:20 left")
        with progress.step("b"):
            time.now += 20
        assert "100%" in screen(progress, out)
    assert progress.taken == {"a": 60.0, "b": 20.0}


@pytest.mark.parametrize("known", [{"a": 30.0}, {"a": 0.0, "b": 0.0}])
def test_times_of_another_sequence_of_steps_are_not_used(
    out: io.StringIO, known: dict[str, float]
) -> None:
    progress = shown(out, known, HandClock())
    with progress.shown():
        progress.begin(2)
        with progress.step("a"):
            pass
        assert " 50% " in screen(progress, out)


def test_the_next_night_of_a_range_begins_anew(out: io.StringIO) -> None:
    progress = shown(out, {}, HandClock())
    with progress.shown():
        for _ in range(2):
            progress.begin(2)
            assert " 0% " in screen(progress, out)
            with progress.step("a"):
                pass
            assert " 50% " in screen(progress, out)


def test_a_terminal_shows_stage_percentage_and_time_left(
    out: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    time = HandClock()
    progress = shown(out, {"ingest": 90.0, "train [als]": 90.0}, time)
    with caplog.at_level(logging.INFO, "mfspark"), progress.shown():
        progress.begin(2)
        with progress.step("ingest"):
            time.now += 90
        with progress.step("train [als]"):
            line = screen(progress, out)
    assert "train [als]" in line
    assert line.endswith("50% 0:01:30 01:30 left")
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        "1/2 ingest",
        "2/2 train [als]",
    ]
