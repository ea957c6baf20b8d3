"""A night in progress: its id, its finished stages, the run it began upon."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from mfspark.config.config import Config
from mfspark.errors import ConfigError, MfsparkError
from mfspark.models.records import Fit, TableRows, fit_key
from mfspark.tables.night import Night, name_run
from mfspark.tables.publish import publish
from mfspark.tables.records import RecordKey
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.places import scratch_dir, table_dir
from tests.support.records import raw

ROWS = RecordKey("rows", TableRows)
INPUTS = [{"path": "a.csv", "sha256": "00"}]


def test_run_id_follows_date_configuration_and_inputs_only() -> None:
    base = name_run(Config(), made.RUN_DATE, INPUTS)
    assert base.startswith("2026-11-22-")
    assert len(base) == 19
    elsewhere = Config.model_validate({"warehouse": "other"})
    reordered = [{"sha256": "00", "path": "a.csv"}]
    assert name_run(elsewhere, made.RUN_DATE, reordered) == base
    others = [
        name_run(Config(), date(2026, 11, 23), INPUTS),
        name_run(Config.model_validate({"seed": 1}), made.RUN_DATE, INPUTS),
        name_run(Config(), made.RUN_DATE, [{"path": "a.csv", "sha256": "01"}]),
    ]
    assert len({base, *others}) == 4


def test_a_new_password_is_not_a_new_run() -> None:
    runs = {
        name_run(Config(), made.RUN_DATE, [{"path": f"ftp://me:{word}@host/a.csv"}])
        for word in ("old", "n@w")
    }
    assert len(runs) == 1


def test_a_rerun_finds_finished_stages_and_keeps_its_parent(tmp_path: Path) -> None:
    first = made.begin(tmp_path, 1.0)
    assert not first.finished(raw("ingest"))
    with pytest.raises(MfsparkError, match=r"'ingest' .* has not finished"):
        first.record(raw("ingest"))
    first.finish(
        raw("ingest"), {"rows": np.int64(7), "mean": np.float32(0.5), "worst": float("nan")}
    )
    made.publish_marked(tmp_path, 2.0)

    again = made.begin(tmp_path, 1.0)
    assert (again.run_id, again.current_run, again.published) == (first.run_id, None, False)
    assert again.finished(raw("ingest"))
    assert again.record(raw("ingest")) == {"rows": 7, "mean": 0.5, "worst": None}
    assert made.begin(tmp_path, 3.0).current_run == Warehouse(tmp_path).current()


def test_what_a_stage_wrote_is_on_disk_before_the_stage_counts(tmp_path: Path) -> None:
    steps: list[str] = []

    class Logged(made.PosixStorage):
        def _flush(self, path: Path) -> None:
            assert path.is_relative_to(tmp_path)
            steps.append("flush")
            super()._flush(path)

        def _replace(self, source: Path, target: Path) -> None:
            steps.append(target.name)
            super()._replace(source, target)

    night = made.begin(tmp_path, 1.0, Logged(str(tmp_path)))
    night.finish(raw("ingest"), {})
    assert steps == ["night.json", "flush", "ingest.json"]


def test_a_published_night_answers_from_its_manifest(tmp_path: Path) -> None:
    publish(made.ready(tmp_path, 1.0), made.IDS, [], [])
    night = made.begin(tmp_path, 1.0)
    assert night.published
    assert night.finished(raw("serving"))
    assert not night.finished(raw("ingest"))
    assert night.record(raw("serving")) == {"rows": 120}
    assert table_dir(night, "serving") == tmp_path / "runs" / night.run_id / "serving"


def test_night_json_tells_what_is_running(tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    note = json.loads((scratch_dir(night, "night.json")).read_text())
    assert note["run_id"] == night.run_id
    assert note["inputs"] == [{"path": "ratings.csv", "mark": 1.0}]
    assert note["config"]["seed"] == 42


def test_paths_stay_inside_the_night(tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    assert night.scratch("sweeps", "als", "3") == f"scratch/{night.run_id}/sweeps/als/3"
    for parts in (("..", "x"), ("a", "..", "..", "x"), ("/etc/passwd",)):
        with pytest.raises(ConfigError, match="leaves the night"):
            scratch_dir(night, *parts)
    for name in ("../x", "a/b", "", ".hidden", "a b"):
        with pytest.raises(ConfigError, match="is not a name"):
            table_dir(night, name)
        with pytest.raises(ConfigError, match="is not a name"):
            night.finish(raw(name), {})


def test_two_nights_of_one_date_lie_apart(tmp_path: Path) -> None:
    one, two = made.begin(tmp_path, 1.0), made.begin(tmp_path, 2.0)
    one.finish(raw("ingest"), {})
    assert not two.finished(raw("ingest"))
    assert isinstance(two, Night)


def test_a_record_says_how_long_its_stage_took(tmp_path: Path) -> None:
    night = made.begin(tmp_path, 1.0)
    night.finish(ROWS, TableRows({"ratings": 3}), 1.23456)
    night.finish(raw("untimed"), {"rows": 3})
    night.finish(fit_key("all", "als"), Fit({}, 2.0), 9.0)
    again = made.begin(tmp_path, 1.0)
    seconds = {stage: record.get("seconds") for stage, record in again.records().items()}
    assert seconds == {"rows": 1.235, "untimed": None, "fit-all-als": 2.0}, "a fit says its own"
    assert again.record(ROWS) == TableRows({"ratings": 3})
