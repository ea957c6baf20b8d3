"""What every model must do: one suite that the test class of each model subclasses.

All fits run in this process on a few ratings; a subclass names the model and its options, and says
how far its answers may differ between block counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName, Models
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.factor_model import FactorModel
from mfspark.models.registry import load_model
from tests.support.grids import Array, Fit, Fitted, Ratings, bits, fitter, planted, stars, whole

RATINGS = stars(1, 40, 25, 0.3)
FEW = stars(2, 6, 4, 0.6)


def options_of(name: ModelName, **options: Any) -> Models:
    return Models.model_validate({name: options})


class ModelContract:
    name: ClassVar[ModelName]
    options: ClassVar[dict[str, Any]] = {}
    tolerance: ClassVar[float] = 1e-6
    """By how much predictions may differ between block counts."""
    score_error: ClassVar[float] = 1e-5
    """By how much the score of a list may differ from the prediction of the pair."""
    ranked_by_prediction: ClassVar[bool] = True
    """Whether the scores of lists are predictions."""

    @pytest.fixture
    def fit(self, tmp_path: Path) -> Fit:
        return fitter(tmp_path, self.name, options_of(self.name, **self.options))

    # --- determinism ----------------------------------------------------------------------------

    def answers(self, fitted: Fitted) -> tuple[list[bytes], Any]:
        """Everything the model says, to the last bit."""
        predictions, (indices, scores) = fitted.predictions, fitted.ranked(8)
        return [a.tobytes() for a in (predictions, indices, scores)], self.blocks(fitted)

    def blocks(self, fitted: Fitted) -> Any:
        model = fitted.model
        sides = (model.user, model.item) if isinstance(model, FactorModel) else (model.neighbors,)  # type: ignore[attr-defined]
        return bits(fitted.grid.store, *sides)

    @pytest.mark.parametrize("blocks", [1, 3])
    def test_a_refit_gives_the_same_bits(self, fit: Fit, blocks: int) -> None:
        assert self.answers(fit(RATINGS, blocks)) == self.answers(fit(RATINGS, blocks))

    @pytest.mark.parametrize("blocks", [1, 3])
    def test_the_order_of_the_ratings_does_not_matter(self, fit: Fit, blocks: int) -> None:
        shuffled = fit(RATINGS.shuffled(1), blocks)
        assert self.answers(shuffled) == self.answers(fit(RATINGS, blocks))

    @pytest.mark.parametrize("blocks", [(2, 2), (7, 7), (5, 2), (2, 5)])
    def test_the_number_of_blocks_does_not_matter(self, fit: Fit, blocks: tuple[int, int]) -> None:
        many = fit(RATINGS, blocks[0], item_blocks=blocks[1])
        self.check_same_answers(many, fit(RATINGS), RATINGS)

    def test_more_blocks_than_users_and_items(self, fit: Fit) -> None:
        self.check_same_answers(fit(FEW, 9), fit(FEW), FEW)

    def check_same_answers(self, found: Fitted, expected: Fitted, ratings: Ratings) -> None:  # noqa: ARG002
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=self.tolerance)
        assert found.lists(8) == expected.lists(8)

    # --- at the edges ---------------------------------------------------------------------------

    def test_users_and_items_without_ratings(self, fit: Fit) -> None:
        """Nothing is known of them: NaN, never inf, and no lists; the others are as without."""
        wide, narrow = fit(RATINGS.widened(3, 2), 2), fit(RATINGS, 2)
        predictions = wide.predictions
        assert not np.isinf(predictions).any()
        self.check_unknown(wide, predictions[40:], predictions[:, 25:])
        np.testing.assert_allclose(
            predictions[:40, :25], narrow.predictions, atol=max(1e-4, self.tolerance)
        )
        lists = wide.lists(30)
        assert lists[40:] == [[], [], []]
        assert not {25, 26} & {item for listed in lists for item in listed}

    def check_unknown(self, fitted: Fitted, of_users: Array, of_items: Array) -> None:  # noqa: ARG002
        assert np.isnan(of_users).all()
        assert np.isnan(of_items).all()

    def test_lists_are_ranked_and_new_to_the_user(self, fit: Fit) -> None:
        for blocks in (1, 4):
            self.check_ranked(fit(RATINGS, blocks), RATINGS, 8)

    def test_more_is_asked_for_than_there_is(self, fit: Fit) -> None:
        self.check_ranked(fit(RATINGS, 2), RATINGS, RATINGS.n_items + 5)

    def check_ranked(self, fitted: Fitted, ratings: Ratings, n: int) -> None:
        """Compare lists with the sorted predictions of all unseen items."""
        indices, scores = fitted.ranked(n)
        predictions, seen = fitted.predictions, ~np.isnan(ratings.dense)
        assert indices.shape == scores.shape == (ratings.n_users, n)
        for u in range(ratings.n_users):
            length = int((indices[u] != NOBODY).sum())
            listed, given = indices[u, :length], scores[u, :length]
            assert (indices[u, length:] == NOBODY).all()
            assert (scores[u, length:] == -np.inf).all()
            assert len(set(listed.tolist())) == length
            assert not seen[u, listed].any()
            step = np.diff(given)
            assert (step <= 0).all()
            assert (np.diff(listed)[step == 0] > 0).all()  # ties go to the lower index
            if not self.ranked_by_prediction:
                continue
            unseen = predictions[u, ~seen[u] & seen.any(0) & ~np.isnan(predictions[u])]
            best = np.sort(unseen)[::-1][:n]
            np.testing.assert_allclose(given, best, atol=self.score_error)
            np.testing.assert_allclose(given, predictions[u, listed], atol=self.score_error)

    def test_all_ratings_are_equal(self, fit: Fit) -> None:
        same = Ratings(RATINGS.users, RATINGS.items, np.full(len(RATINGS), 4.0), 40, 25)
        fitted = fit(same, 2)
        self.check_ranked(fitted, same, 8)
        known = fitted.predictions[~np.isnan(fitted.predictions)]
        assert len(known) > 500
        self.check_equal_ratings(known)

    def check_equal_ratings(self, known: Array) -> None:
        np.testing.assert_allclose(known, 4.0, atol=0.2)

    @pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1)])
    @pytest.mark.parametrize("blocks", [1, 2])
    def test_one_user_or_one_item(self, fit: Fit, shape: tuple[int, int], blocks: int) -> None:
        rated = np.random.default_rng(1).integers(1, 6, shape).astype(np.float64)
        if shape == (1, 6):
            rated[0, 4:] = np.nan
        ratings = Ratings.of_dense(rated)
        fitted = fit(ratings, blocks)
        assert not np.isinf(fitted.predictions).any()
        self.check_ranked(fitted, ratings, 3)

    def test_an_item_rated_by_everyone(self, fit: Fit) -> None:
        R = RATINGS.dense
        R[:, 7] = 5.0
        ratings = Ratings.of_dense(R)
        fitted = fit(ratings, 2)
        assert not any(7 in listed for listed in fitted.lists(25))
        assert np.isfinite(fitted.predictions[:, 7]).all()
        self.check_ranked(fitted, ratings, 8)

    # --- save and load --------------------------------------------------------------------------

    def test_record_and_load(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 3)
        record = json.loads(json.dumps(fitted.model.record()))
        loaded = Fitted(load_model(self.name, record), fitted.grid)
        assert loaded.model == fitted.model
        assert self.answers(loaded) == self.answers(fitted)


class FactorContract(ModelContract):
    """What models with factors must do besides."""

    planted_options: ClassVar[dict[str, Any]]
    planted_rmse: ClassVar[float]
    """What the planted matrix must be predicted with; its noise is 0.3."""
    warm_options: ClassVar[dict[str, Any]]
    """So short a training that a cold start does not get far."""
    n_samples: ClassVar[int] = 1
    """Factors of this many samples stand side by side."""

    def factors(self, fitted: Fitted) -> tuple[Array, Array]:
        assert isinstance(fitted.model, FactorModel)
        return (
            whole(fitted.grid, fitted.model.user, "factors"),
            whole(fitted.grid, fitted.model.item, "factors"),
        )

    def test_rows_without_ratings_have_no_factors(self, fit: Fit) -> None:
        users, items = self.factors(fit(RATINGS.widened(3, 2), 2))
        assert (users[40:] == 0).all()
        assert (items[25:] == 0).all()
        assert (users[:40] != 0).any(1).all()

    def test_another_seed_gives_other_factors(self, fit: Fit) -> None:
        one, other = (self.factors(fit(RATINGS, seed=seed))[0] for seed in (1, 2))
        assert not np.allclose(one, other, atol=1e-3)

    @pytest.mark.parametrize("rank", [1, 60])
    def test_rank_below_and_above_both_sides(self, tmp_path: Path, rank: int) -> None:
        options = options_of(self.name, **self.options | {"rank": rank})
        fitted = fitter(tmp_path, self.name, options)(RATINGS, 3)
        assert [side.shape[1] for side in self.factors(fitted)] == 2 * [self.n_samples * rank]
        assert np.isfinite(fitted.predictions).all()
        assert np.abs(fitted.predictions).max() < 20
        self.check_ranked(fitted, RATINGS, 8)

    def test_the_loss_falls(self, fit: Fit) -> None:
        losses = [loss.value for loss in fit(RATINGS, 2).model.history if loss.split == "train"]
        assert len(losses) > 2
        assert losses[-1] < 0.9 * losses[0]

    def test_a_warm_start_goes_on_where_the_last_fit_ended(self, tmp_path: Path) -> None:
        """Also with a user and an item more than last time, which start afresh."""
        first = fitter(tmp_path / "first", self.name, options_of(self.name, **self.options))
        less = RATINGS.take((RATINGS.users != 3) & (RATINGS.items != 5))
        last, few = first(less, 2), options_of(self.name, **self.options | self.warm_options)
        warm = fitter(tmp_path / "warm", self.name, few)(RATINGS, 3, start_from=last)
        cold = fitter(tmp_path / "cold", self.name, few)(RATINGS, 3)
        assert np.isfinite(warm.predictions).all()
        assert warm.rmse(less) < last.rmse(less) + 0.3 * (cold.rmse(less) - last.rmse(less))

    def test_a_planted_matrix_is_recovered_from_any_number_of_blocks(self, tmp_path: Path) -> None:
        """Rank 3 and biases under noise of 0.3: no model can do better than 0.3."""
        train, test = planted(1, 80, 60, 3_000)
        fit = fitter(tmp_path, self.name, options_of(self.name, **self.planted_options))
        rmse = [fit(train, blocks).rmse(test) for blocks in (1, 2, 7)]
        assert min(rmse) > 0.3
        assert max(rmse) < self.planted_rmse
        assert max(rmse) - min(rmse) < 2e-3
        baseline = fitter(tmp_path / "baseline", "baseline", Models())(train)
        assert max(rmse) < 0.6 * baseline.rmse(test)
