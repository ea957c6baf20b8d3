from __future__ import annotations

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
    ("options", "confidence"),
    [
        ({"by_rating": True, "alpha": 2.0}, lambda R: 2.0 * R),
        ({"by_rating": False, "alpha": 5.0}, lambda R: 5.0 * (R > 0)),
        ({"by_rating": True, "alpha": 2.0, "threshold": 3.5}, lambda R: 2.0 * R * (R >= 3.5)),
    ],
    ids=["by rating", "all alike", "from a threshold"],
)
def test_the_last_half_step_solves_every_cell(
    tmp_path: Path, solver: str, options: dict[str, Any], confidence: Any
) -> None:
    """The items were solved last, given the users: the dense solution over all cells is the same.

    One rating is 0 and one below: neither is a choice.
    """
    values = RATINGS.values.copy()
    values[:2] = 0.0, -1.0
    ratings = Ratings(RATINGS.users, RATINGS.items, values, 40, 25)
    chosen = {"rank": 3, "reg": 0.02, "solver": solver, "tol": 0, "max_iter": 30, **options}
    fitted = fitter(tmp_path, "ials", options_of("ials", **chosen))(ratings, 3)
    X, Y = factors(fitted)
    W = confidence(np.maximum(np.nan_to_num(ratings.dense), 0.0))
    choosing, chosen_items = (W > 0).any(1), (W > 0).any(0)  # the others are left out
    C = W[choosing][:, chosen_items]
    expected, loss = ials_rows(C.T, X[choosing].astype(np.float64), 0.02, options["alpha"])
    atol = 1e-4 if solver == "cholesky" else 0.01
    np.testing.assert_allclose(Y[chosen_items], expected, atol=atol)
    assert (Y[~chosen_items] == 0).all()
    rmse = (loss / (1 + C).sum()) ** 0.5
    assert fitted.model.history[-1].value == pytest.approx(rmse, rel=1e-3)


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
