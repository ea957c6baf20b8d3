from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.optimize import nnls

from mfspark.config.models import ModelName
from mfspark.errors import InputError
from mfspark.models.factor_model import FactorModel
from tests.support.contract import RATINGS, FactorContract, ModelContract, options_of
from tests.support.grids import Array, Fit, Fitted, Ratings, fitter, titled_movielens, whole


def factors(fitted: Fitted) -> tuple[Array, Array]:
    model = fitted.model
    assert isinstance(model, FactorModel)
    return whole(fitted.grid, model.user, "factors"), whole(fitted.grid, model.item, "factors")


class TestNMF(ModelContract):
    name: ClassVar[ModelName] = "nmf"
    options: ClassVar[dict[str, Any]] = {"rank": 4, "max_iter": 8, "tol": 0}
    tolerance: ClassVar[float] = 1e-3

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:  # noqa: ARG002
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=self.tolerance)

    def check_equal_ratings(self, known: Array) -> None:
        """Not rated counts as 0, so that scores lie between 0 and the ratings, or little above."""
        assert known.min() >= 0
        assert known.max() < 6

    def test_it_only_ranks(self, fit: Fit) -> None:
        assert fit(RATINGS).model.kind == "ranking"

    # Users and items without ratings are cells of zeros: they change what the others are fitted to.
    def test_users_and_items_without_ratings(self, fit: Fit) -> None:
        wide = fit(RATINGS.widened(3, 2), 2)
        self.check_unknown(wide, wide.predictions[40:], wide.predictions[:, 25:])
        assert wide.lists(30)[40:] == [[], [], []]


class TestMaskedNMF(FactorContract):
    name: ClassVar[ModelName] = "nmf"
    options: ClassVar[dict[str, Any]] = {
        "rank": 4,
        "max_iter": 12,
        "unrated": "masked",
        "reg": 0.05,
        "prior_count": 3.0,
    }
    planted_options: ClassVar[dict[str, Any]] = {
        "rank": 6,
        "unrated": "masked",
        "reg": 0.005,
        "prior_count": 0.0,
        "tol": 0,
        "max_iter": 60,
    }
    planted_rmse: ClassVar[float] = 0.42
    warm_options: ClassVar[dict[str, Any]] = {"max_iter": 1}
    tolerance: ClassVar[float] = 2e-3

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:  # noqa: ARG002
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=self.tolerance)

    def test_it_predicts_ratings_with_nonnegative_factors(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 2)
        assert fitted.model.kind == "rating"
        assert all((f >= 0).all() for f in factors(fitted))


@pytest.mark.parametrize("reg", [0.0, 2.0])
def test_with_zeros_as_data_each_side_solves_all_cells(tmp_path: Path, reg: float) -> None:
    """Items were solved last, given the users: scipy's nonnegative least squares finds the same."""
    options = options_of("nmf", rank=3, reg=reg, tol=0, max_iter=60, sweeps=8)
    fitted = fitter(tmp_path, "nmf", options)(RATINGS, 3)
    X, Y = (f.astype(np.float64) for f in factors(fitted))
    R = np.nan_to_num(RATINGS.dense)
    system = np.vstack([X, reg**0.5 * np.eye(3)])
    expected = [nnls(system, np.append(R[:, i], np.zeros(3)))[0] for i in range(25)]
    np.testing.assert_allclose(Y, expected, atol=2e-3)
    assert (Y == 0).any()
    loss = (np.square(R - X @ Y.T).sum() / R.size) ** 0.5
    assert fitted.model.history[-1].value == pytest.approx(loss, rel=1e-4)


