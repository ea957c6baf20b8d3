"""What the page's search knows of each user is what is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from mfspark.queries import list_search
from mfspark.queries.list_search import searchable_lists
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made


def test_lists_favourites_and_reasons_are_found_by_user(tmp_path: Path) -> None:
    found = searchable_lists(PublishedRun(tmp_path, made.publish_run(tmp_path, served="user_knn")))
    assert found is not None
    assert list(found.users) == ["1", "2", "3", "4"]
    n_ratings, best, entries = found.users["1"]
    title = [found.texts[place] for place, _ in found.items]
    assert n_ratings == 2
    assert [(title[item], rating) for item, rating in best] == [("First (1999)", 5), ("Twice", 3)]
    assert [(title[item], score) for item, score, _, _ in entries] == [
        (made.ODD_TITLE, 4.0),
        ("Twice", 3.0),
        ("i5", 2.0),  # which has no title
    ]
    assert [[found.texts[r] for r in reasons] for _, _, _, reasons in entries] == [
        ["3"],
        ["3", "2"],
        [],
    ]
    assert {tier for _, _, tier, _ in entries} == {0}, "the champion's own"
    assert found.users["4"][2] == [], "nobody made a list for user 4"


def test_entries_of_a_fallback_name_it(tmp_path: Path) -> None:
    run_id = made.publish_run(tmp_path, served="als", filled=("als",))
    found = searchable_lists(PublishedRun(tmp_path, run_id))
    assert found is not None
    assert {found.texts[tier] for _, _, tier, _ in found.users["1"][2]} == {"popularity"}


def test_only_the_first_users_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_search, "MOST_USERS", 2)
    monkeypatch.setattr(list_search, "_FAVOURITES", 1)
    found = searchable_lists(PublishedRun(tmp_path, made.publish_run(tmp_path)))
    assert found is not None
    assert list(found.users) == ["1", "2"]
    assert [rating for _, rating in found.users["1"][1]] == [5.0], "what is rated best"


def test_runs_without_served_lists_have_no_search(tmp_path: Path) -> None:
    assert searchable_lists(PublishedRun(tmp_path, made.publish_run(tmp_path, served=None))) is None
