"""What `publish.allow_items`, `deny_items` and `similar_items` do to published tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mfspark.tables.night import Night
from tests.support.nights import run_night, table

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