def test_masked_it_solves_the_ratings_alone(tmp_path: Path) -> None:
    options = options_of(
        "nmf", rank=3, unrated="masked", reg=0.1, prior_count=2.0, tol=0, max_iter=80, sweeps=8
    )
    fitted = fitter(tmp_path, "nmf", options)(RATINGS, 3)
    X, Y = (f.astype(np.float64) for f in factors(fitted))
    for i, ratings in enumerate(RATINGS.dense.T):
        rated = ~np.isnan(ratings)
        weight = 0.1 * np.std(RATINGS.values) * (rated.sum() + 2.0)
        system = np.vstack([X[rated], weight**0.5 * np.eye(3)])
        expected = nnls(system, np.append(ratings[rated], np.zeros(3)))[0]
        np.testing.assert_allclose(Y[i], expected, atol=5e-3)


def test_masked_the_unit_of_the_ratings_does_not_matter(tmp_path: Path) -> None:
    fit = fitter(tmp_path, "nmf", options_of("nmf", rank=3, unrated="masked", reg=0.1, tol=0))
    stars, percent = fit(RATINGS), fit(replace(RATINGS, values=20 * RATINGS.values))
    np.testing.assert_allclose(percent.predictions / 20, stars.predictions, rtol=1e-4)
    assert percent.lists(10) == stars.lists(10)


@pytest.mark.parametrize("unrated", ["zero", "masked"])
def test_who_rated_only_zeros_has_no_list(tmp_path: Path, unrated: str) -> None:
    """All items score 0 for them, so that a list would be the first items by their index."""
    zeros = np.where(RATINGS.users == 3, 0.0, RATINGS.values)
    fit = fitter(tmp_path, "nmf", options_of("nmf", rank=3, unrated=unrated))
    fitted = fit(replace(RATINGS, values=zeros), 2)
    assert not fitted.predictions[3].any()
    lists = fitted.lists(5)
    assert lists[3] == []
    assert all(len(listed) > 0 for user, listed in enumerate(lists) if user != 3)


def test_golden_dense_matrix_is_rebuilt(golden: Any, tmp_path: Path) -> None:
    """Rank 6, which is above both sides, and zeros as data."""
    dense = golden("dense_4x5")
    R = np.array(dense["matrix"])
    ratings = Ratings.of_dense(np.where(R == 0, np.nan, R))
    options = options_of("nmf", rank=6, tol=0, max_iter=200, sweeps=20)
    fitted = fitter(tmp_path, "nmf", options)(ratings)
    X, Y = factors(fitted)
    assert (X >= 0).all()
    assert (Y >= 0).all()
    assert np.abs(X @ Y.T - R).max() < dense["nmf"]["accept_max_abs_error"]


def test_the_loss_is_that_of_scikit_learn(data_set: Any, tmp_path: Path) -> None:
    """|R - X Y'| on ml-latest-small, rank 32. scikit-learn 1.9.0, coordinate descent, at most 200
    iterations: 829.0 from nndsvda, 830.3 from a random start."""
    ratings, _ = titled_movielens(data_set("ml-latest-small"))
    fitted = fitter(tmp_path, "nmf", options_of("nmf"))(ratings, 2)
    loss = fitted.model.history[-1].value * (ratings.n_users * ratings.n_items) ** 0.5
    assert loss < 1.01 * 829.0
    assert all((f >= 0).all() for f in factors(fitted))


def test_negative_ratings_are_refused(tmp_path: Path) -> None:
    ratings = Ratings(RATINGS.users, RATINGS.items, RATINGS.values - 1.0, 40, 25)
    with pytest.raises(InputError, match=r"0 or above, and the lowest is -0\.5") as error:
        fitter(tmp_path, "nmf", options_of("nmf"))(ratings)
    assert "models.run" in error.value.hint


@pytest.mark.parametrize("unrated", ["zero", "masked"])
def test_a_matrix_of_zeros_scores_0(tmp_path: Path, unrated: str) -> None:
    zeros = Ratings(RATINGS.users, RATINGS.items, np.zeros(len(RATINGS)), 40, 25)
    fitted = fitter(tmp_path, "nmf", options_of("nmf", unrated=unrated))(zeros, 2)
    np.testing.assert_array_equal(fitted.predictions, 0.0)
