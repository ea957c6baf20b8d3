from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from mfspark.models.factorization import svd
from mfspark.models.factorization.subspace import OVERSAMPLING
from mfspark.models.factorization.svd import SVDModel
from tests.support.contract import RATINGS, ModelContract, options_of
from tests.support.grids import (
    Array,
    Fit,
    Fitted,
    Ratings,
    fitter,
    planted,
    stars,
    titled_movielens,
    whole,
)

ZEROS = Ratings(RATINGS.users, RATINGS.items, np.zeros(len(RATINGS)), 40, 25)
WIDE = stars(5, 30, 70, 0.2)


class TestSVD(ModelContract):
    name: ClassVar[ModelName] = "svd"
    options: ClassVar[dict[str, Any]] = {"rank": 6}
    tolerance: ClassVar[float] = 1e-4

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:  # noqa: ARG002
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=self.tolerance)

    def check_equal_ratings(self, known: Array) -> None:
        """Not rated counts as 0, so that the best approximation lies between 0 and the ratings."""
        assert known.min() > -3
        assert known.max() < 6

    def test_it_only_ranks(self, fit: Fit) -> None:
        assert fit(RATINGS).model.kind == "ranking"


class TestRandomizedSVD(TestSVD):
    options: ClassVar[dict[str, Any]] = {
        "rank": 6,
        "solver": "randomized",
        "max_iter": 60,
        "tol": 0,
    }


class TestSVDOfResiduals(TestSVD):
    options: ClassVar[dict[str, Any]] = {"rank": 6, "unrated": "baseline"}

    def check_equal_ratings(self, known: Array) -> None:
        np.testing.assert_allclose(known, 4.0, atol=0.01)

    def test_it_only_ranks(self, fit: Fit) -> None:
        assert fit(RATINGS).model.kind == "rating"  # nothing is ranked alone here


def fitted_svd(folder: Path, ratings: Ratings, blocks: int = 1, **options: Any) -> Fitted:
    return fitter(folder, "svd", options_of("svd", **options))(ratings, blocks)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 2e4])
@pytest.mark.parametrize("solver", ["gram", "randomized"])
def test_what_reproduces_all_ratings_has_no_lists(tmp_path: Path, solver: str, unit: float) -> None:
    """Unrated cells are 0 then, but for the rounding, which is no order of items."""
    ratings = replace(RATINGS, values=unit * RATINGS.values)
    full = fitted_svd(tmp_path / "full", ratings, 2, rank=32, solver=solver)
    unrated = full.predictions[np.isnan(ratings.dense)]
    assert 0 < np.abs(unrated).max() < 1e-5 * unit
    assert not any(full.lists(10))
    most = fitted_svd(tmp_path / "most", ratings, 2, rank=24, solver=solver)
    assert all(most.lists(10))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("rank", [5, 40])
def test_rows_of_zeros_have_no_factors(tmp_path: Path, wide: bool, rank: int) -> None:
    """Not 1e-17, whose products are as good as any."""
    ratings = WIDE if wide else Ratings(WIDE.items, WIDE.users, WIDE.values, 70, 30)
    zeros = (ratings.users % 9 == 4) | (ratings.items % 7 == 2)
    values = np.where(zeros, 0.0, ratings.values)
    fitted = fitted_svd(tmp_path, replace(ratings, values=values), 2, rank=rank)
    U, _, Y = triplets(fitted)
    assert not U[4::9].any()
    assert not Y[2::7].any()
    assert not any(fitted.lists(9)[4::9])


def test_a_list_ends_where_scores_are_rounding(tmp_path: Path) -> None:
    """Two groups of users and items that never meet: nobody is told of the other group's items."""
    few, many = np.kron([[1, 0], [1, 1]], np.ones((4, 4))), stars(2, 12, 10, 0.6).dense
    R = np.zeros((20, 18))
    R[:8, :8], R[8:, 8:] = few, 100 * np.nan_to_num(many)
    ratings = Ratings.of_dense(np.where(R > 0, R, np.nan))
    fitted = fitted_svd(tmp_path, ratings, rank=7)
    lists = fitted.lists(18)
    for user, listed in enumerate(lists):
        assert set(listed) <= set(range(8, 18) if user >= 8 else range(8))
    assert sum(len(listed) > 0 for listed in lists[8:]) > 6


def triplets(fitted: Fitted) -> tuple[Array, Array, Array]:
    model = fitted.model
    assert isinstance(model, SVDModel)
    U, Y = (whole(fitted.grid, side, "factors") for side in (model.user, model.item))
    return U, np.array(model.singular_values), Y


@pytest.mark.parametrize("solver", ["gram", "randomized"])
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("ratings", [RATINGS, WIDE], ids=["more users", "more items"])
def test_factors_are_the_leading_triplets(
    tmp_path: Path, ratings: Ratings, blocks: int, solver: str
) -> None:
    """x = U, y = s V: the best approximation there is, whichever side is the smaller."""
    options = {"rank": 5, "solver": solver, "max_iter": 60, "tol": 0}
    U, s, Y = triplets(fitted_svd(tmp_path, ratings, blocks, **options))
    R = np.nan_to_num(ratings.dense)
    left, values, right = np.linalg.svd(R, full_matrices=False)
    np.testing.assert_allclose(s, values[:5], rtol=1e-6)
    np.testing.assert_allclose(U @ Y.T, (left[:, :5] * values[:5]) @ right[:5], atol=1e-3)
    np.testing.assert_allclose(U.T @ U, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(Y, axis=0), values[:5], rtol=1e-5)


