"""What lists hold: what is allowed, what is alike, and what is popular where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.queries.summary import summarise
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from tests.support.nights import check_lists, run_night, table

LISTED = ("popularity", "svd", "nmf", "item_knn", "user_knn", "ials", "slim", "ease")
"""Whose lists are looked at where they know nothing of a user."""
MODELS = 'models.run=["popularity","user_knn","als"]'


@pytest.fixture(scope="module")
def night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Seven items are allowed, two of them denied; one id of each list belongs to no item."""
    warehouse = tmp_path_factory.mktemp("lists")
    everything = run_items()
    allowed, denied = [*everything[:7], "Nosuch"], [*everything[:2], "Neither"]
    return run_night(
        spark,
        warehouse,
        MODELS,
        'evaluation.split="none"',
        "completed.max_cells=0",
        "grid.blocks=2",
        "publish.n=30",
        "publish.similar_items=3",
        f"publish.allow_items={allowed}",
        f"publish.deny_items={denied}",
    )


def run_items() -> list[str]:
    from tests.support.grids import survey

    return survey()[2]


def test_lists_hold_what_is_allowed_and_not_denied(night: Night) -> None:
    root = Path(night.warehouse.root)
    top_n, ratings = table(root, "top_n"), table(root, "ratings")
    eligible = set(run_items()[2:7])
    assert set(top_n.model) == {"popularity", "user_knn", "als"}
    assert set(top_n.item_id) == eligible
    rated = ratings[ratings.item_id.isin(eligible)].groupby("user_id").size()
    for model, lists in top_n.groupby("model"):
        users = sorted(set(ratings.user_id))
        lengths = lists.groupby("user_id").size().reindex(users, fill_value=0)
        expected = 5 - rated.reindex(users, fill_value=0)
        assert (lengths == expected).all(), model


def test_unknown_ids_are_noted(night: Night) -> None:
    facts = night.warehouse.manifest(night.run_id).stages["eligible"]
    assert facts["n_eligible"] == 5
    assert facts["unknown_ids"] == {"allow_items": ["Nosuch"], "deny_items": ["Neither"]}


def test_similar_items(night: Night) -> None:
    """Three others of every item, nearest first, of the model that has factors."""
    similar = table(Path(night.warehouse.root), "similar_items")
    assert set(similar.model) == {"als"}
    assert (similar.item_id != similar.similar_item_id).all()
    assert similar.score.between(-1.0001, 1.0001).all()
    for _, rows in similar.groupby("item_id"):
        assert rows["rank"].tolist() == [1, 2, 3]
        assert rows.score.is_monotonic_decreasing
    assert set(similar.item_id) == set(run_items())


@pytest.fixture(scope="module")
def zeros(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of 0 to 10 by 20 users, of whom 3 and 4 rated only zeros; svd reproduces them all."""
    folder = tmp_path_factory.mktemp("zeros")
    rng = np.random.default_rng(8)
    users, items = np.nonzero(rng.random((20, 30)) < 0.4)
    points = np.where(np.isin(users, [3, 4]), 0, rng.integers(1, 11, len(users)))
    ratings = pd.DataFrame({"userId": users, "movieId": 100 + items, "rating": points})
    ratings.to_csv(folder / "ratings.csv", index=False)
    names = ",".join(f'"{name}"' for name in LISTED)
    run_night(
        spark,
        folder / "wh",
        f"models.run=[{names}]",
        "models.nmf.rank=3",
        'models.user_knn.similarity="cosine"',
        "feedback.choices_from=1",
        'evaluation.split="none"',
        "completed.max_cells=0",
        ratings=(folder / "ratings.csv",),
    )
    return folder / "wh"


def test_who_rated_only_zeros_gets_what_is_popular(zeros: Path) -> None:
    """Never the first ten items by their ids, all with a score of 0."""
    lists = check_lists(zeros, n=10).set_index(["user_id", "model"])
    for user in (3, 4):
        popular = lists.loc[(user, "popularity")].item_id.tolist()
        for name in LISTED:
            found = lists.loc[(user, name)]
            assert set(found.tier) == {"popularity"}, name
            assert found.item_id.tolist() == popular, name
            assert found.reason.isna().all(), name
    others = lists.query("user_id not in [3, 4] and model not in ['popularity', 'svd']")
    assert (others.tier == others.index.get_level_values("model")).mean() > 0.9


def test_lists_of_rounding_are_those_of_popularity_and_noted(zeros: Path) -> None:
    lists = table(zeros, "top_n").set_index(["user_id", "rank"])
    svd, popular = (lists[lists.model == name] for name in ("svd", "popularity"))
    assert (svd.item_id == popular.item_id).all()
    assert set(svd.tier) == {"popularity"}
    notes = "\n".join(summarise(PublishedRun(zeros)).notes)
    assert "svd tells nothing of what 20 users did not rate: popular items are listed" in notes
    assert "item_knn tells nothing of what 2 users did not rate" in notes
