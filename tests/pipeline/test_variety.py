"""Lists made more varied, and figures of lists by segment, on whole nights against plain Python."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.errors import ConfigError
from mfspark.models.records import TRADE
from mfspark.queries.fold_in import fold_in
from mfspark.queries.list_worth import segments, trade_off
from mfspark.queries.report_data import page_of
from mfspark.queries.summary import summarise
from mfspark.tables.run import PublishedRun
from tests.support.nights import run_night, table
from tests.support.reference import greedy_choice

GENRES = ("Crime", "Drama", "Comedy", "War")
QUICK = ("models.ials.rank=8", "completed.max_cells=0", "evaluation.refit=false")
RUN = 'models.run=["popularity","ials"]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 users and 60 items of four circles, each of a genre; some items have two, or none."""
    folder, rng = tmp_path_factory.mktemp("varied"), np.random.default_rng(4)
    items = np.arange(60)
    popular = 1 / (1 + items)
    rows = [
        (user, item, rng.integers(1, 6))
        for user in range(90)
        for mine, n in ((True, 8), (False, 4))
        for pool in [items[(items % 4 == user % 4) == mine]]
        for item in rng.choice(pool, n, replace=False, p=popular[pool] / popular[pool].sum())
    ]
    frame = pd.DataFrame(rows, columns=["userId", "movieId", "rating"])
    frame.to_csv(folder / "ratings.csv", index=False)
    kinds = [[GENRES[i % 4]] + [GENRES[(i + 1) % 4]] * int(i % 5 == 0) for i in items]
    names = ["|".join(kind) if i % 7 else "(no genres listed)" for i, kind in enumerate(kinds)]
    titles = pd.DataFrame({"movieId": items, "title": [f"T{i}" for i in items], "genres": names})
    titles.to_csv(folder / "items.csv", index=False)
    return folder


def night(spark: SparkSession, folder: Path, warehouse: Path, *options: str) -> PublishedRun:
    files = {"ratings": (folder / "ratings.csv",), "items": (folder / "items.csv",)}
    made = run_night(spark, warehouse, *QUICK, *options, **files)
    return PublishedRun(warehouse, made.run_id)


