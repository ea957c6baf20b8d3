"""Progress as lines of a log: where it is, how much is done and left, and never long silence."""

from __future__ import annotations

import logging
import time

import pytest

from mfspark.pipeline.progress import LoggedProgress
from mfspark.system.words import duration
from tests.support.hand_clock import HandClock


@pytest.fixture(autouse=True)
def _lines_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mfspark")


def test_where_it_is_with_the_times_of_the_last_night() -> None:
    clock = HandClock()
    progress = LoggedProgress({"ingest": 30.0, "train als": 60.0, "publish": 30.0}, clock)
    clock.now += 5
    assert progress.where() == "preparing for 5 s"
    progress.begin(3)
    with progress.step("ingest"):
        clock.now += 60  # twice as long as the last time
    with progress.step("train als"):
        clock.now += 20
        # 50 s of the last night's 120 took 80 s
        assert progress.where() == "train als for 20 s; 1 of 3 steps done, about 2 min left"
        clock.now += 1000
        # longer than ever: nothing of this step is left, for all that is known
        assert progress.where() == "train als for 17 min; 1 of 3 steps done, about 6 min left"


def test_where_it_is_on_the_first_night() -> None:
    clock = HandClock()
    progress = LoggedProgress(now=clock)
    progress.begin(4)
    with progress.step("ingest"):
        clock.now += 90
        assert progress.where() == "ingest for 90 s; 0 of 4 steps done"
    with progress.step("train als"):
        clock.now += 30
        assert progress.where() == "train als for 30 s; 1 of 4 steps done, about 6 min left"


def test_a_night_that_says_nothing_for_long_says_where_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = HandClock()
    progress = LoggedProgress(now=clock)
    progress.begin(2)
    with progress.kept_up(quiet=0.05), progress.step("train als"):
        time.sleep(0.2)
        assert caplog.messages == [], "by its own clock no time has passed"
        clock.now += 1
        while not caplog.messages:
            time.sleep(0.01)
        time.sleep(0.2)
        assert caplog.messages == ["train als for 1 s; 0 of 2 steps done"], "once a silence"
    clock.now += 9
    time.sleep(0.2)
    assert caplog.messages[1:] == ["1/2 train als: 1.0 s"], "not after it has ended"


def test_an_interruption_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    for error, how in ((KeyboardInterrupt, "interrupted"), (ValueError, "failed")):
        progress = LoggedProgress(now=HandClock())
        with pytest.raises(error), progress.step("ingest"):
            raise error
        assert caplog.messages[-1] == f"ingest {how} after 0.0 s"
        assert progress.taken == {}


def test_the_run_is_named_and_remembered(caplog: pytest.LogCaptureFixture) -> None:
    progress = LoggedProgress()
    assert progress.run_id is None
    progress.of_run("2026-11-22-abc")
    assert (progress.run_id, caplog.messages) == ("2026-11-22-abc", ["run 2026-11-22-abc"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5700, "95 min"), (11_100, "3 h 05 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text
