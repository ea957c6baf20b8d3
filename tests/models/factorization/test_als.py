from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.models.factor_model import FactorModel
from tests.support.contract import RATINGS, FactorContract, options_of
from tests.support.grids import Fit, Fitted, Ratings, fitter, movielens, stars, whole
from tests.support.reference import ridge_rows


class TestALS(FactorContract):
    name: ClassVar[ModelName] = "als"
    options: ClassVar[dict[str, Any]] = {
        "rank": 4,
        "reg": 0.1,
        "prior_count": 5.0,
        "damping": 5.0,
        "max_iter": 8,
        "solver": "cholesky",
    }
    planted_options: ClassVar[dict[str, Any]] = {
        "rank": 3,
        "reg": 0.02,
        "max_iter": 15,
        "solver": "cholesky",
    }
    planted_rmse: ClassVar[float] = 0.35
    warm_options: ClassVar[dict[str, Any]] = {"max_iter": 1}
    tolerance: ClassVar[float] = 1e-3
    score_error: ClassVar[float] = 1e-5

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:  # noqa: ARG002
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=self.tolerance)
        for one, other in zip(self.factors(found), self.factors(expected), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)

    def test_the_last_half_step_solves_its_normal_equations(self, fit: Fit) -> None:
        """The items were solved last, given the users: a dense solution finds the same."""
        fitted, solver = fit(RATINGS, 3), self.options["solver"]
        model = fitted.model
        assert isinstance(model, FactorModel)
        X, Y = self.factors(fitted)
        b_u, b_i = (whole(fitted.grid, side, "bias") for side in (model.user, model.item))
        targets = RATINGS.dense.T - model.mean - b_u
        features, solution = X.astype(np.float64), Y
        if self.options.get("biases", True):
            features = np.column_stack([features, np.ones(len(X))])
            solution = np.column_stack([Y, b_i])
        else:
            assert (b_u == 0).all()
            assert (b_i == 0).all()
        reg = 0.1 * float(np.nanstd(RATINGS.dense))
        damping = 5.0 if self.options.get("biases", True) else None
        expected, loss = ridge_rows(targets, features, reg, prior_count=5.0, last_damping=damping)
        atol = 1e-4 if solver == "cholesky" else 0.05
        np.testing.assert_allclose(solution, expected, atol=atol)
        rmse = (loss / len(RATINGS)) ** 0.5
        assert model.history[-1].value == pytest.approx(rmse, rel=1e-4 if atol < 0.01 else 0.02)

    def test_the_recorded_loss_is_that_of_the_predictions(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 2)
        assert fitted.model.history[-1].value == pytest.approx(fitted.rmse(RATINGS), rel=1e-4)


class TestALSConjugateGradients(TestALS):
    options: ClassVar[dict[str, Any]] = TestALS.options | {"solver": "cg"}
    planted_options: ClassVar[dict[str, Any]] = TestALS.planted_options | {"solver": "cg"}


class TestALSWithoutBiases(TestALS):
    options: ClassVar[dict[str, Any]] = TestALS.options | {"biases": False}
    planted_options: ClassVar[dict[str, Any]] = TestALS.planted_options | {
        "biases": False,
        "rank": 5,  # a column of ones on either side takes the place of the biases
    }
    planted_rmse: ClassVar[float] = 0.38


class TestNonnegativeALS(FactorContract):
    name: ClassVar[ModelName] = "als"
    options: ClassVar[dict[str, Any]] = {
        "rank": 4,
        "prior_count": 5.0,
        "max_iter": 8,
        "nonnegative": True,
    }
    planted_options: ClassVar[dict[str, Any]] = {
        "rank": 8,  # a sign is a column more
        "reg": 0.02,
        "max_iter": 40,
        "tol": 0,
        "nonnegative": True,
    }
    planted_rmse: ClassVar[float] = 0.45
    warm_options: ClassVar[dict[str, Any]] = {"max_iter": 1}
    tolerance: ClassVar[float] = 2e-3

    def test_rows_without_ratings_have_no_factors(self, fit: Fit) -> None:
        """Others may have none either: all their columns would be negative."""
        users, items = self.factors(fit(RATINGS.widened(3, 2), 2))
        assert (users[40:] == 0).all()
        assert (items[25:] == 0).all()

    def test_factors_are_nonnegative_and_biases_are_free(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 2)
        model = fitted.model
        assert isinstance(model, FactorModel)
        assert min(factors.min() for factors in self.factors(fitted)) == 0
        assert whole(fitted.grid, model.user, "bias").min() < 0


@pytest.mark.parametrize("unit", [0.2, 20.0, 1e4, 1e-9, 1e12])
@pytest.mark.parametrize(
    "options",
    [{"solver": "cg"}, {"solver": "cholesky"}, {"nonnegative": True}, {"biases": False}],
    ids=str,
)
def test_the_unit_of_the_ratings_does_not_matter(
    tmp_path: Path, options: dict[str, Any], unit: float
) -> None:
    """|x|^2 has the unit of a rating, and so has what it is weighed by."""
    fit = fitter(tmp_path, "als", options_of("als", rank=4, tol=0, **options))
    stars, scaled = fit(RATINGS), fit(replace(RATINGS, values=unit * RATINGS.values))
    np.testing.assert_allclose(scaled.predictions / unit, stars.predictions, rtol=1e-4)
    assert scaled.lists(10) == stars.lists(10)
    losses = [[loss.value for loss in fitted.model.history] for fitted in (stars, scaled)]
    np.testing.assert_allclose(np.array(losses[1]) / unit, losses[0], rtol=1e-4)


def test_training_stops_when_the_loss_hardly_changes(tmp_path: Path) -> None:
    ratings = stars(3, 30, 20, 0.5)
    lengths = []
    for tol in (0.0, 1e-4, 0.05):
        fit = fitter(tmp_path / str(tol), "als", options_of("als", rank=2, tol=tol, max_iter=60))
        losses = [loss.value for loss in fit(ratings).model.history]
        changes = np.abs(np.divide(losses[1:], losses[:-1]) - 1)
        assert (changes[:-1] >= tol).all()
        lengths.append(len(losses))
    assert lengths[0] == 60
    assert 60 > lengths[1] > lengths[2] > 1


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_movielens(data_set: Any, tmp_path: Path, solver: str) -> None:
    """Baseline: 0.962. In any number of blocks."""
    train, test = movielens(data_set("ml-100k"))
    options = options_of("als", rank=16, reg=0.1, max_iter=10, solver=solver)
    fit = fitter(tmp_path, "als", options)
    one, seven = (fit(train, blocks) for blocks in (1, 7))
    assert 0.92 < one.rmse(test) < 0.945
    assert seven.rmse(test) == pytest.approx(one.rmse(test), abs=1e-3)
