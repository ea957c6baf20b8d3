"""Newcomers with odd ratings: none that counts, off the scale, twice, by title; no Spark.

That lists are what a half step of the training gives is tested in tests/pipeline.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mfspark.errors import ConfigError, NotFoundError
from mfspark.queries.fold_in import FoldedIn, fold_in
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made
from tests.support.reference import ials_rows


@pytest.fixture
def run(tmp_path: Path) -> PublishedRun:
    return PublishedRun(made.publish_ials(tmp_path))


def listed(found: FoldedIn) -> list[object]:
    return [item for item, _, _ in found.items]


@pytest.mark.parametrize("rating", [0.0, -5.0])
def test_who_chose_nothing_gets_the_list_of_popularity_and_is_told(
    run: PublishedRun, rating: float
) -> None:
    found = fold_in(run, {"i2": rating})
    assert (found.model, listed(found)) == ("popularity", ["i1", "i3", "i4"])
    assert [score for _, _, score in found.items] == [2, 1, 1]  # of 3, 2 and 1 ratings
    note = "no rating here is a choice (4 or above); this is the list of popularity"
    assert note in found.notes[-1]


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"feedback": {"choices_from": 2.0}}, 2.0),
        ({"evaluation": {"relevant_rating": 3.0}}, 3.0),
        ({}, 4.0),
        ({"feedback": {"choices_from": "all"}}, -9.0),
    ],
)
def test_a_choice_is_what_the_night_counted_as_one(
    tmp_path: Path, options: dict[str, dict[str, object]], least: float
) -> None:
    run = PublishedRun(made.publish_ials(tmp_path, **options))
    assert fold_in(run, {"i1": least}).model == "ials"
    low = {"i2": least - 0.5}
    chosen, more = (fold_in(run, ratings).items for ratings in ({"i1": 5.0}, {"i1": 5.0} | low))
    same = more == [item for item in chosen if item[0] != "i2"]
    assert same == (least > 0)
    assert (fold_in(run, low).model == "popularity") == (least > 0)


@pytest.mark.parametrize(("threshold", "named"), [(None, "above 0"), (4.0, "4 or above")])
def test_a_run_of_an_older_version_has_its_own_choices_and_weights(
    tmp_path: Path, threshold: float | None, named: str
) -> None:
    """Its threshold was an option of ials, and confidence grew with stars."""
    options = {"by_rating": True, "alpha": 2.0}
    made.publish_ials(tmp_path, models={"ials": options})
    new = fold_in(PublishedRun(tmp_path), {"i1": 5.0, "i2": 5.0})
    made.without_feedback(tmp_path, threshold)
    run = PublishedRun(tmp_path)
    found = fold_in(run, {"i2": 0.0 if threshold is None else 3.5})
    assert found.model == "popularity"
    assert f"no rating here is a choice ({named})" in found.notes[-1]
    older = fold_in(run, {"i1": 5.0, "i2": 5.0})
    assert [item for item, _, _ in older.items] == [item for item, _, _ in new.items]
    scores = {item: score for item, _, score in older.items}
    Y = np.array([factors for _, factors in made.ITEM_FACTORS.values()])[:4]
    x = ials_rows(np.array([[10.0, 10.0, 0.0, 0.0]]), Y, 0.03, 2.0)[0][0]
    assert scores == pytest.approx({"i3": Y[2] @ x, "i4": Y[3] @ x}, abs=1e-5)


def test_ratings_off_the_scale_are_noted(run: PublishedRun) -> None:
    found = fold_in(run, {"i1": 9999.0, "i2": 5.0, "i3": 0.5})
    assert found.model == "ials"
    assert found.notes == ["off the night's scale, 1 to 5: i1=9999, i3=0.5"]
    assert fold_in(run, {"i1": 1.0, "i2": 5.0}).notes == []


def test_items_are_known_by_id_or_title(run: PublishedRun) -> None:
    by_id = fold_in(run, {"i1": 5.0, "i4": 2.0})
    by_title = fold_in(run, {" First (1999) ": 5.0, made.ODD_TITLE: 2.0})
    assert by_title == by_id
    assert by_id.unknown == []
    with pytest.raises(NotFoundError, match="2 items have the title 'Twice'"):
        fold_in(run, {"Twice": 5.0})


@pytest.mark.parametrize(
    "twice", [[("i1", 5.0), ("i1", 3.0)], [("i1", 5.0), ("First (1999)", 5.0)]], ids=["id", "title"]
)
def test_an_item_has_one_rating(run: PublishedRun, twice: list[tuple[str, float]]) -> None:
    with pytest.raises(ConfigError, match=r"item i1 is rated twice: i1=5 and "):
        fold_in(run, [("i2", 1.0), *twice])


def test_unknown_items_are_named_with_near_ones(run: PublishedRun) -> None:
    assert fold_in(run, {"i1": 5.0, "Nosuch": 1.0, "i5": 4.0}).unknown == ["Nosuch", "i5"]
    with pytest.raises(ConfigError, match=r"none of the 1 rated items\n.*near: First"):
        fold_in(run, {"Frst (1999)": 5.0})
    with pytest.raises(NotFoundError, match="no item is named"):
        fold_in(run, {" ": 5.0})


@pytest.mark.parametrize(
    ("limits", "left"), [({"deny_items": ["i3"]}, {"i1", "i4"}), ({"allow_items": ["i3"]}, {"i3"})]
)
def test_lists_hold_what_the_night_s_lists_may(
    tmp_path: Path, limits: dict[str, list[str]], left: set[str]
) -> None:
    run = PublishedRun(made.publish_ials(tmp_path, publish={"n": 4, **limits}))
    for rating in (5.0, 0.0):
        assert set(listed(fold_in(run, {"i2": rating}))) == left


def test_a_run_with_the_keys_of_an_older_version_is_read_as_it_was_fitted(tmp_path: Path) -> None:
    """Not with the defaults of keys that have another name by now."""
    als = {"rank": 2, "prior_count": 3.0, "damping": 0.5}
    run_id = made.publish_run(tmp_path, models={"run": ("als",), "als": als})
    ratings, now = {"i1": 5.0, "i2": 1.0}, PublishedRun(tmp_path)
    before = fold_in(now, ratings)
    made.with_former_keys(tmp_path, run_id)
    older = PublishedRun(tmp_path)
    assert older.manifest.config["models"]["als"]["bias_damping"] == 0.5
    assert fold_in(older, ratings) == before
