"""`mfspark tune`: its options, what it writes and prints, and how it ends."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mfspark.evaluation.bootstrap import Change
from mfspark.evaluation.catalog import NDCG
from mfspark.pipeline.request import Request
from mfspark.pipeline.tuning import run as pipeline
from mfspark.pipeline.tuning.outcome import TunedModel
from mfspark.pipeline.tuning.run import Tuning
from mfspark.pipeline.tuning.trials import Trial
from tests.cli.conftest import Command

TRIALS = (
    Trial(0, {"rank": 64, "reg": 0.03}, "complete", 0.31, 0.3, 1.5),
    Trial(1, {"rank": 16, "reg": 0.2}, "pruned", None, 0.2, 0.4),
    Trial(2, {"rank": 128, "reg": 0.03}, "complete", 0.34, 0.32, 2.5),
)


def tuned(gain: Change | None = None, best: int = 2) -> TunedModel:
    second = None if gain is None else (0.30, 0.30 + gain.value)
    return TunedModel("ials", NDCG, 10, TRIALS, TRIALS[best], "tuning/ials-1", gain, second)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Request]]:
    """Put an outcome in the place of the pipeline; returns the requests it gets."""

    def put(model: TunedModel, *, interrupted: bool = False) -> list[Request]:
        requests: list[Request] = []

        def tune(request: Request, _progress: object) -> Tuning:
            requests.append(request)
            return Tuning((model,), "16 of 80 ratings", date(2026, 11, 22), interrupted)

        monkeypatch.setattr(pipeline, "tune", tune)
        return requests

    return put


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "")
    monkeypatch.chdir(tmp_path)


LINE = ("tune", "-r", "ratings.csv", "-w", "w", "--run-date", "2026-11-22")


def test_what_was_chosen_is_written_and_printed(mfspark: Command, stand_in: Callable) -> None:
    requests = stand_in(tuned(Change(0.03, 0.01, 0.05, 900)))
    done = mfspark(*LINE, "--trials", "3", "--metric", "ndcg", "--minutes", "2.5")
    assert done.exit_code == 0, done.output
    assert requests[0].overrides == ("tune.minutes=2.5", "tune.trials=3", "tune.metric=ndcg")
    text = Path("tuned.toml").read_text()
    assert tomllib.loads(text) == {"models": {"ials": {"rank": 128}}}
    assert "rank = 128  # 64 before" in text
    assert "NDCG@10 0.3000 -> 0.3300 on the second validation fold" in text
    assert "better by 0.0300 (0.0100 to 0.0500, 900 users)" in done.stdout
    assert "3 trials, 1 stopped early" in done.stdout
    assert "--config tuned.toml" in done.stdout
    lines = [line for line in done.stdout.splitlines() if "0.3400" in line and "2*" in line]
    assert len(lines) == 1
    drawn = ElementTree.parse("tuned.svg").getroot()
    titles = [each.text or "" for each in drawn.iter() if each.tag.endswith("title")]
    assert sorted(t.partition(":")[0].partition(",")[0] for t in titles) == [
        *("best so far", "trial 0", "trial 1", "trial 2"),
    ]


def test_a_gain_that_may_be_chance_says_so(mfspark: Command, stand_in: Callable) -> None:
    stand_in(tuned(Change(0.01, -0.01, 0.03, 900)))
    assert "may be chance" in mfspark(*LINE).stdout
    assert tomllib.loads(Path("tuned.toml").read_text())["models"]["ials"] == {"rank": 128}


def test_what_is_no_better_elsewhere_is_not_taken(mfspark: Command, stand_in: Callable) -> None:
    stand_in(tuned(Change(-0.001, -0.02, 0.02, 900)))
    done = mfspark(*LINE)
    assert "the configured options stay" in done.stdout
    assert tomllib.loads(Path("tuned.toml").read_text()) == {}
    assert "a night with them" not in done.stdout


def test_nothing_better_found(mfspark: Command, stand_in: Callable) -> None:
    stand_in(tuned(best=0))
    assert "nothing better than the configured options was found" in mfspark(*LINE).stdout


def test_interrupted_it_writes_what_it_found(mfspark: Command, stand_in: Callable) -> None:
    stand_in(tuned(), interrupted=True)
    done = mfspark(*LINE)
    assert done.exit_code == 130
    assert tomllib.loads(Path("tuned.toml").read_text()) == {"models": {"ials": {"rank": 128}}}
    assert "the gain was not measured" in done.stdout
    assert "goes on from here: mfspark tune --ratings ratings.csv" in done.stderr


def test_a_file_of_somebody_else_is_not_replaced(mfspark: Command, stand_in: Callable) -> None:
    stand_in(tuned())
    Path("tuned.toml").write_text("seed = 7\n")
    done = mfspark(*LINE)
    assert done.exit_code == 2
    assert "--out tuned-tuned.toml" in done.stderr
    assert Path("tuned.toml").read_text() == "seed = 7\n"
    assert mfspark(*LINE, "--out", "other.toml").exit_code == 0
    assert mfspark(*LINE, "--out", "other.toml").exit_code == 0  # its own it may
    assert mfspark(*LINE, "--out", "no/such/place.toml").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--minutes", "0"), "tune.minutes = 0.0: Input should be greater than 0"),
        (("--trials", "0"), "tune.trials = 0: Input should be greater than 0"),
        (("--metric", "auc"), "tune.metric"),
        (("--set", "tune.spaces.ials={ranks=[1,2]}"), "did you mean 'rank'?"),
    ],
)
def test_wrong_options_are_refused(
    mfspark: Command, stand_in: Callable, arguments: tuple[str, ...], problem: str
) -> None:
    requests = stand_in(tuned())
    done = mfspark(*LINE, *arguments)
    assert done.exit_code == 2
    assert problem in done.stderr
    assert requests == []
