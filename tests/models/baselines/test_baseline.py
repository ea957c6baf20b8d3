from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.models.factor_model import FactorModel
from tests.support.contract import RATINGS, ModelContract, options_of
from tests.support.grids import Array, Fit, Fitted, fitter, movielens, whole
from tests.support.reference import damped_biases


class TestBaseline(ModelContract):
    name: ClassVar[ModelName] = "baseline"

    def check_unknown(self, fitted: Fitted, of_users: Array, of_items: Array) -> None:
        """A user without ratings gets mu + b_i, an item without mu + b_u."""
        model = fitted.model
        assert isinstance(model, FactorModel)
        b_u, b_i = (whole(fitted.grid, side, "bias") for side in (model.user, model.item))
        np.testing.assert_allclose(of_users, np.tile(model.mean + b_i, (3, 1)), atol=1e-6)
        np.testing.assert_allclose(of_items, np.tile(model.mean + b_u, (2, 1)).T, atol=1e-6)
        assert (b_u[40:] == 0).all()
        assert (b_i[25:] == 0).all()

    def check_equal_ratings(self, known: Array) -> None:
        assert (known == 4.0).all()

    @pytest.mark.parametrize("max_iter", [1, 4])
    def test_biases_are_those_of_the_formula(self, tmp_path: Path, max_iter: int) -> None:
        """Items first, each side given the other, as often as asked for."""
        options: dict[str, Any] = {"user_damping": 3.0, "item_damping": 7.0, "max_iter": max_iter}
        fitted = fitter(tmp_path, self.name, options_of(self.name, **options))(RATINGS, 2)
        R, mean = RATINGS.dense, RATINGS.values.mean()
        b_u = np.zeros(RATINGS.n_users)
        for _ in range(max_iter):
            b_i = damped_biases(R.T, mean, b_u, 7.0)
            b_u = damped_biases(R, mean, b_i, 3.0)
        np.testing.assert_allclose(fitted.predictions, mean + b_u[:, None] + b_i, atol=1e-5)


def test_movielens(data_set: Any, tmp_path: Path) -> None:
    train, test = movielens(data_set("ml-100k"))
    fit: Fit = fitter(tmp_path, "baseline", options_of("baseline"))
    assert fit(train).rmse(test) == pytest.approx(0.9617, abs=2e-3)