@pytest.fixture(scope="module")
def plain(spark: SparkSession, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists of the training part, so that what was measured is what is published."""
    warehouse = tmp_path_factory.mktemp("plain")
    night(spark, folder, warehouse, RUN, "serving.model=ials")
    return warehouse


class Known:
    """What the figures of a night are made of, from its published tables."""

    def __init__(self, warehouse: Path) -> None:
        tested = table(warehouse, "test_predictions").query("model == 'baseline'")
        keys = ["user_id", "item_id"]
        ratings = table(warehouse, "ratings").set_index(keys)
        self.test = tested
        self.train = ratings.drop(tested.set_index(keys).index).reset_index()
        items = table(warehouse, "items")
        self.genres = {i: set(g) if g is not None else set[str]()
                       for i, g in zip(items.item_id, items.genres, strict=True)}  # fmt: skip
        counts = self.train.groupby("item_id").size()
        self.n = {i: int(counts.get(i, 0)) for i in items.item_id}
        self.n_users = self.train.user_id.nunique()

    def novelty(self, items: list[int]) -> float | None:
        found = [-math.log2(max(1, self.n[i]) / self.n_users) for i in items]
        return sum(found) / len(found) if found else None

    def diversity(self, items: list[int]) -> float | None:
        kinds = [self.genres[i] for i in items if self.genres[i]]
        unlike = [
            1 - len(a & b) / math.sqrt(len(a) * len(b)) for a, b in itertools.combinations(kinds, 2)
        ]
        return sum(unlike) / len(unlike) if unlike else None


def thirds(counts: list[int]) -> tuple[int, int]:
    rated = sorted(n for n in counts if n)
    return rated[math.ceil(len(rated) / 3) - 1], rated[math.ceil(2 * len(rated) / 3) - 1]


def part_of(n: int, ends: tuple[int, int]) -> str:
    few, some = ends
    if n == 0:
        return "none"
    if n <= few:
        return f"few (1-{few})"
    return f"some ({few + 1}-{some})" if n <= some else f"many ({some + 1}+)"


def mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def lists_of(warehouse: Path, model: str) -> dict[int, list[int]]:
    lists = table(warehouse, "top_n")
    lists = lists[lists.model == model].sort_values(["user_id", "rank"])
    return {user: rows.item_id.tolist() for user, rows in lists.groupby("user_id")}


@pytest.mark.parametrize("model", ["ials", "popularity"])
def test_novelty_and_diversity_of_the_lists(plain: Path, model: str) -> None:
    known, lists = Known(plain), lists_of(plain, model)
    metrics = table(plain, "metrics").query("model == @model").set_index("metric")
    users = table(plain, "user_metrics").query("model == @model").set_index("user_id")
    for name in ("novelty", "diversity"):
        expected = {user: getattr(known, name)(items) for user, items in lists.items()}
        assert metrics.value[name] == pytest.approx(mean(list(expected.values())))
        assert metrics.n[name] == len([v for v in expected.values() if v is not None])
        assert metrics.low[name] < metrics.value[name] < metrics.high[name]
        for user, value in expected.items():
            assert users[name][user] == pytest.approx(value, abs=1e-6)


def test_segments_of_users_by_activity(plain: Path) -> None:
    known, found = Known(plain), table(plain, "segment_metrics")
    mine = found.query("segment == 'users by activity' and model == 'ials'")
    counts = known.train.groupby("user_id").size().to_dict()
    users = table(plain, "user_metrics").query("model == 'ials'").set_index("user_id")
    ends = thirds(list(counts.values()))
    parts = {user: part_of(counts.get(user, 0), ends) for user in users.index}
    assert set(mine.part) == set(parts.values())
    for part in set(parts.values()):
        some = users[[parts[user] == part for user in users.index]]
        rows = mine[mine.part == part].set_index("metric")
        for name in ("novelty", "diversity"):
            assert rows.value[name] == pytest.approx(some[name].mean())
        relevant = some[some.n_relevant > 0]
        for name in ("ndcg", "recall"):
            assert rows.value[name] == pytest.approx(relevant[name].mean())
            assert rows.n[name] == len(relevant)


def test_segments_of_items_by_popularity(plain: Path) -> None:
    known, found = Known(plain), table(plain, "segment_metrics")
    mine = found.query("segment == 'items by popularity'")
    ends = thirds(list(known.n.values()))
    part = {item: part_of(n, ends) for item, n in known.n.items()}
    errors = known.test.assign(part=known.test.item_id.map(part))
    lists = lists_of(plain, "ials")
    for name in set(part.values()):
        rows = mine[(mine.part == name) & (mine.model == "ials")].set_index("metric")
        here = [[i for i in items if part[i] == name] for items in lists.values()]
        expected = {"novelty": known.novelty, "diversity": known.diversity}
        for metric, figure in expected.items():
            values = [figure(items) for items in here if items]
            if any(value is not None for value in values):
                assert rows.value[metric] == pytest.approx(mean(values), abs=1e-6)
        some = errors[errors.part == name]
        if len(some):
            baseline = mine[(mine.part == name) & (mine.model == "baseline")].set_index("metric")
            rmse = ((some.prediction - some.rating) ** 2).mean() ** 0.5
            assert baseline.value["rmse"] == pytest.approx(rmse)
        wanted = some[some.rating >= 4].groupby("user_id").item_id.apply(set).to_dict()
        if wanted:
            recalls = [len(w & set(lists[user])) / len(w) for user, w in wanted.items()]
            assert rows.value["recall"] == pytest.approx(sum(recalls) / len(recalls))


def test_the_report_shows_the_trade_and_the_segments(plain: Path) -> None:
    run = PublishedRun(plain)
    found = trade_off(run)
    assert found is not None
    assert (found.worth, found.spread) == ("NDCG@10", "diversity@10")
    metrics = table(plain, "metrics")
    for point in found.points:
        own = metrics[metrics.model == point.name].set_index("metric").value
        assert (point.worth, point.spread) == (own.ndcg, own.diversity)
    shown = [(one.segment, one.part.partition(" ")[0]) for one in segments(run)]
    order = ("none", "few", "some", "many")
    both = {name: [part for own, part in shown if own == name] for name, _ in shown}
    assert list(both) == ["users by activity", "items by popularity"]
    for parts in both.values():
        assert parts == [part for part in order if part in parts]
        assert set(parts) >= set(order[1:])
    page = page_of(run)
    assert "against diversity@10: up is better" in page
    assert "users by activity" in page


@pytest.mark.parametrize(
    ("options", "share", "most"),
    [
        (("publish.variety=0.6", 'publish.variety_by="genres"'), 0.6, 0),
        (("publish.max_per_genre=3",), 0.0, 3),
    ],
)
def test_the_served_list_is_the_greedy_choice(
    spark: SparkSession,
    folder: Path,
    plain: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    share: float,
    most: int,
) -> None:
    longer = ("publish.n=30", "publish.variety_from=30", "serving.n=10", "serving.model=ials")
    run = night(spark, folder, tmp_path, RUN, *longer, *options)
    assert {v["outcome"] for v in run.manifest.verdicts if v["gate"] == "audits"} == {"passed"}
    known = Known(tmp_path)
    ids = sorted(known.genres)
    genres = np.array([[name in known.genres[i] for name in GENRES] for i in ids])
    length = np.linalg.norm(genres, axis=1, keepdims=True)
    vectors = np.divide(genres, length, where=length > 0, out=np.zeros(genres.shape))
    column = {item: i for i, item in enumerate(ids)}
    served = table(tmp_path, "serving")
    candidates = table(tmp_path, "top_n").query("model == 'ials'").sort_values(["user_id", "rank"])
    for user, rows in candidates.groupby("user_id"):
        items = rows.item_id.tolist()
        places = greedy_choice(
            [column[i] for i in items], rows.score.tolist(), 10, share, most, vectors, genres
        )
        mine = served[served.user_id == user]
        assert mine.item_id.tolist() == [items[place] for place in places]
        assert mine["rank"].tolist() == list(range(1, 11))
        assert mine.score.tolist() == [rows.score.tolist()[place] for place in places]
        held = [sum(name in known.genres[i] for i in mine.item_id) for name in GENRES]
        assert not most or max(held) <= most

    assert not [note for note in summarise(run).notes if "hold more of a genre" in note]
    trade = run.record(TRADE)
    assert trade is not None
    plainly = table(plain, "metrics").query("model == 'ials'").set_index("metric").value
    for name in ("ndcg", "novelty", "diversity", "recall"):
        assert trade.plain[name] == pytest.approx(plainly[name])
    lists = [rows.item_id.tolist() for _, rows in served.groupby("user_id")]
    expected = mean([known.diversity(items) for items in lists])
    assert trade.varied["diversity"] == pytest.approx(expected, abs=1e-6)
    assert expected > trade.plain["diversity"]
    assert [note for note in summarise(run).notes if "are served more varied: NDCG@10" in note]
    found = trade_off(run)
    assert found is not None
    assert found.points[-1].name == "ials, varied"


def test_a_limit_that_cannot_be_kept_is_passed_over_and_noted(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    """Ten of twelve candidates, of four genres, one of each at most: lists keep their length."""
    options = ("publish.max_per_genre=1", "publish.variety_from=12", 'evaluation.split="none"')
    run = night(spark, folder, tmp_path, 'models.run=["popularity"]', *options)
    serving = table(tmp_path, "serving")
    assert serving.groupby("user_id").size().eq(10).all()
    genres = {i: set(g) if g is not None else set[str]() for i, g in
              table(tmp_path, "items")[["item_id", "genres"]].itertuples(index=False)}  # fmt: skip
    over = 0
    for _, rows in serving.groupby("user_id"):
        over += max(sum(name in genres[i] for i in rows.item_id) for name in GENRES) > 1
    assert over > 0
    said = f"publish.max_per_genre = 1: lists of {over} users hold more of a genre"
    assert [note for note in summarise(run).notes if note.startswith(said)]


def test_factors_tell_items_apart_where_there_are_no_genres(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    """Lists of full variety differ from plain ones, and are served whatever the cut is."""
    found: list[list[int]] = []
    for blocks in (1, 4):
        run = run_night(
            *(spark, tmp_path / str(blocks), *QUICK, RUN, f"grid.blocks={blocks}"),
            *("publish.variety=0.9", "serving.model=ials", 'evaluation.split="none"'),
            ratings=(folder / "ratings.csv",),
        )
        assert PublishedRun(run.warehouse).record(TRADE) is None
        found.append(table(tmp_path / str(blocks), "serving").item_id.tolist())
    same = np.mean([one == other for one, other in zip(*found, strict=True)])
    assert same > 0.9, "factors differ in their last bits"
    plain = table(tmp_path / "1", "top_n").query("model == 'ials'").item_id.tolist()
    assert plain != found[0]


def test_genres_that_are_not_there_are_refused_before_anything_is_fitted(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    for option, named in (
        (("publish.max_per_genre=2",), "publish.max_per_genre needs genres"),
        (("publish.variety=0.5", 'publish.variety_by="genres"'), 'variety_by = "genres" needs'),
    ):
        with pytest.raises(ConfigError, match=named):
            run_night(spark, tmp_path, *QUICK, RUN, *option, ratings=(folder / "ratings.csv",))
    assert not list(tmp_path.glob("scratch/*/stages/fit-*"))
    with pytest.raises(ConfigError, match="popularity are served, which has no factors, and no"):
        run_night(
            *(spark, tmp_path, *QUICK, RUN, "publish.variety=0.5", "serving.model=popularity"),
            'evaluation.split="none"',
            ratings=(folder / "ratings.csv",),
        )


def test_recent_popularity_fills_lists_too(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    """The first 40 items were rated a year ago, by many; the last 20 now, by few."""
    ratings = pd.read_csv(folder / "ratings.csv")
    old = ratings.movieId < 40
    ratings["timestamp"] = np.where(old, 1_700_000_000, 1_731_536_000)
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    run = 'models.run=["popularity","svd","ials"]'
    options = (run, 'evaluation.split="none"', "models.svd.rank=60")
    half = "models.popularity.half_life_days=10"
    run_night(spark, tmp_path / "w", *options, half, ratings=(tmp_path / "ratings.csv",))
    top_n = table(tmp_path / "w", "top_n")
    popular = top_n[(top_n.model == "popularity") & (top_n["rank"] <= 5)]
    assert (popular.item_id >= 40).all(), "of 20 recent items everybody left 5, at least"
    both = [top_n[top_n.model == name].item_id.tolist() for name in ("popularity", "svd")]
    assert both[0] == both[1], "svd reproduces all ratings, and is filled"
    found = fold_in(PublishedRun(tmp_path / "w"), {"50": 1.0}, n=60)
    assert found.model == "popularity", "1 is no choice"
    ages = (1_731_536_000 - ratings.timestamp) // 60 / 1440
    weights = np.where(ratings.rating >= 4, 0.5 ** (ages / 10), 0.0)
    expected = pd.Series(weights).groupby(ratings.movieId).sum()
    for item, _, score in found.items:
        assert score == pytest.approx(expected[item], rel=1e-6)
    with pytest.raises(ConfigError, match="half_life_days needs times, but no rating has one"):
        run_night(spark, tmp_path / "x", *options, half, ratings=(folder / "ratings.csv",))
