"""--json: one line that keeps to the schema in the documents, whatever is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.main import get_command

from mfspark.cli import app
from mfspark.cli.answers import ANSWERS, Rater, schemas
from mfspark.config.config import Config
from mfspark.evaluation.bootstrap import Change
from mfspark.evaluation.catalog import NDCG
from mfspark.pipeline.tuning import run as tuning
from mfspark.pipeline.tuning.outcome import TunedModel
from mfspark.pipeline.tuning.trials import Trial
from mfspark.system.command_line import CommandLine
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command
from tests.support import made_run as made
from tests.support.places import run_dir, scratch_dir, table_dir

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
Ask = Callable[..., Any]


@pytest.fixture
def ask(mfspark: Command) -> Ask:
    """Run a command with --json, check the answer against its schema, and return it."""

    def answer(command: str, *arguments: object, status: int = 0) -> Any:
        done = mfspark(command, *arguments, "--json")
        assert done.exit_code == status, done.output
        assert done.stdout.isascii()
        assert done.stdout.count("\n") == 1
        found = json.loads(done.stdout)
        schema = json.loads((SCHEMAS / f"{command}.json").read_text())
        assert [error.message for error in Draft202012Validator(schema).iter_errors(found)] == []
        return found

    return answer


def refused(root: Path, day: int = 24) -> Night:
    """A night in scratch that was refused."""
    asked = CommandLine(("--ratings", "r.csv"), str(Path.cwd()))
    night = Night.begin(Warehouse(root), Config(), date(2026, 11, day), [], asked)
    why = {"reasons": ["rating, als: worse"], "refused_at": "2026-11-24T02:00:00+00:00"}
    scratch_dir(night, "why.json").write_text(json.dumps(why))
    return night


def test_the_schemas_in_the_documents_are_those_of_the_answers() -> None:
    written = {path.stem: path.read_text() for path in SCHEMAS.glob("*.json")}
    assert written == schemas(), "run: make schemas"


def test_every_command_that_answers_in_json_has_a_schema() -> None:
    commands: dict[str, Any] = vars(get_command(app))["commands"]
    options = {name: [one for p in c.params for one in p.opts] for name, c in commands.items()}
    assert {name for name, given in options.items() if "--json" in given} | {"job"} == set(ANSWERS)


def test_show_answers_with_the_list(ask: Ask, made_warehouse: Path) -> None:
    found = ask("show", "1", "-n", "2", "-w", made_warehouse)
    assert found["user"] == {"id": 1, "n_ratings": 2, "mean": 4.0}
    assert (found["model"], found["served"]["model"]) == ("user_knn", "user_knn")
    assert [(row["rank"], row["item_id"], row["reason"]) for row in found["items"]] == [
        (1, "i4", ["3"]),
        (2, "i3", ["3", "2"]),
    ]
    assert found["items"][0]["title"] == made.ODD_TITLE
    assert found["rated_best"][0] == {"item_id": "i1", "title": "First (1999)", "rating": 5.0}
    assert ask("show", "4", "-w", made_warehouse, "--model", "als")["model"] == "als"


def test_predict_answers_with_every_model(ask: Ask, made_warehouse: Path) -> None:
    found = ask("predict", "1", "i1", "-w", made_warehouse)
    assert (found["user"], found["item"], found["rating"]) == (1, "i1", 5.0)
    models = [one["model"] for one in found["predictions"]]
    assert models == ["user_knn", "als", "baseline"]
    assert found["predictions"][1]["prediction"] == 4.625
    stranger = ask("predict", "99", "nix", "-w", made_warehouse)
    assert (stranger["unknown"], stranger["rating"]) == (["user", "item"], None)
    assert "user '99' is unknown" in stranger["notes"][0]


def test_neighbors_answers_with_ratings_by_user(ask: Ask, made_warehouse: Path) -> None:
    found = ask("neighbors", "1", "-w", made_warehouse)
    assert found["neighbors"][0] == {"rank": 1, "id": 2, "similarity": 0.75, "n_common": 1}
    ratings = {item["item_id"]: item["ratings"] for item in found["items"]}
    assert sorted(ratings["i1"], key=lambda one: one["user_id"]) == [
        {"user_id": 1, "rating": 5.0},
        {"user_id": 2, "rating": 4.0},
    ]
    assert ask("neighbors", "4", "-w", made_warehouse)["neighbors"] == []


def test_runs_answers_also_where_nothing_was_published(ask: Ask, tmp_path: Path) -> None:
    night = refused(tmp_path)
    found = ask("runs", "-w", tmp_path)
    assert found["runs"] == []
    assert found["nights"][0]["run_id"] == night.run_id
    assert found["nights"][0]["reasons"] == ["rating, als: worse"]
    assert found["nights"][0]["go_on"] == "mfspark run --ratings r.csv"
    run = made.publish_run(tmp_path)
    (published,) = ask("runs", "-w", tmp_path)["runs"]
    assert (published["run_id"], published["current"]) == (run, True)
    assert published["best"] == {"model": "als", "rmse": 0.875}
    (run_dir(Warehouse(tmp_path), run) / "manifest.json").write_text("{")
    (damaged,) = ask("runs", "-w", tmp_path)["runs"]
    assert (damaged["run_date"], damaged["problem"] is None) == (None, False)


def test_status_answers_and_ends_with_4_where_it_is_stale(ask: Ask, tmp_path: Path) -> None:
    run = made.publish_run(tmp_path)
    refused(tmp_path)
    found = ask("status", "-w", tmp_path)
    assert (found["run"]["run_id"], found["stale"]) == (run, None)
    assert 0 <= found["age_hours"] < 1
    assert len(found["nights"]) == 1
    assert ask("status", "-w", tmp_path, "--max-age", "1h")["stale"] is False
    assert ask("status", "-w", tmp_path, "--max-age", "0m", status=4)["stale"] is True


def test_verify_answers_with_the_damages_and_ends_with_70(ask: Ask, tmp_path: Path) -> None:
    run = made.publish_run(tmp_path)
    assert ask("verify", "-w", tmp_path) == {"runs": [{"run_id": run, "damages": []}]}
    path = next(table_dir(PublishedRun(tmp_path, run), "ratings").glob("*.parquet"))
    path.unlink()
    ((damage,),) = [one["damages"] for one in ask("verify", "-w", tmp_path, status=70)["runs"]]
    assert str(path) in damage


def test_tune_answers_with_the_trials(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trials = (
        Trial(0, {"rank": 64, "by_rating": True}, "complete", 0.31, 0.3, 1.5),
        Trial(1, {"rank": 16, "by_rating": True}, "failed"),
        Trial(2, {"rank": 128, "by_rating": True}, "complete", 0.34, 0.32, 2.5),
    )
    model = TunedModel(
        *("ials", NDCG, 10, trials, trials[2], "tuning/ials-1"),
        Change(0.03, 0.01, float("nan"), 9), (0.3, 0.33),
    )  # fmt: skip
    outcome = tuning.Tuning((model,), "16 of 80 ratings", date(2026, 11, 22), interrupted=True)
    monkeypatch.setattr(tuning, "tune", lambda *_: outcome)
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "")
    monkeypatch.chdir(tmp_path)
    found = ask("tune", "-r", "r.csv", status=130)
    assert (found["run_date"], found["interrupted"]) == ("2026-11-22", True)
    assert (found["models"][0]["best"], found["models"][0]["chosen"]) == (2, {"rank": 128})
    assert found["models"][0]["gain"] == {"value": 0.03, "low": 0.01, "high": None, "n_users": 9}
    assert [one["value"] for one in found["models"][0]["trials"]] == [0.31, None, 0.34]
    assert [Path(name).is_file() for name in found["written"]] == [True, True]


def test_errors_are_no_answers(mfspark: Command, made_warehouse: Path) -> None:
    done = mfspark("show", "99", "-w", made_warehouse, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "has no user '99'" in done.stderr


def test_no_text_of_an_answer_steers_a_terminal_and_no_figure_is_nan() -> None:
    line = Rater(id="\x1b[2Jé\u202e", n_ratings=1, mean=float("nan")).line()
    assert line == r'{"id": "\u001b[2J\u00e9\u202e", "n_ratings": 1, "mean": null}'
