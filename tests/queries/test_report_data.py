"""What the report says of a run is what its tables say."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mfspark.cli import app
from mfspark.evaluation.gates import Verdict
from mfspark.queries.report.content import Report
from mfspark.queries.report_data import _bars, page_of, report_of
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made


def report_on(root: Path, **config: Any) -> Report:
    return report_of(PublishedRun(root, made.publish_run(root, **config)))


@pytest.fixture(scope="module")
def made_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_on(tmp_path_factory.mktemp("made"))


def test_counts_and_rejected_rows(made_report: Report) -> None:
    assert made_report.counts == {
        "ratings": 8, "users who rated": 4, "items rated": 4, "rejected rows": 2,
    }, "nobody rated i5"  # fmt: skip
    assert [(r.reason, r.n) for r in made_report.rejected] == [
        ("missing_user", 1),
        ("rating_not_a_number", 1),
    ]


def test_metrics_stand_beside_what_they_have_to_beat(made_report: Report) -> None:
    rmse = made_report.metrics[0]
    assert (rmse.title, rmse.metric.reference, rmse.metric.lower_is_better) == (
        *("RMSE", "baseline"),
        True,
    )
    assert {name: f.value for name, f in rmse.figures.items()} == dict(made.METRICS)
    assert [name for name, f in rmse.figures.items() if f.best] == ["als"]
    assert [m.title for m in made_report.metrics if m.metric.charted] == ["RMSE", "NDCG@10"]


def test_distributions_count_every_rating_user_and_item(made_report: Report) -> None:
    given, users, items = made_report.distributions
    assert {b.label: b.value for b in given.bars} == {"1": 1, "2": 1, "3": 2, "4": 2, "5": 2}
    assert {b.label: b.value for b in users.bars} == {"1": 1, "2-3": 3}
    assert {b.label: b.value for b in items.bars} == {"0": 1, "1": 1, "2-3": 3}


def test_ratings_of_many_values_are_counted_in_round_ranges() -> None:
    bars = _bars([{"rating": i / 10, "n": 2} for i in range(101)])
    assert [bar.label for bar in bars][:3] == ["0 to 0.5", "0.5 to 1", "1 to 1.5"]
    assert len(bars) == 20
    assert sum(bar.value for bar in bars) == 202
    assert bars[-1].value == 12  # 9.5 to 10, both ends included


def test_a_scale_from_1_to_100_is_named_by_what_its_bars_hold() -> None:
    bars = _bars([{"rating": float(i), "n": i} for i in range(1, 101)])
    assert [bar.label for bar in bars] == [f"{i}-{i + 4}" for i in range(1, 100, 5)]
    assert bars[0].value == 1 + 2 + 3 + 4 + 5
    assert bars[-1].value == 96 + 97 + 98 + 99 + 100
    few = _bars([{"rating": i / 2, "n": 1} for i in range(1, 11)])
    assert [bar.label for bar in few] == [f"{i / 2:g}" for i in range(1, 11)]


@pytest.mark.parametrize(
    ("model", "words"),
    [("als", "on the scale 1 to 5"), ("popularity", "no unit"), ("item_knn", "no unit")],
)
def test_scores_are_explained(tmp_path: Path, model: str, words: str) -> None:
    models = {"run": (model,), "als": {"rank": 2}}
    assert words in report_on(tmp_path, models=models, served=model).scores


def test_a_refused_night_has_a_report_too(tmp_path: Path) -> None:
    current = made.publish_run(tmp_path)
    worse = Verdict("ranking", "als", "enforce", "failed", "NDCG fell", value=0.3, threshold=0.1)
    run_id = made.refuse_run(tmp_path, date(2026, 11, 23), [worse])
    where = ["report", "--warehouse", str(tmp_path)]
    done = CliRunner().invoke(app, [*where, "--run-id", run_id])
    path = tmp_path / "reports" / f"{run_id}.html"
    assert (done.exit_code, done.stdout) == (0, f"{path}\n")
    page = path.read_text(encoding="utf-8")
    for text in ("Refused", "ranking, als: NDCG fell", "30.0%", f"Readers still see run {current}"):
        assert text in page, text
    assert 'id="search"' in page
    CliRunner().invoke(app, where)
    of_current = (tmp_path / "reports" / f"{current}.html").read_text(encoding="utf-8")
    assert f"the night {run_id} was refused after it: ranking, als: NDCG fell" in of_current
    stale = CliRunner().invoke(app, [*where, "--max-age", "0m"])
    assert stale.exit_code == 0
    assert ">Stale<" in (tmp_path / "reports" / f"{current}.html").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, [*where, "--run-id", "2026-11-24-00000000"]).exit_code == 2
    assert CliRunner().invoke(app, [*where, "--max-age", "soon"]).exit_code == 2


def test_the_heatmap_holds_the_published_neighbors(made_report: Report) -> None:
    users, items = made_report.heatmaps
    assert items.title == "Items"
    assert users.labels == ["3", "1", "2", "4"]
    at = {(a, b): value for a, row in zip(users.labels, users.values, strict=True)
          for b, value in zip(users.labels, row, strict=True)}  # fmt: skip
    assert at["1", "2"] == at["2", "1"] == 0.75
    assert at["1", "3"] == at["3", "1"] == 0.5
    assert at["4", "1"] is at["1", "1"] is None


def test_example_lists_have_titles(made_report: Report) -> None:
    by_user = {one.user["id"]: one for one in made_report.lists}
    assert by_user.keys() == {1, 3, 4}  # few ratings, as many as most, the most
    listed = by_user[1].rows
    assert [item["title"] for item in listed] == [made.ODD_TITLE, "Twice", None]
    assert {item["genres"] for item in listed} == {None}  # the made items have none
    assert [(item["title"], item["rating"]) for item in by_user[1].favourites] == [
        ("First (1999)", 5),
        ("Twice", 3),
    ]


def test_a_real_night(survey_night: Night) -> None:
    run = PublishedRun(survey_night.warehouse.root, survey_night.run_id)
    report = report_of(run)
    assert report.counts["ratings"] == sum(bar.value for bar in report.distributions[0].bars) == 376
    assert {curve.model for curve in report.losses} == {"als", "ials", "bayesian_mf", "torch_mf"}
    assert report.history is not None
    stages = [one.title for one in report.history.stages]
    assert stages[:2] == ["ingest", "similarity"]
    assert {"train als", "evaluate", "refit als"} <= set(stages)
    assert stages[-1] == "lists, audits and gates"
    assert report.search is not None
    assert len(report.search.users) == 45
    assert {row.outcome for row in report.verdict.details} == {"passed"}
    assert len(page_of(run).encode()) < 2_000_000
    for curve in report.losses:
        assert [i for i, _ in curve.splits["train"]] == sorted(i for i, _ in curve.splits["train"])
    matrix = report.completed
    assert matrix is not None
    assert (len(matrix.users), len(matrix.items)) == (45, 10)
    assert matrix.known.sum() == 376
    assert 1 <= matrix.filled.min() <= matrix.filled.max() <= 5
    assert len(report.heatmaps) == 2
    users = report.heatmaps[0]
    pairs = {
        (row["user_id"], row["other_user_id"]): row["similarity"]
        for row in run.rows("select * from {user_heatmap}")
    }
    for i, one in enumerate(users.labels):
        for j, other in enumerate(users.labels):
            assert users.values[i][j] == (None if i == j else pairs[one, other])


def test_the_command_writes_one_file_and_prints_where(tmp_path: Path) -> None:
    run_id = made.publish_run(tmp_path)
    result = CliRunner().invoke(app, ["report", "--warehouse", str(tmp_path)])
    path = tmp_path / "reports" / f"{run_id}.html"
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    out = tmp_path / "made" / "mine.html"
    assert CliRunner().invoke(app, ["report", "-w", str(tmp_path), "-o", str(out)]).exit_code == 0
    mine, default = (re.sub("was made [^.]+", "", one.read_text()) for one in (out, path))
    assert mine == default
    (tmp_path / "file").write_text("")
    wrong = CliRunner().invoke(
        app, ["report", "-w", str(tmp_path), "-o", str(tmp_path / "file" / "x.html")]
    )
    assert wrong.exit_code == 2
    assert "choose another place: --out FILE" in wrong.stderr
