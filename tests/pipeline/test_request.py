"""Where nobody names ratings: the survey for a first run alone, otherwise the command to go on."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mfspark.config.config import Config
from mfspark.errors import ConfigError
from mfspark.ingest.readers.files import fingerprint
from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request, backfill, execute
from mfspark.samples.survey import survey_files
from mfspark.tables.night import Night
from mfspark.tables.waiting import waiting_nights
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run as made
from tests.support.places import run_dir

DATE = "2026-11-22"
OTHER: list[dict[str, Any]] = [{"part": "ratings", "name": "r.csv", "bytes": 1, "sha256": "00"}]
SURVEY = [{"part": "ratings", **fingerprint([str(survey_files())])[0]}]


def begin(request: Request, inputs: list[dict[str, Any]] = OTHER, seed: int = 42) -> Night:
    """Begin the night of a request, as `execute` does, and leave it."""
    config = request.load().model_copy(update={"seed": seed})
    asked = request.asked(config)
    return Night.begin(Warehouse(config.warehouse), config, request.date(), inputs, asked)


def ingested(root: Path, **changes: Any) -> Request:
    given = Request("ingest", (), ("r 1.csv",), warehouse=str(root), run_date=DATE)
    return replace(given, **changes)


def bare(root: Path, stage: Any, run_date: str = DATE) -> Request:
    return Request(stage, warehouse=str(root), run_date=run_date)


def refusal(request: Request) -> ConfigError:
    """Execute a request that is refused before anything is made, Spark included."""
    files = sorted(Path(request.warehouse or "").rglob("*"))
    with pytest.raises(ConfigError, match="no ratings are named") as told:
        execute(request, LoggedProgress())
    assert sorted(Path(request.warehouse or "").rglob("*")) == files
    return told.value


def words(hint: str, start: str) -> list[str]:
    """The words of the command in the line of a hint that begins so."""
    (line,) = (line.strip() for line in hint.splitlines() if line.strip().startswith(start))
    return shlex.split(line.removeprefix(start))


@pytest.mark.parametrize("stage", ["ingest", "similarity", "train", "evaluate", "publish"])
def test_a_stage_never_invents_a_night(tmp_path: Path, stage: str) -> None:
    hint = refusal(bare(tmp_path / "w", stage)).hint
    options = ["--warehouse", str(tmp_path / "w"), "--run-date", DATE]
    assert words(hint, "to name ratings: ") == [*("mfspark", stage, *options, "--ratings", "FILE")]


@pytest.mark.parametrize("stage", ["publish", "train", "run"])
def test_the_one_night_that_waits_is_named_with_its_command(tmp_path: Path, stage: str) -> None:
    asked = ingested(tmp_path, models=("als", "popularity"), overrides=("publish.n=3",))
    night = begin(asked)
    told = refusal(bare(tmp_path, stage))
    assert f"run {night.run_id} of {DATE} (r.csv) waits" in told.message
    assert words(told.hint, "to go on with it: ") == [
        *("mfspark", stage, "--ratings", "r 1.csv", "--warehouse", str(tmp_path)),
        *("--run-date", DATE, "--models", "als,popularity", "--set", "publish.n=3"),
    ]


def test_the_command_works_from_where_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(ingested(tmp_path))
    here = Path.cwd()
    monkeypatch.chdir(tmp_path)
    found = words(refusal(bare(tmp_path, "publish")).hint, "to go on with it: ")
    assert found[:5] == ["cd", str(here), "&&", "mfspark", "publish"]


def test_several_that_wait_are_all_named(tmp_path: Path) -> None:
    nights = [begin(ingested(tmp_path), seed=seed) for seed in (1, 2)]
    told = refusal(bare(tmp_path, "publish"))
    assert "2 nights of 2026-11-22 wait" in told.message
    for night in nights:
        assert f"to go on with run {night.run_id} of {DATE} (r.csv): mfspark publish" in told.hint


def test_nights_of_other_dates_are_named_too(tmp_path: Path) -> None:
    night = begin(ingested(tmp_path, run_date="2026-11-21"))
    told = refusal(bare(tmp_path, "publish"))
    assert "no night of 2026-11-22 waits" in told.message
    found = words(told.hint, f"to go on with run {night.run_id} of 2026-11-21 (r.csv): ")
    assert found[found.index("--run-date") + 1] == "2026-11-21"


def test_a_night_that_can_no_longer_be_published_does_not_wait(tmp_path: Path) -> None:
    begin(ingested(tmp_path))
    assert len(waiting_nights(Warehouse(tmp_path))) == 1
    made.publish_run(tmp_path)
    assert waiting_nights(Warehouse(tmp_path)) == []
    assert "no night of 2026-11-22 waits" in refusal(bare(tmp_path, "publish")).message


def test_the_survey_is_the_default_of_a_run_without_other_data(tmp_path: Path) -> None:
    def check(request: Request) -> None:
        request.check(request.load())

    check(bare(tmp_path / "none", "run"))
    night = begin(bare(tmp_path, "run"), SURVEY)
    check(bare(tmp_path, "run"))
    found = shlex.split(night.asked.of("publish") if night.asked else "")
    assert found[-2:] == ["--ratings", str(survey_files())], "a stage has to be told"
    begin(ingested(tmp_path, run_date="2026-11-20"))
    told = refusal(bare(tmp_path, "run", "2026-11-23"))
    assert "holds other data than the embedded survey" in told.message


def test_a_published_run_of_other_data_rules_the_survey_out(tmp_path: Path) -> None:
    run_id = made.publish_run(tmp_path, inputs=OTHER)
    assert f"run {run_id}" in refusal(bare(tmp_path, "run")).message
    (run_dir(Warehouse(tmp_path), run_id) / "manifest.json").write_text("{")
    assert f"run {run_id}" in refusal(bare(tmp_path, "run")).message, "nobody knows what it read"


def test_the_survey_stands_alone(tmp_path: Path) -> None:
    told = refusal(replace(bare(tmp_path, "run"), items=("movies.csv",)))
    assert "stands alone, without items" in told.message


def test_a_range_of_nights_names_its_ratings(tmp_path: Path) -> None:
    days = date(2026, 11, 21), date(2026, 11, 22)
    with pytest.raises(ConfigError, match="no ratings are named") as told:
        next(backfill(Request("run", warehouse=str(tmp_path)), *days, LoggedProgress()))
    assert words(told.value.hint, "name them: ")[:2] == ["mfspark", "backfill"]


@pytest.mark.parametrize(
    "empty",
    [
        {"ratings": ("",)},
        {"items": (" ",)},
        {"warehouse": ""},
        {"run_date": ""},
        {"models": ("",)},
        {"config": ("",)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_an_empty_value_is_never_the_default(empty: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^--[a-z-]+ is empty"):
        replace(Request("run"), **empty).load()


def test_nights_begun_by_other_versions_are_named_without_a_command(tmp_path: Path) -> None:
    Night.begin(Warehouse(tmp_path), Config(), date(2026, 11, 22), OTHER)
    assert "with the options it was begun with" in refusal(bare(tmp_path, "publish")).hint
