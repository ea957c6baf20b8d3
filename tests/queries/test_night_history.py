"""A night beside those before it: figures, changes, seconds, and how many entries are new."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from mfspark.queries.night_history import (
    NightFigures,
    NightHistory,
    history_of,
    seconds_of,
)
from mfspark.queries.refused_run import RefusedRun
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run as made
from tests.support.places import run_dir


def night(day: int) -> date:
    return date(2026, 11, day)


def three_nights(root: Path) -> list[str]:
    better = {"ndcg": {"als": 0.75}, "served": "als"}
    return [
        made.publish_run(root, night(21), served="als"),
        made.publish_run(root, night(22), **better),
        made.publish_run(root, night(23), served="als"),
    ]


def test_nights_stand_the_latest_first_and_only_those_before(tmp_path: Path) -> None:
    first, second, third = three_nights(tmp_path)
    history = history_of(PublishedRun(tmp_path))
    assert [one.run_id for one in history.nights] == [third, second, first]
    of_second = history_of(PublishedRun(tmp_path, second))
    assert [one.run_id for one in of_second.nights] == [second, first]


def test_a_refused_night_stands_beside_what_readers_had(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path, night(21))
    refused = made.refuse_run(tmp_path, night(22), [])
    made.publish_run(tmp_path, night(23))
    history = history_of(RefusedRun(Warehouse(tmp_path), refused))
    assert [one.run_id for one in history.nights] == [refused, first]


def test_each_figure_stands_beside_that_of_the_last_night(tmp_path: Path) -> None:
    _, second, _ = three_nights(tmp_path)
    tonight = {one.title: one for one in history_of(PublishedRun(tmp_path)).beside_last}
    ndcg = tonight["NDCG@10 of the served lists"]
    assert (ndcg.before, ndcg.tonight) == ("0.7500", "0.5000")
    assert (ndcg.change, ndcg.verdict) == ("\N{MINUS SIGN}0.2500", "worse")
    ratings = tonight["ratings"]
    assert (ratings.before, ratings.tonight, ratings.change) == ("8", "8", "same")
    assert tonight["users who rated"].tonight == "4"
    assert tonight["items rated"].tonight == "4", "nobody rated i5"
    before = {one.title: one for one in history_of(PublishedRun(tmp_path, second)).beside_last}
    assert before["NDCG@10 of the served lists"].verdict == "better"


def test_less_is_better_of_errors_and_neither_of_counts() -> None:
    last = NightFigures("a", night(21), "als", {"rmse": 1.0, "ratings": 8.0}, {})
    tonight = NightFigures("b", night(22), "als", {"rmse": 0.9, "ratings": 9.0}, {})
    _, rmse, ratings = NightHistory(10, [tonight, last]).beside_last
    assert (rmse.change, rmse.verdict) == ("\N{MINUS SIGN}0.1000", "better")
    assert (ratings.change, ratings.verdict) == ("+1", "")


def test_churn_is_the_share_of_entries_that_are_new(tmp_path: Path) -> None:
    made.publish_run(tmp_path, night(21), listed=("i4", "i3", "i5"))
    made.publish_run(tmp_path, night(22), listed=("i4", "i1", "i2", "i3"))
    history = history_of(PublishedRun(tmp_path))
    assert history.nights[0].figures["churn"] == pytest.approx(0.5)
    assert "churn" not in history.nights[1].figures, "nothing was before it"
    made.publish_run(tmp_path, night(23), listed=("i4", "i1", "i2", "i3"))
    beside = {one.title: one for one in history_of(PublishedRun(tmp_path)).beside_last}
    churn = beside["list entries that were replaced"]
    assert (churn.before, churn.tonight, churn.verdict) == ("50.0%", "0.0%", "")
    assert churn.change == "\N{MINUS SIGN}50.0 points"


def test_figures_that_were_measured_otherwise_do_not_stand_beside_each_other(
    tmp_path: Path,
) -> None:
    made.publish_run(tmp_path, night(21), evaluation={"k": 5})
    made.publish_run(tmp_path, night(22))
    tonight, last = history_of(PublishedRun(tmp_path)).nights
    assert {"ndcg", "rmse"} <= tonight.figures.keys()
    assert "ndcg" not in last.figures, "of lists of five"
    assert last.figures["rmse"] == 0.875


def test_a_first_night_has_nothing_beside_it(tmp_path: Path) -> None:
    made.publish_run(tmp_path)
    history = history_of(PublishedRun(tmp_path))
    assert history.beside_last == []
    assert [one.before for one in history.stages] == [""] * len(history.stages)


def test_a_damaged_night_is_left_out(tmp_path: Path) -> None:
    first, second, third = three_nights(tmp_path)
    (run_dir(Warehouse(tmp_path), second) / "manifest.json").write_text("{")
    history = history_of(PublishedRun(tmp_path))
    assert [one.run_id for one in history.nights] == [third, first]
    shutil.rmtree(run_dir(Warehouse(tmp_path), first) / "users")
    assert [one.run_id for one in history_of(PublishedRun(tmp_path)).nights] == [third]


def test_seconds_are_those_that_stages_recorded() -> None:
    stages = {
        "fit-train-als": {"record": {}, "seconds": 2.0},
        "fit-all-als": {"record": {}, "seconds": 3.0},
        "ingest": {"n_rows": 5, "seconds": 1.5},
        "cut-train": {"tiles": {}, "seconds": 0.5},  # which is within training
        "serving": {"model": "als", "seconds": 0.1},
        "publish": {"seconds": 4.0},
    }
    found = seconds_of(stages)
    assert found == {
        "ingest": 1.5, "train als": 2.0, "refit als": 3.0, "lists, audits and gates": 4.0,
    }  # fmt: skip
    assert next(iter(found)) == "ingest", "in the order of a night"
