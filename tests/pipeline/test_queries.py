"""Reading one published run: ids, near matches, lists, neighbors, the runs that are kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mfspark.errors import NotFoundError
from mfspark.pipeline.queries import (
    PublishedRun,
    RunLine,
    as_id,
    default_model,
    find_user,
    list_of,
    look_up_item,
    near_items,
    neighborhood,
    published_runs,
)
from mfspark.tables.warehouse import Warehouse
from tests import made_run as made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    made.publish_run(root)
    return root


@pytest.fixture
def run(root: Path) -> PublishedRun:
    return PublishedRun(root)


@pytest.mark.parametrize(
    ("side", "text", "expected"),
    [("user", " 12 ", 12), ("user", "x", None), ("user", "1.0", None), ("user", "9" * 30, None),
     ("item", "007", "007"), ("item", " i1 ", "i1")],
)  # fmt: skip
def test_ids_are_compared_in_the_type_of_the_tables(
    run: PublishedRun, side: str, text: str, expected: object
) -> None:
    assert as_id(run, side, text) == expected  # pyright: ignore[reportArgumentType]


def test_an_unknown_user_is_told_the_nearest_ids(run: PublishedRun) -> None:
    with pytest.raises(NotFoundError, match=r"no user '33'\n  near: 3, 1, 2"):
        find_user(run, "33")


@pytest.mark.parametrize("text", ["' or 1=1 --", "{ratings}", "?", ""])
def test_ids_are_never_read_as_sql(run: PublishedRun, text: str) -> None:
    with pytest.raises(NotFoundError, match="no user"):
        find_user(run, text)
    assert look_up_item(run, text) is None


def test_items_are_found_by_id_and_by_exact_title(run: PublishedRun) -> None:
    by_title = look_up_item(run, "First (1999)")
    assert by_title is not None
    assert by_title == look_up_item(run, "i1")
    assert (by_title["id"], by_title["n_ratings"]) == ("i1", 3)
    assert look_up_item(run, "First") is None
    assert near_items(run, "first").startswith("near: First (1999) [i1], ")


def test_a_title_of_several_items_is_refused_with_their_ids(run: PublishedRun) -> None:
    with pytest.raises(NotFoundError, match=r"2 items have the title 'Twice'\n.*: i2, i3"):
        look_up_item(run, "Twice")


def test_a_list_comes_ranked_with_the_best_own_ratings(run: PublishedRun) -> None:
    found = list_of(run, "1", None, 2)
    assert found.model == "als"
    assert [(row["rank"], row["item_id"], row["score"]) for row in found.rows] == [
        (1, "i4", 4.0),
        (2, "i3", 3.0),
    ]
    assert [(row["item_id"], row["rating"]) for row in found.favourites] == [("i1", 5), ("i2", 3)]


def test_models_that_were_not_published_are_named(run: PublishedRun) -> None:
    with pytest.raises(NotFoundError, match=r"no list of model 'svd'\n  models: popularity, user_"):
        list_of(run, "1", "svd", 2)


def test_without_als_the_first_model_that_is_no_reference_is_shown(tmp_path: Path) -> None:
    for number, (models, shown) in enumerate(
        [
            (("baseline", "torch_mf", "user_knn"), "torch_mf"),
            (("popularity", "baseline"), "popularity"),
        ]
    ):
        run_id = made.publish_run(tmp_path, mark=number, models={"run": models})
        assert default_model(PublishedRun(tmp_path, run_id)) == shown


def test_neighbors_stand_beside_the_user_by_common_items(run: PublishedRun) -> None:
    found = neighborhood(run, "1", 5, 3)
    assert [(row["id"], row["similarity"]) for row in found.neighbors] == [(2, 0.75), (3, 0.5)]
    # i1, i2 and i3 have two raters each among the three; i3 comes last as user 1 did not rate it.
    assert [(item["item_id"], item["ratings"]) for item in found.items] == [
        ("i1", {1: 5.0, 2: 4.0}),
        ("i2", {1: 3.0, 3: 1.0}),
        ("i3", {2: 2.0, 3: 5.0}),
    ]


def test_a_user_without_neighbors_still_has_ratings(run: PublishedRun) -> None:
    found = neighborhood(run, "4", 5, 3)
    assert found.neighbors == []
    assert [item["item_id"] for item in found.items] == ["i1"]


def test_a_run_once_opened_is_not_changed_by_later_nights(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    run = PublishedRun(tmp_path)
    second = made.publish_run(tmp_path, date(2026, 11, 23))
    assert run.run_id == first
    assert list_of(run, "1", None, 1).rows  # the table is first read after the second night
    assert PublishedRun(tmp_path).run_id == second


def test_runs_are_listed_newest_first_with_their_figures(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    second = made.publish_run(tmp_path, date(2026, 11, 23))
    lines = published_runs(tmp_path)
    assert [(line.run_id, line.current) for line in lines] == [(second, True), (first, False)]
    assert (lines[0].n_ratings, lines[0].n_rejected, lines[0].best) == (8, 2, ("als", 0.875))


def test_one_damaged_manifest_does_not_hide_the_other_runs(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    made.publish_run(tmp_path, date(2026, 11, 23))
    (Warehouse(tmp_path).run_dir(first) / "manifest.json").write_text("{")
    lines = published_runs(tmp_path)
    assert lines[0].problem == ""
    assert "is damaged" in lines[1].problem


def test_no_warehouse_and_nothing_published_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was published"):
        published_runs(tmp_path)
    with pytest.raises(NotFoundError, match="there is no warehouse"):
        published_runs(tmp_path / "nowhere")


def test_the_age_counts_from_publishing() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    line = RunLine("x", current=True, published_at=now - timedelta(minutes=90))
    assert line.age_hours(now) == 1.5
    assert RunLine("x", current=True).age_hours(now) is None
