"""A night that starts from the last one's neighbors publishes what it would have found in full."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.config.models import SimilarityOptions
from mfspark.models.neighbors.search import nearest_neighbors
from tests.support.grids import Array, Ratings, grid_of, stars, whole
from tests.support.nights import run_night, table

KNN = ('models.run=["user_knn"]', "models.user_knn.num_neighbors=5", 'evaluation.split="none"',
       "completed.max_cells=0", "gates.audits.mode=warn")  # fmt: skip
Lists = dict[str, list[tuple[str, float, int]]]


def write(path: Path, R: Array) -> Path:
    """Write dense ratings as a CSV file; user 7 is u07."""
    users, items = np.nonzero(~np.isnan(R))
    named = {"user_id": [f"u{u:02d}" for u in users], "item_id": [f"i{i:02d}" for i in items]}
    pd.DataFrame(named | {"rating": R[users, items]}).to_csv(path, index=False)
    return path


def in_full(R: Array) -> Lists:
    grid = grid_of(Ratings.of_dense(R), 1, 1)
    blocks, _ = nearest_neighbors(grid, "user", "full", SimilarityOptions(num_neighbors=5))
    columns = [whole(grid, blocks, name) for name in ("indices", "similarity", "n_common")]
    return {
        f"u{u:02d}": [(f"u{v:02d}", s, n) for v, s, n in zip(*row, strict=True) if v >= 0]
        for u, row in enumerate(zip(*columns, strict=True))
        if (row[0] >= 0).any()
    }


def published(warehouse: Path) -> Lists:
    rows = table(warehouse, "user_neighbors").sort_values(["id", "rank"])
    names = ("neighbor_id", "similarity", "n_common")
    return {
        str(user): list(zip(*(one[name] for name in names), strict=True))
        for user, one in rows.groupby("id")
    }


def test_the_next_night_publishes_the_neighbors_of_a_night_from_scratch(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One rating changed, one came, one went, one user left, and one came."""
    last = stars(5, 50, 20, 0.35).dense
    tonight = np.vstack([last, last[31]])  # u50 is as u31: equally near to everybody
    rated = np.argwhere(~np.isnan(last[3]))[0]
    tonight[3, rated] = np.where(last[3, rated] == 5.0, 1.0, 5.0)
    tonight[8, np.argwhere(np.isnan(last[8]))[0]] = 4.0
    tonight[12, np.argwhere(~np.isnan(last[12]))[0]] = np.nan
    tonight[20] = np.nan
    for number, R in enumerate((last, tonight)):
        file = write(tmp_path / f"{number}.csv", R)
        with caplog.at_level(logging.INFO, "mfspark.models.neighbors.search"):
            run_night(spark, tmp_path, *KNN, ratings=(file,), run_date=f"2026-11-2{number + 1}")
    (updated,) = [r.getMessage() for r in caplog.records if "lists anew" in r.getMessage()]
    assert 4 <= int(updated.split()[2]) < 25, updated
    assert published(tmp_path) == in_full(tonight)
