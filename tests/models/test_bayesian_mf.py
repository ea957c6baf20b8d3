from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.kernels.top_n import NOBODY
from mfspark.model_options import ModelName
from mfspark.models.posterior import PosteriorModel
from tests.grids import Array, Fit, Fitted, Ratings, fitter, movielens, planted, whole
from tests.models.contract import RATINGS, FactorContract, options_of


class TestBayesianMF(FactorContract):
    name: ClassVar[ModelName] = "bayesian_mf"
    options: ClassVar[dict[str, Any]] = {
        "rank": 3,
        "burn_in": 10,
        "samples": 30,
        "keep": 10,
        "pattern_features": 8,
    }
    planted_options: ClassVar[dict[str, Any]] = {
        "rank": 3,
        "burn_in": 60,
        "samples": 40,
        "keep": 20,
        "pattern_features": 0,
    }
    planted_rmse: ClassVar[float] = 0.35
    tolerance: ClassVar[float] = 2e-3
    warm_options: ClassVar[dict[str, Any]] = {
        "burn_in": 1,
        "warm_burn_in": 1,
        "samples": 1,
        "keep": 1,
    }
    n_samples: ClassVar[int] = 10

    @pytest.mark.parametrize("level", [0.5, 0.9])
    def test_ratings_lie_in_their_intervals_as_often_as_promised(
        self, tmp_path: Path, level: float
    ) -> None:
        """Planted ratings: the truth is normal, as the model takes it to be."""
        train, test = planted(5, 120, 80, 5_000)
        options = self.planted_options | {"samples": 100, "keep": 50, "level": level}
        fitted = fitter(tmp_path, self.name, options_of(self.name, **options))(train, 2)
        model = fitted.model
        assert isinstance(model, PosteriorModel)
        assert 0.27 < model.noise < 0.33  # planted: 0.3
        scores = fitted.predict(test.users, test.items)
        half = model.half_width * deviations(fitted, test)
        inside = np.abs(scores - test.values) < half
        assert inside.mean() == pytest.approx(level, abs=0.035)

    def test_intervals_are_those_of_the_samples(self, fit: Fit) -> None:
        """The mean and spread of single samples, pair by pair; the same in any blocks."""
        for blocks in (1, 3):
            fitted = fit(RATINGS, blocks)
            model = fitted.model
            assert isinstance(model, PosteriorModel)
            X, Y = self.factors(fitted)
            b, c = (whole(fitted.grid, s, "sample_bias") for s in (model.user, model.item))
            scores = 10 * np.einsum("usk,isk->uis", X.reshape(40, 10, 3), Y.reshape(25, 10, 3))
            scores += model.mean + b[:, None] + c[None]
            np.testing.assert_allclose(fitted.predictions, scores.mean(2), atol=1e-5)
            expected = np.sqrt(scores.var(2) + model.noise**2)
            found = deviations(fitted, RATINGS)
            np.testing.assert_allclose(found, expected[RATINGS.users, RATINGS.items], atol=1e-5)
            lists = model.recommend(fitted.grid, 30, "lists")
            indices = whole(fitted.grid, lists, "indices")
            of_lists = whole(
                fitted.grid, model.list_deviations(fitted.grid, lists, "d"), "deviation"
            )
            users, ranks = np.nonzero(indices != NOBODY)
            np.testing.assert_allclose(
                of_lists[users, ranks], expected[users, indices[users, ranks]], atol=1e-5
            )
            assert np.isnan(of_lists[indices == NOBODY]).all()


def deviations(fitted: Fitted, ratings: Ratings) -> Array:
    """Return the deviation of each rating, in the order given."""
    assert isinstance(fitted.model, PosteriorModel)
    deviations_of = fitted.model.deviations
    return fitted.of_pairs(ratings.users, ratings.items, deviations_of, "deviation")


def test_movielens(data_set: Any, tmp_path: Path) -> None:
    """Baseline: 0.962; few samples, so that the test is quick. Patterns must pay."""
    train, test = movielens(data_set("ml-100k"))
    rmse = {}
    for features in (0, 128):
        options = options_of(
            "bayesian_mf", rank=8, burn_in=10, samples=30, pattern_features=features
        )
        rmse[features] = fitter(tmp_path / str(features), "bayesian_mf", options)(train).rmse(test)
    assert rmse[128] < 0.905
    assert rmse[128] < rmse[0] - 0.005