def test_few_turns_are_near_the_truth_and_say_what_is_left(tmp_path: Path) -> None:
    fitted = fitted_svd(tmp_path, WIDE, 2, rank=4, solver="randomized", tol=1e-4)
    _, s, _ = triplets(fitted)
    values = np.linalg.svd(np.nan_to_num(WIDE.dense), compute_uv=False)
    np.testing.assert_allclose(s, values[:4], rtol=0.01)
    left = np.square(WIDE.values).sum() - np.square(s).sum()
    losses = [loss.value for loss in fitted.model.history]
    assert losses[-1] == pytest.approx((left / (30 * 70)) ** 0.5, rel=1e-5)
    assert 1 < len(losses) <= 8
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("energy_of", ["nuclear", "frobenius"])
@pytest.mark.parametrize("energy", [0.01, 0.5, 0.9])
def test_energy_keeps_what_stays_below_the_share(
    tmp_path: Path, energy: float, energy_of: str
) -> None:
    _, s, _ = triplets(fitted_svd(tmp_path, RATINGS, 2, energy=energy, energy_of=energy_of))
    values = np.linalg.svd(np.nan_to_num(RATINGS.dense), compute_uv=False)
    parts = values if energy_of == "nuclear" else values**2
    expected = max(1, int((np.cumsum(parts) / parts.sum() < energy).sum()))
    assert len(s) == expected


def test_energy_of_1_rebuilds_the_ratings(tmp_path: Path) -> None:
    fitted = fitted_svd(tmp_path, RATINGS, 2, energy=1.0, energy_of="nuclear")
    assert len(triplets(fitted)[1]) == 25
    rebuilt = fitted.predict(RATINGS.users, RATINGS.items)
    np.testing.assert_allclose(rebuilt, RATINGS.values, atol=1e-4)


def test_a_share_out_of_reach_keeps_max_rank_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"energy": 0.99, "solver": "randomized", "max_rank": 3}
    _, s, _ = triplets(fitted_svd(tmp_path, WIDE, **options))
    assert len(s) == 3 + OVERSAMPLING
    assert "less than models.svd.energy = 0.99" in caplog.text


def test_a_rank_above_the_smaller_side_keeps_all_triplets(tmp_path: Path) -> None:
    for solver in ("gram", "randomized"):
        U, s, Y = triplets(fitted_svd(tmp_path / solver, RATINGS, 3, rank=60, solver=solver))
        assert len(s) == U.shape[1] == Y.shape[1] == 25
        np.testing.assert_allclose(U @ Y.T, np.nan_to_num(RATINGS.dense), atol=1e-3)


@pytest.mark.parametrize("options", [{"rank": 3}, {"energy": 0.9}, {"solver": "randomized"}])
def test_a_matrix_of_zeros_has_no_triplets_and_scores_0(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    fitted = fitted_svd(tmp_path, ZEROS, 2, **options)
    assert len(triplets(fitted)[1]) == 0
    assert (fitted.predictions == 0).all()
    assert all(listed == sorted(listed) for listed in fitted.lists(5))  # ties: the lower index


@pytest.mark.parametrize(
    "options",
    [
        {"energy": 0},
        {"energy": 1.01},
        {"rank": 0},
        {"energy": 0.9, "energy_of": "nuclear", "solver": "randomized"},
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options_of("svd", **options)


def test_a_gram_matrix_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svd, "_LARGEST_GRAM", 24)
    with pytest.raises(ConfigError, match=r"energy_of = \"nuclear\" decomposes a 25 x 25") as error:
        fitted_svd(tmp_path, RATINGS, energy=0.9, energy_of="nuclear")
    assert "frobenius" in error.value.hint


def test_residuals_of_a_planted_matrix_are_recovered(tmp_path: Path) -> None:
    """Nearly all cells are known: what is left after the biases is of rank 3."""
    train, test = planted(1, 80, 60, 4_700)
    found = fitted_svd(tmp_path, train, 2, rank=3, unrated="baseline")
    baseline = fitter(tmp_path / "baseline", "baseline", options_of("baseline"))(train)
    assert found.rmse(test) < 0.6 * baseline.rmse(test)


def test_golden_ml_latest_small(golden: Any, data_set: Any, tmp_path: Path) -> None:
    """Users x distinct titles: spectrum, rank, errors on the known cells, and the right titles."""
    expected = golden("svd_ml_latest_small")
    ratings, titles = titled_movielens(data_set("ml-latest-small"))
    assert [ratings.n_users, ratings.n_items] == expected["shape"]
    fitted = fitted_svd(tmp_path, ratings, 2, energy=0.9, energy_of="nuclear")
    model = fitted.model
    assert isinstance(model, SVDModel)
    first = expected["singular_values_first_8"]
    np.testing.assert_allclose(model.singular_values[:8], first, rtol=1e-6)
    assert model.squares == pytest.approx(expected["frobenius_squared"], rel=1e-9)
    assert len(model.singular_values) == expected["k_at_energy_0.90"]
    errors = fitted.predict(ratings.users, ratings.items) - ratings.values
    known = expected["reconstruction_on_known"]
    assert np.abs(errors).mean() == pytest.approx(known["mae"], abs=1e-4)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(known["rmse"], abs=1e-4)
    indices, scores = fitted.ranked(6)
    for user, listed in expected["top6_unseen"].items():
        row = int(user) - 1
        assert [titles[i] for i in indices[row]] == [entry["title"] for entry in listed]
        np.testing.assert_allclose(scores[row], [e["score"] for e in listed], atol=1e-4)
