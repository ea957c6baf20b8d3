"""The list that people get: what stands in it, whose it is, and what must not change it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.evaluation.champion import Champion
from mfspark.models.records import SERVING
from mfspark.queries.lookup import list_of
from mfspark.queries.summary import summarise
from mfspark.tables.run import PublishedRun
from tests.support.nights import run_night, table
from tests.support.places import run_dir

MODELS = 'models.run=["popularity","item_knn","ials","als"]'
QUICK = ("models.als.rank=4", "models.ials.rank=8", "completed.max_cells=0")
ROWS = ["user_id", "rank", "item_id", "score", "model", "tier", "reason", "title"]
Nights = Callable[..., PublishedRun]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 users and items in 4 circles: 14 items of their own are liked, 4 of others are not."""
    folder, rng = tmp_path_factory.mktemp("served"), np.random.default_rng(4)
    items = np.arange(120)
    rows = [
        (user, item, rating)
        for user in range(120)
        for mine, n, ratings in ((True, 14, (4, 5)), (False, 4, (1, 2)))
        for item in rng.choice(items[(items % 4 == user % 4) == mine], n, replace=False)
        for rating in rng.choice(ratings, 1)
    ]
    frame = pd.DataFrame(rows, columns=["userId", "movieId", "rating"])
    frame.to_csv(folder / "ratings.csv", index=False)
    titles = pd.DataFrame({"movieId": items, "title": [f"Title {i}" for i in items]})
    titles.to_csv(folder / "items.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def night(spark: SparkSession, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """Return a function that runs a night, in the warehouse `over` or one of its own."""

    def run(*options: str, over: Path | None = None, ratings: Path | None = None, day: int = 22):
        warehouse = over or tmp_path_factory.mktemp("warehouse")
        made = run_night(
            *(spark, warehouse),
            *(*QUICK, *options),
            ratings=(ratings or folder / "ratings.csv",),
            items=(folder / "items.csv",),
            run_date=f"2026-11-{day}",
        )
        return PublishedRun(warehouse, made.run_id)

    return run


@pytest.fixture(scope="module")
def first(night: Nights) -> PublishedRun:
    """A first night with four models, measured."""
    return night(MODELS)


def tables(run: PublishedRun, name: str) -> pd.DataFrame:
    return table(run.warehouse.root, name, run.run_id)


def champion_of(run: PublishedRun) -> Champion:
    found = run.record(SERVING)
    assert found is not None
    return found


def of_top_n(run: PublishedRun, model: str, n: int) -> pd.DataFrame:
    """What `serving` must be, by pandas: one model's rows of top_n, in its own order."""
    lists = tables(run, "top_n")
    lists = lists[(lists.model == model) & (lists["rank"] <= n)]
    return lists.sort_values(["user_id", "rank"])[ROWS].reset_index(drop=True)


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right, check_exact=True)


def test_the_first_champion_has_the_best_metric_and_its_list_is_served(first: PublishedRun) -> None:
    ndcg = {m["model"]: m["value"] for m in first.manifest.metrics if m["metric"] == "ndcg"}
    run = {name: ndcg[name] for name in first.models}  # baseline is measured, and has no lists
    champion = champion_of(first)
    assert champion.model == max(run, key=lambda name: run[name])
    assert champion.figures == run
    serving = tables(first, "serving")
    assert list(serving.columns) == ROWS
    same(serving, of_top_n(first, champion.model, 10))
    assert serving.groupby("user_id").size().tolist() == [10] * 120
    assert summarise(first).champion == champion
    shown = list_of(first, "7", None, 10)
    assert shown.source.served
    assert [row["item_id"] for row in shown.rows] == serving[serving.user_id == 7].item_id.tolist()


def test_the_metric_may_be_another_one(night: Nights) -> None:
    run = night('models.run=["als","popularity"]', "serving.metric=hit_rate", "evaluation.k=3")
    hits = {m["model"]: m["value"] for m in run.manifest.metrics if m["metric"] == "hit_rate"}
    champion = champion_of(run)
    assert (champion.metric, champion.k) == ("hit_rate", 3)
    assert champion.figures == {name: hits[name] for name in run.models}


@pytest.mark.parametrize("model", ["item_knn", "als"])
def test_a_list_of_its_own_length_is_the_same_list(night: Nights, model: str) -> None:
    """Longer or shorter than those of top_n, which stay what they are."""
    none = ('evaluation.split="none"', 'models.run=["item_knn","als"]', f"serving.model={model}")
    plain, longer = night(*none), night(*none, "publish.n=110")
    for n in (3, 110):
        run = night(*none, f"serving.n={n}")
        same(tables(run, "top_n"), tables(plain, "top_n"))
        serving = tables(run, "serving")
        same(serving, of_top_n(longer, model, n))
        unseen = 120 - tables(run, "users").set_index("user_id").n_ratings
        assert serving.groupby("user_id").size().eq(unseen.clip(upper=n)).all()
    tiers = {"item_knn": {"item_knn", "popularity"}, "als": {"als"}}
    assert set(serving.tier) == tiers[model]
    note = "serving.n = 110 asked, only 102 unseen items exist for 120 users"
    assert [found for found in summarise(run).notes if found.startswith(note)]


