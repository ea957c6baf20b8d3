"""Whole nights on public data sets: complete lists, titles, and models that beat the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests.support.nights import FEW_DRAWS, check_lists, run_night, table


@dataclass(frozen=True)
class DataSet:
    """A public data set and what is known of it."""

    folder: str
    ratings: str
    items: str
    n_users: int
    n_ratings: int


DATA_SETS = (
    DataSet("ml-latest-small", "ratings.csv", "movies.csv", 610, 100_836),
    DataSet("ml-100k", "u.data", "u.item", 943, 100_000),
    DataSet("movietweetings-100k", "ratings.dat", "movies.dat", 16_554, 100_000),
)


@pytest.fixture(scope="module", params=DATA_SETS, ids=lambda d: d.folder)
def published(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    data_set: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[DataSet, Path]:
    """A night on one data set, with the default models and a short chain of bayesian_mf."""
    data: DataSet = request.param
    folder = data_set(data.folder)
    warehouse = tmp_path_factory.mktemp(data.folder)
    files = {"ratings": (folder / data.ratings,), "items": (folder / data.items,)}
    run_night(spark, warehouse, *FEW_DRAWS, "models.bayesian_mf.pattern_features=32", **files)
    return data, warehouse


def test_everything_is_read(published: tuple[DataSet, Path]) -> None:
    data, warehouse = published
    assert len(table(warehouse, "ratings")) == data.n_ratings
    assert len(table(warehouse, "users")) == data.n_users
    assert table(warehouse, "rejected_ratings").empty


def test_lists_are_complete_and_titled(published: tuple[DataSet, Path]) -> None:
    data, warehouse = published
    top_n = check_lists(warehouse, n=10)
    assert (top_n.groupby("model").size() == 10 * data.n_users).all()
    assert top_n.title.notna().all()


def test_models_beat_the_references(published: tuple[DataSet, Path]) -> None:
    data, warehouse = published
    metrics = table(warehouse, "metrics").pivot_table("value", "metric", "model")
    rmse, ndcg = metrics.loc["rmse"], metrics.loc["ndcg"]
    for model in ("als", "torch_mf", "user_knn", "item_knn"):
        assert rmse[model] < rmse["baseline"]
    if data.folder != "movietweetings-100k":  # six ratings a user: popularity's list is as good
        assert ndcg["user_knn"] > ndcg["popularity"]


def test_ids_keep_their_form(published: tuple[DataSet, Path]) -> None:
    data, warehouse = published
    top_n = table(warehouse, "top_n")
    if data.folder == "movietweetings-100k":
        assert pd.api.types.is_integer_dtype(top_n.user_id)
        assert top_n.item_id.str.startswith("0").any()
    else:
        assert pd.api.types.is_integer_dtype(top_n.item_id)
