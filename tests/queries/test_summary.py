"""The closing summary: figures, the best ones, rejected rows and notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mfspark.queries.summary import Figure, RunSummary, summarise
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made


def summary_of(root: Path, **config: Any) -> RunSummary:
    return summarise(PublishedRun(root, made.publish_run(root, **config)))


def test_figures_stand_in_the_configured_order_with_the_references_last(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    assert summary.models == [*made.MODELS, "baseline"]
    rmse = summary.metrics[0].figures
    assert rmse["als"] == Figure(0.875, 0.75, 1.0, best=True)
    assert "popularity" not in rmse
    titles = [found.title for found in summary.metrics]
    assert titles == ["RMSE", "MAE", "NDCG@10", "recall@10", "coverage@10"]


def test_the_lowest_error_is_best_and_equal_figures_have_no_best(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    best = [(m.title, name) for m in summary.metrics for name, f in m.figures.items() if f.best]
    assert best == [("RMSE", "als")]  # all NDCGs are 0.5


def test_rows_are_accounted_for(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    ingest = summary.ingest
    assert (ingest.n_rows, ingest.n_accepted) == (11, 8)
    assert ingest.rejected_by_reason == {"missing_user": 1, "rating_not_a_number": 1}
    assert ingest.read_as == {"ratings.csv": "text split by ','"}
    assert summary.table_rows["ratings"] == 8
    assert summary.example_user == "1"
    assert summary.notes[0] == "left for later nights: 1 rating made after the run date"


@pytest.mark.parametrize(
    ("config", "note"),
    [
        ({"publish": {"n": 4}}, "publish.n = 4 asked, only 2 to 3 unseen items exist for 3 users"),
        (
            {"models": {"run": ["als"], "als": {"rank": 5}}},
            "side of the ratings (4), where a smaller rank fits as well: models.als.rank = 5",
        ),
        ({"models": {"run": ["als"]}}, "num_neighbors = 50, and a user has 3 others at most"),
        ({"completed": {"max_cells": 19}}, "4 x 5 cells are more than completed.max_cells = 19"),
        ({"evaluation": {"k": 5}}, "evaluation.k = 5 reaches the whole catalogue (5 items)"),
        ({"evaluation": {"refit": False}}, "fitted on the training ratings only"),
        ({}, "no better than those of popularity (NDCG): user_knn, als"),
        ({}, "nobody rated 1 item of the catalogue"),
        ({}, "no better than by the averages of baseline: user_knn"),
    ],
)
def test_notes_say_what_was_asked_for_beyond_what_there_is(
    tmp_path: Path, config: dict[str, Any], note: str
) -> None:
    assert [n for n in summary_of(tmp_path, **config).notes if note in n]


def test_of_svd_nobody_hears_that_a_smaller_rank_fits_as_well(tmp_path: Path) -> None:
    """At full rank it reproduces all ratings and tells nothing of others: a smaller one differs."""
    models = {"run": ["svd", "als"], "svd": {"rank": 5}, "als": {"rank": 5}}
    (note,) = [n for n in summary_of(tmp_path, models=models).notes if "fits as well" in n]
    assert note.endswith("fits as well: models.als.rank = 5")


def test_lists_that_popularity_made_are_noted(tmp_path: Path) -> None:
    run_id = made.publish_run(tmp_path, filled=("svd", "als"))
    notes = [n for n in summarise(PublishedRun(tmp_path, run_id)).notes if "tells nothing" in n]
    what = "tells nothing of what 1 user did not rate: popular items are listed"
    remedy = "; where all ratings are reproduced, a smaller models.svd.rank tells more"
    assert notes == [f"als {what}", f"svd {what}{remedy}"]


def test_nothing_is_noted_that_can_be_had(tmp_path: Path) -> None:
    options = {"publish": {"n": 2}, "evaluation": {"k": 4}, "completed": {"max_cells": 0}}
    notes = summary_of(tmp_path, **options).notes
    assert len(notes) == 4  # later ratings, the unrated item, and two about metrics
    assert not [note for note in notes if "asked" in note or "above" in note or "cells" in note]


def test_limited_lists_are_not_said_to_be_all_there_is(tmp_path: Path) -> None:
    unknown = {"allow_items": [], "deny_items": ["a", "b", "c", "d", "e", "f"]}
    limits = {"eligible": {"n_eligible": 3, "unknown_ids": unknown}}
    notes = summary_of(tmp_path, facts=limits).notes
    assert "publish.deny_items: passed over 6 ids that no item has: a, b, c, d, e, ..." in notes
    (limited,) = [note for note in notes if "lists may hold" in note]
    assert limited.startswith("lists may hold 3 of 5 items")
    assert limited.endswith("publish.n = 4 asked, so that every list is shorter")
    assert not [note for note in notes if "unseen" in note or "allow_items: passed" in note]
    notes = summary_of(tmp_path, facts=limits, publish={"n": 3}).notes
    assert [note for note in notes if note.endswith("(publish.allow_items, publish.deny_items)")]
