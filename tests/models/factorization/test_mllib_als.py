"""Spark's own ALS behind the face of our models. One fit: each takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from mfspark.config.config import GridOptions
from mfspark.grid.block_store import ParquetStore
from mfspark.grid.grid import Grid
from mfspark.grid.runners import InProcess
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel
from mfspark.models.registry import fit_model, load_model
from tests.support.contract import options_of
from tests.support.grids import Fitted, Ratings, cut, planted, whole

ENGINE = {"engine": "mllib", "rank": 5, "reg": 0.02, "max_iter": 6}


def fitted_on(spark: SparkSession, folder: Path, ratings: Ratings, blocks: int) -> Fitted:
    def frame() -> DataFrame:
        columns = {
            "user_idx": ratings.users.astype(np.int32),
            "item_idx": ratings.items.astype(np.int32),
            "rating": ratings.values,
        }
        return spark.createDataFrame(pa.table(columns)).coalesce(1)

    store = ParquetStore(folder)
    tiles = cut(ratings, blocks, blocks, "tiles", store)
    context = FitContext(
        spark=spark,
        tiles=tiles,
        store=store,
        name="fit",
        seed=42,
        grid_options=GridOptions(),
        state_path=folder / "state.json",
        fingerprint="test",
        ratings=frame,
    )
    model = fit_model("als", context, options_of("als", **ENGINE))
    return Fitted(model, Grid(tiles, store, InProcess()))


def test_mllib_als(spark: SparkSession, tmp_path: Path) -> None:
    """It recovers a planted matrix, and knows what it does not know."""
    train, test = planted(1, 80, 60, 3_000)
    wide = train.widened(2, 3)
    fitted = fitted_on(spark, tmp_path, wide, 3)
    predictions = fitted.predictions
    assert np.isnan(predictions[80:]).all()
    assert np.isnan(predictions[:, 60:]).all()
    assert np.isfinite(predictions[:80, :60]).all()
    error = (predictions[:80, :60] - test.dense)[test.users, test.items]
    assert 0.3 < np.sqrt(np.mean(error**2)) < 0.4
    lists = fitted.lists(5)
    assert lists[80:] == [[], []]
    assert all(len(listed) == 5 for listed in lists[:80])
    assert not any(train.dense[u, i] > -np.inf for u in range(80) for i in lists[u])
    model = fitted.model
    assert isinstance(model, FactorModel)
    assert load_model("als", model.record()) == model
    n = whole(fitted.grid, model.item, "n")
    assert n.tolist() == (~np.isnan(wide.dense)).sum(0).tolist()
