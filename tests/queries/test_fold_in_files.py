"""Lists for the users of files: equal to those of one user after the other; what is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfspark.config.config import IngestOptions
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError, InputError, NotFoundError
from mfspark.models import newcomers
from mfspark.queries.fold_in import FoldedIn, fold_in
from mfspark.queries.fold_in_files import FoldedFiles, fold_in_files, rejected_beside
from tests.models.test_newcomers import CHOICES_FROM, KNOWN, NAMES, NEW, OPTIONS
from tests.support.fitted_run import FittedRun, item_id, publish_fits

Fold = Callable[..., tuple[FoldedFiles, pd.DataFrame]]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("fitted")
    return publish_fits(folder, KNOWN, NAMES, OPTIONS, CHOICES_FROM)


@pytest.fixture
def fold(fitted: FittedRun, tmp_path: Path) -> Fold:
    """Fold in the users of a table, or of a file that is there."""

    def run(ratings: pd.DataFrame | Path, model: str = "ials", **more: Any) -> Any:
        path = ratings if isinstance(ratings, Path) else tmp_path / "new.csv"
        if isinstance(ratings, pd.DataFrame):
            ratings.to_csv(path, index=False)
        out = tmp_path / more.pop("name", "lists.parquet")
        options = more.pop("options", IngestOptions())
        found = fold_in_files(fitted.run, [str(path)], out, options, model=model, **more)
        return found, pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out)

    return run


def frame(*rows: tuple[object, ...], times: bool = False) -> pd.DataFrame:
    names = ["user_id", "item_id", "rating", *(["timestamp"] if times else [])]
    return pd.DataFrame(rows, columns=names)


def some(n: int = 5) -> list[tuple[object, ...]]:
    """Ratings of n users, all of whom chose something that everybody knows."""
    return [(1000 + u, item_id(i), 5.0) for u in range(n) for i in (u, u + 3)]


def same(rows: pd.DataFrame, alone: FoldedIn) -> None:
    items, titles, scores = zip(*alone.items, strict=True)
    assert (rows.item_id.tolist(), rows.title.tolist()) == (list(items), list(titles))
    rel = 2.0**-22 if alone.model in ("als", "ials") else 0.0  # other batches, another last bit
    assert rows.score.tolist() == pytest.approx(list(scores), rel=rel, abs=0.0)


def rejected(tmp_path: Path, name: str = "lists.rejected.parquet") -> list[tuple[Any, ...]]:
    found = pd.read_parquet(tmp_path / name)
    return list(found[["line", "raw", "reason"]].itertuples(index=False, name=None))


NEW_RATINGS = pd.DataFrame(
    {
        "user_id": 10_000 - NEW.users,
        "item_id": [item_id(int(i)) for i in NEW.items],
        "rating": NEW.values,
    }
)


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_lists_are_those_of_one_user_after_the_other(
    fitted: FittedRun,
    fold: Fold,
    model: ModelName,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newcomers, "USERS_AT_ONCE", 16)
    shuffled = NEW_RATINGS.sample(frac=1, random_state=3)
    told: list[tuple[str, int, int]] = []
    found, lists = fold(shuffled, model, threads=threads, told=lambda *what: told.append(what))
    assert found.model == model
    assert lists.user_id.is_monotonic_increasing
    assert told[0] == ("reading", 1, 1)
    assert [done for what, done, _ in told if what == "ranking"] == [16, 32, 48, 60]
    for user, mine in lists.groupby("user_id"):
        theirs = NEW_RATINGS[NEW_RATINGS.user_id == user]
        rated = list(zip(theirs.item_id, theirs.rating, strict=True))
        alone = fold_in(fitted.run, rated, model)
        assert mine["rank"].tolist() == list(range(1, len(mine) + 1))
        same(mine, alone)
        assert set(mine.model) == {alone.model}
    assert lists.user_id.nunique() == found.n_listed == 60
    assert found.rejected == {}
    assert found.rejected_in is None


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_the_file_is_what_its_ending_says(fold: Fold, tmp_path: Path, name: str) -> None:
    found, lists = fold(NEW_RATINGS, name=name)
    assert list(lists) == ["user_id", "rank", "item_id", "score", "model", "title"]
    assert len(lists) == found.n_entries
    assert str(lists.user_id.dtype) == "int64"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "new.csv"])


def test_parquet_and_csv_of_the_same_ratings_give_the_same(fold: Fold, tmp_path: Path) -> None:
    NEW_RATINGS.to_parquet(tmp_path / "new.parquet", row_group_size=100)
    _, of_parquet = fold(tmp_path / "new.parquet", "slim", name="a.parquet")
    _, of_csv = fold(NEW_RATINGS, "slim", name="b.parquet")
    pd.testing.assert_frame_equal(of_parquet, of_csv)


def test_rows_that_cannot_count_stand_beside_the_lists(fold: Fold, tmp_path: Path) -> None:
    odd = [
        (1, item_id(0), 5.5), (1, item_id(1), 0.0), (2, "Nosuch", 4.0), ("", item_id(0), 4.0),
        (3, "", 4.0), (3, item_id(2), "good"), (1000, item_id(40), 5.0),
    ]  # fmt: skip
    options = IngestOptions(max_rejected_share=0.9)
    found, lists = fold(frame(*some(), *odd), "ials", options=options)
    assert set(lists.user_id) == {1000, 1001, 1002, 1003, 1004}
    assert found.rejected == {
        "rating_out_of_range": 2, "unknown_item": 2, "missing_item": 1, "missing_user": 1,
        "rating_not_a_number": 1,
    }  # fmt: skip
    assert found.rejected_in == tmp_path / "lists.rejected.parquet"
    rows = rejected(tmp_path)
    assert [line for line, _, _ in rows] == [12, 13, 14, 15, 16, 17, 18]
    assert rows[0][1:] == (f"1,{item_id(0)},5.5", "rating_out_of_range")
    assert rows[2][1:] == ("2,Nosuch,4.0", "unknown_item")
    assert rows[6][1:] == (f"1000,{item_id(40)},5.0", "unknown_item")  # nobody ever rated it
    assert (found.n_users, found.n_listed, found.n_rows) == (6, 5, 17)
    _, without = fold(frame(*some()), "ials", name="b.parquet")
    pd.testing.assert_frame_equal(lists, without)


@pytest.mark.parametrize("model", NAMES)
def test_of_two_ratings_of_an_item_the_newest_counts(
    fold: Fold, tmp_path: Path, model: ModelName
) -> None:
    day = 1_600_000_000
    twice = [
        (7, item_id(1), 0.5, day + 9), (7, item_id(1), 5.0, day + 99), (7, item_id(1), 1.0, day),
        (7, item_id(2), 1.0, ""), (7, item_id(2), 4.5, day), (7, item_id(3), 5.0, day),
        (7, item_id(3), 1.0, day),
    ]  # fmt: skip
    options = IngestOptions(max_superseded_share=0.9)
    found, lists = fold(frame(*twice, times=True), model, options=options)
    assert found.rejected == {"superseded_duplicate": 4}
    assert [line for line, _, _ in rejected(tmp_path)] == [2, 4, 5, 7]
    assert rejected(tmp_path)[0][1] == f"7,{item_id(1)},0.5,2020-09-13 12:26:49"
    once = frame((7, item_id(1), 5.0), (7, item_id(2), 4.5), (7, item_id(3), 1.0))
    _, expected = fold(once, model, name="b.parquet")
    pd.testing.assert_frame_equal(lists, expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, "N000", 9.0), (1, "N037", 5.0)], "1 of 2 rows .* were rejected:\n.*rating_out_of_"),
        ([(1, "N000", 5.0), (1, "N000", 4.0)], r"1 of 2 accepted rows \(50.0%\) are superseded"),
        ([(1, "Nosuch", 4.0), (2, "Nor", 5.0)], "knows none of the 2 rated items"),
    ],
)
def test_files_that_cannot_be_used_are_refused_and_say_why(
    fold: Fold, tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        fold(frame(*rows))
    assert "rows that were left out: " in raised.value.hint
    assert rejected(tmp_path)
    assert not (tmp_path / "lists.parquet").exists()


def test_who_chose_nothing_gets_the_list_of_popularity(fold: Fold) -> None:
    found, lists = fold(frame(*some(2), (5, item_id(0), 1.0)), "slim")
    mine = lists[lists.user_id == 5]
    assert set(mine.model) == {"popularity"}
    assert set(lists[lists.user_id != 5].model) == {"slim"}
    assert found.n_popular == 1
    counts = np.bincount(KNOWN.items[KNOWN.values >= CHOICES_FROM], minlength=KNOWN.n_items)
    order = np.argsort(-counts, kind="stable")
    assert mine.item_id.tolist() == [item_id(int(i)) for i in order if i != 0][:10]
    assert mine.score.tolist() == [counts[i] for i in order if i != 0][:10]


def test_users_of_the_run_are_noted(fold: Fold) -> None:
    rows = [(1, item_id(0), 5.0), (3, item_id(1), 5.0), (2, item_id(0), 5.0)]  # users are odd
    assert fold(frame(*rows))[0].n_known == 2


def test_ids_of_users_are_text_where_some_are(fold: Fold) -> None:
    _, lists = fold(frame(("b", item_id(0), 5.0), (10, item_id(1), 5.0), (9, item_id(1), 4.0)))
    assert lists.user_id.unique().tolist() == ["10", "9", "b"]


@pytest.mark.parametrize("name", ["lists.txt", "nowhere/lists.csv", ".", "new.csv"])
def test_a_place_that_cannot_be_written_is_refused_first(
    fold: Fold, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError):
        fold(frame(*some()), name=name, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize("there", ["lists.csv", "lists.rejected.csv"])
def test_what_is_there_is_replaced_only_where_that_is_asked_for(
    fold: Fold, tmp_path: Path, there: str
) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match=f"{there} is there already\n.*--overwrite"):
        fold(frame(*some()), name="lists.csv")
    assert (tmp_path / there).read_text() == "mine"
    fold(frame(*some()), name="lists.csv", overwrite=True)
    assert not (tmp_path / "lists.rejected.csv").exists()  # of the lists before
    assert rejected_beside(tmp_path / "lists.csv") == tmp_path / "lists.rejected.csv"


def test_a_model_that_cannot_is_refused(fold: Fold) -> None:
    with pytest.raises(NotFoundError, match=r"'torch_mf' cannot take in new users\n.*als, ials"):
        fold(frame(*some()), "torch_mf")


rating_rows = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from([item_id(i) for i in range(8)] + ["Nosuch"]),
        st.sampled_from([0.5, 3.0, 4.5, 5.0, 5.5]),
        st.one_of(st.none(), st.integers(1_600_000_000, 1_600_000_003)),
    ),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=rating_rows, model=st.sampled_from(NAMES))
def test_any_rows_give_what_each_user_gets_alone(
    fitted: FittedRun, fold: Fold, rows: list[tuple[Any, ...]], model: ModelName
) -> None:
    """Off the scale, unknown, or superseded: the same law in plain Python."""
    kept: dict[tuple[int, str], tuple[float, int, float]] = {}
    for place, (user, item, rating, time) in enumerate(rows):
        if rating <= 5.0 and item != "Nosuch":
            order = (-1.0 if time is None else float(time), place, rating)
            kept[user, item] = max(kept.get((user, item), order), order)
    options = IngestOptions(max_rejected_share=1, max_superseded_share=1)
    given_rows = [(u, i, r, "" if t is None else t) for u, i, r, t in rows]
    if not kept:
        with pytest.raises(InputError):
            fold(frame(*given_rows, times=True), model, options=options, overwrite=True)
        return
    found, lists = fold(frame(*given_rows, times=True), model, options=options, overwrite=True)
    assert sum(found.rejected.values()) == len(rows) - len(kept)
    users = sorted({user for user, _ in kept})
    assert lists.user_id.unique().tolist() == users
    for user in users:
        rated = {item: rating for (u, item), (_, _, rating) in kept.items() if u == user}
        mine = lists[lists.user_id == user]
        same(mine, fold_in(fitted.run, rated, model))
