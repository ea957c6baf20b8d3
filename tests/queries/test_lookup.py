"""Reading one published run: ids, near matches, lists, neighbors."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mfspark.errors import NotFoundError, SchemaError
from mfspark.queries.fold_in import fold_in
from mfspark.queries.lookup import (
    ListSource,
    as_id,
    find_user,
    list_of,
    look_up_item,
    near_items,
    neighborhood,
    served_model,
)
from mfspark.queries.predict import predict_pair
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made


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
     ("user", "9223372036854775807", 2**63 - 1), ("user", "-9223372036854775808", -(2**63)),
     ("user", "9223372036854775808", None), ("user", "1000000000000000000", 10**18),
     ("user", "0" * 50 + "7", 7), ("user", "", None), ("user", "9" * 5000, None),
     ("item", "007", "007"), ("item", " i1 ", "i1"), ("item", " ", None)],
)  # fmt: skip
def test_ids_are_compared_in_the_type_of_the_tables(
    run: PublishedRun, side: str, text: str, expected: object
) -> None:
    assert as_id(run, side, text) == expected  # pyright: ignore[reportArgumentType]


def test_ids_of_nineteen_digits_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = {4: 2**63 - 1, 3: 10**18}
    monkeypatch.setattr(made, "RATINGS", [(big.get(u, u), i, r) for u, i, r in made.RATINGS])
    monkeypatch.setattr(made, "NEIGHBORS", [(big[4], 1, 1, 0.5, 1), (big[3], 1, 1, 0.5, 1)])
    for name in ("USER_FACTORS", "USER_BIAS"):
        renamed = {big.get(u, u): value for u, value in getattr(made, name).items()}
        monkeypatch.setattr(made, name, renamed)
    run = PublishedRun(tmp_path, made.publish_run(tmp_path))
    for user in big.values():
        assert find_user(run, str(user))["id"] == user
        assert neighborhood(run, str(user), 1, 1).neighbors[0]["id"] == 1
        assert list_of(run, str(user), "als", 1).favourites
        assert predict_pair(run, str(user), "i1").unknown == ()


def test_names_are_found_in_either_unicode_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Mac's keyboard decomposes what is stored composed."""
    composed, decomposed = "Am\u00e9lie", "Ame\u0301lie"
    monkeypatch.setattr(made, "TITLES", {**made.TITLES, "i1": f"{composed} (2001)", composed: None})
    run = PublishedRun(tmp_path, made.publish_run(tmp_path))
    given = {decomposed: composed, f"{decomposed} (2001)": "i1", composed: composed}
    for text, item in given.items():
        found = look_up_item(run, text)
        assert found is not None
        assert found["id"] == item


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
    assert (found.source.model, found.source.served) == ("user_knn", True)
    assert [(row["rank"], row["item_id"], row["score"]) for row in found.rows] == [
        (1, "i4", 4.0),
        (2, "i3", 3.0),
    ]
    assert [(row["item_id"], row["rating"]) for row in found.favourites] == [("i1", 5), ("i2", 3)]


def test_reasons_that_are_items_come_by_title(tmp_path: Path) -> None:
    made.publish_run(tmp_path, models={"run": ("item_knn", "user_knn")})
    run = PublishedRun(tmp_path)
    assert [row["reason"] for row in list_of(run, "1", "user_knn", 2).rows] == [["3"], ["3", "2"]]
    assert [row["reason"] for row in list_of(run, "1", "item_knn", 2).rows] == [
        ["Twice"],
        ["First (1999)", "i5"],
    ]


def test_models_that_were_not_published_are_named(run: PublishedRun) -> None:
    with pytest.raises(NotFoundError, match=r"no list of model 'svd'\n  models: popularity, user_"):
        list_of(run, "1", "svd", 2)


@pytest.mark.parametrize(
    ("models", "ndcg", "shown"),
    [
        (("user_knn", "als"), {"als": 0.75}, "als"),
        (("als", "user_knn"), {"user_knn": 0.75, "baseline": 0.875}, "user_knn"),
        (("als", "ials"), {"ials": 0.25}, "als"),
        (("als", "ials"), {"ials": 0.5}, "ials"),  # equal
        (("baseline", "torch_mf", "bayesian_mf"), {}, "torch_mf"),  # neither was measured
        (("torch_mf", "ials"), {}, "ials"),  # the same
        (("popularity", "baseline"), {"popularity": 0.75}, "popularity"),
    ],
)
def test_of_older_runs_whoever_ranks_best_is_shown_but_no_reference_while_there_are_others(
    tmp_path: Path, models: tuple[str, ...], ndcg: dict[str, float], shown: str
) -> None:
    measured = {"popularity": 0.625, **ndcg}
    run_id = made.publish_run(tmp_path, ndcg=measured, models={"run": models}, served=None)
    run = PublishedRun(tmp_path, run_id)
    assert not run.has("serving")
    assert served_model(run) == shown


def test_the_list_that_is_served_is_the_champions_whoever_ranks_best(tmp_path: Path) -> None:
    serving = {"serving": {"n": 3}}
    run_id = made.publish_run(tmp_path, ndcg={"user_knn": 0.75}, served="als", **serving)
    run = PublishedRun(tmp_path, run_id)
    found = list_of(run, "1", None, 9)
    assert found.source == ListSource("als", "serving", 3, "serving.n")
    assert [row["item_id"] for row in found.rows] == ["i4", "i3", "i5"]
    other = list_of(run, "1", "user_knn", 9)
    assert other.source == ListSource("user_knn", "top_n", 4, "publish.n")
    assert not other.source.served


def test_the_list_of_an_older_run_stands_in_top_n(tmp_path: Path) -> None:
    run = PublishedRun(tmp_path, made.publish_run(tmp_path, served=None))
    found = list_of(run, "1", None, 2)
    assert (found.source.model, found.source.table, len(found.rows)) == ("user_knn", "top_n", 2)


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


def test_a_night_that_compared_no_users_says_how_one_does(
    run: PublishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(run.manifest.tables, "user_neighbors")
    with pytest.raises(NotFoundError, match="found no neighbors of users") as raised:
        neighborhood(run, "4", 5, 3)
    assert 'similarity.tables = "all"' in raised.value.hint


def test_a_run_once_opened_is_not_changed_by_later_nights(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    run = PublishedRun(tmp_path)
    second = made.publish_run(tmp_path, date(2026, 11, 23))
    assert run.run_id == first
    assert list_of(run, "1", None, 1).rows  # the table is first read after the second night
    assert PublishedRun(tmp_path).run_id == second
    assert PublishedRun(tmp_path, first).run_id == first


def test_tables_with_the_column_names_of_another_version_are_refused(tmp_path: Path) -> None:
    """`id` became `user_id` and `item_id`; lists and all else of such runs are read as ever."""
    run_id = made.publish_run(tmp_path)
    made.with_former_names(tmp_path, run_id)
    run = PublishedRun(tmp_path)
    assert list_of(run, "1", "als", 3).rows
    with pytest.raises(SchemaError, match=rf"'user_neighbors' of run {run_id} .* id, neighbor_id"):
        neighborhood(run, "1", 5, 3)
    with pytest.raises(SchemaError, match=r"'item_factors' .* another version of mfspark \(0\."):
        fold_in(run, {"i1": 4.0}, "als")