def test_the_cut_and_the_order_of_rows_do_not_matter(
    night: Nights, folder: Path, tmp_path: Path
) -> None:
    ratings = pd.read_csv(folder / "ratings.csv").sample(frac=1.0, random_state=5)
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    options = ('models.run=["item_knn","popularity"]', "serving.n=25")
    one = night(*options, "grid.blocks=1")
    other = night(*options, "grid.blocks=7", ratings=tmp_path / "ratings.csv")
    same(tables(one, "serving"), tables(other, "serving"))
    assert champion_of(one) == champion_of(other)
    assert champion_of(one).model == "item_knn"


def test_a_better_challenger_takes_over_and_noise_does_not(
    night: Nights, first: PublishedRun, tmp_path: Path
) -> None:
    """Popularity served by order of a person; what learned the tastes is surely better."""
    best = champion_of(first).model
    assert best in ("ials", "item_knn")
    pinned = night(MODELS, "serving.model=popularity", over=tmp_path, day=20)
    assert champion_of(pinned).why == "serving.model names it"
    same(tables(pinned, "serving"), of_top_n(pinned, "popularity", 10))
    after = champion_of(night(MODELS, over=tmp_path, day=21))
    assert (after.model, after.before) == (best, "popularity")
    challenger = next(one for one in after.challengers if one.model == best)
    assert challenger.low > 0
    users = tables(PublishedRun(tmp_path), "user_metrics").query("n_relevant > 0")
    ndcg = users.pivot(index="user_id", columns="model", values="ndcg")
    gains = ndcg[best] - ndcg.popularity
    assert challenger.gain == pytest.approx(gains.mean())
    assert challenger.n_users == len(gains)
    for day, seed in ((22, 7), (23, 8)):  # other test ratings, other random factors
        later = champion_of(night(MODELS, f"seed={seed}", over=tmp_path, day=day))
        assert (later.model, later.before) == (best, best), later.why
    gone = champion_of(night('models.run=["popularity","als"]', over=tmp_path, day=25))
    assert gone.before == best
    assert gone.why.startswith(f"{best}, which served in the reference run, was not run; the best")
    verdicts = PublishedRun(tmp_path).manifest.verdicts
    assert [v["outcome"] for v in verdicts if v["subject"] == "serving"]


def test_a_run_of_an_older_version_is_built_upon(night: Nights, tmp_path: Path) -> None:
    options = ('models.run=["popularity","als"]', "models.warm_start=true")
    older = night(*options, over=tmp_path, day=20)
    path = run_dir(older.warehouse, older.run_id)
    manifest = json.loads((path / "manifest.json").read_text())
    for part, name in (("tables", "serving"), ("stages", "serving"), ("config", "serving")):
        del manifest[part][name]
    (path / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(path / "serving")
    later = night(*options, over=tmp_path, day=21)
    assert later.manifest.base_run == older.run_id
    assert champion_of(later).before is None
    assert champion_of(later).why.startswith("the best NDCG@10 of 2 models")
    assert summarise(PublishedRun(tmp_path, older.run_id)).champion is None


def test_users_and_items_that_are_all_new(night: Nights, folder: Path, tmp_path: Path) -> None:
    """Last night's champion is judged by users of this night alone."""
    off = tuple(f"gates.{gate}.mode=off" for gate in ("input", "list_change", "coverage"))
    options = (MODELS, *off, "gates.ranking.mode=off", "gates.concentration.mode=off")
    night(*options, "serving.model=popularity", over=tmp_path / "wh", day=20)
    ratings = pd.read_csv(folder / "ratings.csv")
    ratings.assign(userId=ratings.userId + 5000).to_csv(tmp_path / "new.csv", index=False)
    run = night(*options, over=tmp_path / "wh", day=21, ratings=tmp_path / "new.csv")
    champion = champion_of(run)
    assert champion.before == "popularity"
    assert champion.model in ("ials", "item_knn")
    assert all(90 < one.n_users <= 120 for one in champion.challengers)
    assert set(tables(run, "users").user_id) == set(tables(run, "serving").user_id)


def test_nothing_measured_and_lists_of_the_training_part(night: Nights, tmp_path: Path) -> None:
    run = night('models.run=["popularity","als"]', 'evaluation.split="none"', over=tmp_path, day=20)
    assert champion_of(run).why.startswith('nothing was measured (evaluation.split = "none"); the')
    assert champion_of(run).model == "als"
    part = night('models.run=["popularity"]', "evaluation.refit=false", over=tmp_path, day=21)
    assert champion_of(part).why == "no other model was run"
    assert {v["outcome"] for v in part.manifest.verdicts if v["gate"] == "audits"} == {"passed"}
