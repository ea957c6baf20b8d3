"""A measure of similarity is a row of a table: neighbors and predictions follow from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mfspark.config.models import KNNOptions, ModelName, Models
from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.neighbors.measures import MEASURES, RatingStatistics, SimilarityMeasure
from mfspark.models.factor_model import FactorModel
from mfspark.models.neighbors.knn import KNN
from tests.support.grids import Array, fitter, stars, whole
from tests.support.reference import best_of_row, knn_predictions

RATINGS = stars(6, 24, 17, 0.4)
SHRINKAGE, SUPPORT = 3.0, 4


def halved_and_centered(tile: Tile, known: RatingStatistics) -> Array:
    """What the mean of all ratings, and the bias of the row, leave over."""
    assert known.row_bias is not None
    r = tile.values.astype(np.float64)
    return (r - known.overall_mean - known.row_bias[tile.rows]) / 2


TOY = SimilarityMeasure(
    lambda m, u, v: np.tanh(m[1, 1]) * (u.n + v.n - m[0, 0]) / (u.n + v.n),
    ((1, 1),),
    values=halved_and_centered,
    needs_biases=True,
    shrinkage=SHRINKAGE,
    min_support=SUPPORT,
    n_fitted=1,
)


@pytest.fixture(autouse=True)
def one_measure_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURES, "toy", TOY)


def similarities(R: Array, mean: float, bias: Array) -> Array:
    """The same from dense arrays; NaN where two are no neighbors."""
    rated = ~np.isnan(R)
    X = np.where(rated, (R - mean - bias[:, None]) / 2, 0.0)
    n = rated.astype(float) @ rated.T
    either = rated.sum(1)[:, None] + rated.sum(1)
    S = np.tanh(X @ X.T) * (either - n) / either * (n - 1) / (n - 1 + SHRINKAGE)
    return np.where(n >= SUPPORT, S, np.nan)


@pytest.mark.parametrize("name", ["user_knn", "item_knn"])
@pytest.mark.parametrize("among", ["all", "raters"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_neighbors_and_predictions(
    tmp_path: Path, name: ModelName, among: str, blocks: int
) -> None:
    options = KNNOptions.model_validate(
        {"among": among, "aggregation": "weighted", "num_neighbors": 4}
    ).model_copy(update={"similarity": "toy"})  # as if the option knew the name
    models = Models().model_copy(update={name: options})
    fitted = fitter(tmp_path, name, models)(RATINGS, blocks)
    baseline = fitter(tmp_path / "baseline", "baseline", models)(RATINGS)
    assert isinstance(fitted.model, KNN)
    assert isinstance(baseline.model, FactorModel)
    side = fitted.model.side
    R = RATINGS.dense if side == "user" else RATINGS.dense.T
    bias = whole(baseline.grid, baseline.model.blocks(side), "bias").astype(np.float64)
    S = np.round(similarities(R, baseline.model.mean, bias), 12)

    near = whole(fitted.grid, fitted.model.neighbors, "indices")
    others = np.where(np.eye(len(R)) > 0, -np.inf, np.nan_to_num(S, nan=-np.inf))
    for row, best in enumerate(near):
        assert best[best >= 0].tolist() == best_of_row(others[row], 4)
    P = knn_predictions(R, S, 4, "weighted", among=among)
    expected = P if side == "user" else P.T
    np.testing.assert_allclose(fitted.predictions, expected, rtol=0, atol=1e-9)
