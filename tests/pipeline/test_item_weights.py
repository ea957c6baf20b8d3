"""A night of slim and ease: the published weights are all it takes to make lists again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.errors import ConfigError
from mfspark.queries.fold_in import fold_in
from mfspark.queries.lookup import list_of, served_model
from mfspark.tables.run import PublishedRun
from tests.support.nights import check_lists, run_night, table

NAMES = ("slim", "ease")
CHOICES_FROM = 4.0  # three quarters up the scale of the survey, 1 to 5
OPTIONS = (
    'models.run=["slim","ease","ials"]',
    "models.slim.l2=5",
    "models.ials.rank=3",
    'evaluation.split="none"',
    "completed.max_cells=0",
    "publish.n=5",
    "publish.similar_items=3",
)


@pytest.fixture(scope="module")
def root(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    run_night(spark, folder, *OPTIONS, "grid.blocks=2")
    return folder


def scores_of(root: Path, model: str) -> pd.DataFrame:
    """Score of every user and item that some choice speaks for: a join and a sum."""
    ratings, weights = table(root, "ratings"), table(root, "item_weights")
    chosen = ratings[ratings.rating >= CHOICES_FROM][["user_id", "item_id"]]
    sums = chosen.merge(weights[weights.model == model], on="item_id")
    found = sums.groupby(["user_id", "target_item_id"]).weight.sum()
    seen = pd.MultiIndex.from_frame(ratings[["user_id", "item_id"]])
    return found[~found.index.isin(seen)].reset_index()


@pytest.mark.parametrize("model", NAMES)
def test_lists_are_sums_of_published_weights(root: Path, model: str) -> None:
    lists = check_lists(root, n=5).query("model == @model and tier == @model")
    scores = scores_of(root, model)
    assert lists.user_id.nunique() > 15
    for user, rows in lists.groupby("user_id"):
        expected = scores[scores.user_id == user].weight.sort_values(ascending=False)
        assert rows.score.tolist() == pytest.approx(expected[: len(rows)].tolist(), abs=1e-5)


@pytest.mark.parametrize("model", NAMES)
def test_reasons_are_choices_of_the_user(root: Path, model: str) -> None:
    ratings, top_n = table(root, "ratings"), table(root, "top_n")
    liked = ratings[ratings.rating >= CHOICES_FROM].groupby("user_id").item_id.agg(set)
    mine = top_n[(top_n.model == model) & top_n.reason.notna()]
    assert len(mine) > 30
    assert all(set(row.reason) <= liked[row.user_id] for row in mine.itertuples())
    user = mine.user_id.iloc[0]
    rows = list_of(PublishedRun(root), user, model, 5).rows
    assert rows[0]["reason"]


@pytest.mark.parametrize("model", NAMES)
def test_a_user_we_know_gets_the_same_list_as_a_newcomer(root: Path, model: str) -> None:
    run, top_n, ratings = PublishedRun(root), table(root, "top_n"), table(root, "ratings")
    for user in ("Respondent 02", "Respondent 45"):
        mine = top_n.query("model == @model and user_id == @user and tier == @model")
        rated = ratings[ratings.user_id == user].set_index("item_id").rating.to_dict()
        found = fold_in(run, rated, model, 5)
        assert found.model == model
        assert [item for item, _, _ in found.items][: len(mine)] == mine.item_id.tolist()
        shown = [score for _, _, score in found.items][: len(mine)]
        assert shown == pytest.approx(mine.score.tolist(), abs=1e-5)


def test_a_newcomer_without_a_choice_gets_what_is_popular(root: Path) -> None:
    run, ratings = PublishedRun(root), table(root, "ratings")
    counts = ratings[ratings.rating >= CHOICES_FROM].groupby("item_id").size()
    item = counts.sort_values().index[0]
    found = fold_in(run, {item: 1.0}, "slim", 3)
    assert found.model == "popularity"
    expected = counts.drop(item).sort_values(ascending=False)[:3]
    assert [score for _, _, score in found.items] == expected.tolist()
    assert fold_in(run, {item: 5.0}).model == served_model(run)


def test_similar_items_are_those_of_the_largest_weights(root: Path) -> None:
    similar, weights = table(root, "similar_items"), table(root, "item_weights")
    assert set(similar.model) == {"slim", "ease", "ials"}
    for (model, item), rows in similar[similar.model != "ials"].groupby(["model", "item_id"]):
        mine = weights[(weights.model == model) & (weights.target_item_id == item)]
        best = mine.weight[mine.weight > 0].sort_values(ascending=False)[:3]
        assert rows.sort_values("rank").score.tolist() == pytest.approx(best.tolist())


def test_ease_is_refused_before_it_takes_more_memory_than_allowed(
    spark: SparkSession, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="model ease would take") as raised:
        run_night(spark, tmp_path, *OPTIONS, "models.ease.max_memory_gb=1e-9")
    assert "models.ease.max_memory_gb" in raised.value.hint
