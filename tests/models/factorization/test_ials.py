from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.models.factor_model import FactorModel
from tests.support.contract import RATINGS, ModelContract, options_of
from tests.support.grids import Array, Fit, Fitted, Ratings, fitter, movielens, whole
from tests.support.reference import ials_rows


def factors(fitted: Fitted) -> tuple[Array, Array]:
    model = fitted.model
    assert isinstance(model, FactorModel)
    return whole(fitted.grid, model.user, "factors"), whole(fitted.grid, model.item, "factors")


class TestIALS(ModelContract):
    name: ClassVar[ModelName] = "ials"
    options: ClassVar[dict[str, Any]] = {"rank": 4, "max_iter": 8, "solver": "cholesky"}
    tolerance: ClassVar[float] = 1e-3

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:  # noqa: ARG002
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=self.tolerance)

    def check_equal_ratings(self, known: Array) -> None:
        """Scores say how likely a choice is, not how it is rated."""
        assert (known > -0.5).all()
        assert (known < 1.5).all()

    def test_it_only_ranks(self, fit: Fit) -> None:
        assert fit(RATINGS).model.kind == "ranking"


class TestIALSConjugateGradients(TestIALS):
    options: ClassVar[dict[str, Any]] = TestIALS.options | {"solver": "cg"}


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize(
    ("by_rating", "choices_from"),
    [(True, 0.5), (False, 0.5), (True, 3.5), (False, None)],
    ids=["by rating", "all alike", "by rating, from a rating on", "every rating"],
)
def test_the_last_half_step_solves_every_cell(
    tmp_path: Path, solver: str, by_rating: bool, choices_from: float | None
) -> None:
    """The items were solved last, given the users: the dense solution over all cells is the same.

    One rating is 0 and one below.
    """
    values = RATINGS.values.copy()
    values[:2] = 0.0, -1.0
    ratings = Ratings(RATINGS.users, RATINGS.items, values, 40, 25)
    options = {"rank": 3, "reg": 0.02, "solver": solver, "tol": 0, "max_iter": 30}
    options |= {"alpha": 5.0, "by_rating": by_rating}
    fit = fitter(tmp_path, "ials", options_of("ials", **options))
    fitted = fit(ratings, 3, choices_from=choices_from)
    X, Y = factors(fitted)
    R = ratings.dense
    W = np.where((-np.inf if choices_from is None else choices_from) <= R, 5.0, 0.0)
    if by_rating:
        W *= np.nan_to_num(R) / np.sqrt(np.mean(values**2))
    choosing, chosen_items = (W > 0).any(1), (W > 0).any(0)  # the others are left out
    C = W[choosing][:, chosen_items]
    expected, loss = ials_rows(C.T, X[choosing].astype(np.float64), 0.02, 5.0)
    atol = 1e-4 if solver == "cholesky" else 0.01
    np.testing.assert_allclose(Y[chosen_items], expected, atol=atol)
    assert (Y[~chosen_items] == 0).all()
    rmse = (loss / (1 + C).sum()) ** 0.5
    assert fitted.model.history[-1].value == pytest.approx(rmse, rel=1e-3)


@pytest.mark.parametrize("by_rating", [True, False])
def test_the_unit_of_the_ratings_does_not_matter(tmp_path: Path, by_rating: bool) -> None:
    fit = fitter(tmp_path, "ials", options_of("ials", rank=4, by_rating=by_rating))
    percent = replace(RATINGS, values=20 * RATINGS.values)
    stars, other = fit(RATINGS, choices_from=3.5), fit(percent, choices_from=70.0)
    np.testing.assert_allclose(other.predictions, stars.predictions, atol=1e-4)
    assert other.lists(10) == stars.lists(10)


def test_who_chose_nothing_has_no_list_and_lists_leave_out_all_that_was_rated(
    tmp_path: Path,
) -> None:
    values = np.where(RATINGS.users == 3, 1.0, RATINGS.values)
    fit = fitter(tmp_path, "ials", options_of("ials", rank=4))
    lists = fit(replace(RATINGS, values=values), 2, choices_from=3.5).lists(25)
    assert lists[3] == []
    for u, listed in enumerate(lists):
        rated = RATINGS.dense[u]
        assert np.isnan(rated[listed]).all()
        assert (len(listed) > 0) == (u != 3 and np.nanmax(rated) >= 3.5)


def test_a_checkerboard_is_learned(tmp_path: Path) -> None:
    """Users choose items of their own parity, all but one: that one must come first."""
    users, items = np.divmod(np.arange(30 * 20), 20)
    own = (users % 2 == items % 2) & (items != (users + 2 * (users // 2)) % 20)
    ratings = Ratings(users[own], items[own], np.ones(own.sum()), 30, 20)
    fitted = fitter(tmp_path, "ials", options_of("ials", rank=2))(ratings, 2)
    assert [listed[0] for listed in fitted.lists(1)] == [(u + 2 * (u // 2)) % 20 for u in range(30)]


def test_movielens(data_set: Any, tmp_path: Path) -> None:
    """Precision at 10 (test ratings of 4 and 5) against popularity's 0.15."""
    train, test = movielens(data_set("ml-100k"))
    liked = test.take(test.values >= 4)
    relevant = Ratings(liked.users, liked.items, liked.values, 943, 1682).dense
    precision = {}
    for name in ("ials", "popularity"):
        fitted = fitter(tmp_path / name, name, options_of(name))(train, 2)
        lists = fitted.ranked(10)[0]
        hits = ~np.isnan(np.take_along_axis(relevant, lists, 1))
        precision[name] = hits[~np.isnan(relevant).all(1)].mean()
    assert precision["ials"] > 1.5 * precision["popularity"]
