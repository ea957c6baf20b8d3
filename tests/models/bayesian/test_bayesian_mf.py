from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.bayesian.posterior import PosteriorModel
from mfspark.models.registry import load_model
from tests.support.contract import RATINGS, FactorContract, options_of
from tests.support.grids import Array, Fit, Fitted, Ratings, fitter, movielens, planted, whole


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
        "burn_in": 2,
        "warm_burn_in": 2,
        "samples": 2,
        "keep": 2,
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
        noise = whole(fitted.grid, model.user, "noise")
        assert 0.27 < noise.mean() < 0.33  # planted: 0.3
        assert noise.std() < 0.03  # of all users alike
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
            noise = whole(fitted.grid, model.user, "noise")
            expected = np.sqrt(scores.var(2) + noise[:, None] ** 2)
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
    asked = ratings.users, ratings.items
    return fitted.of_pairs(*asked, deviations_of, "deviation", ratings.minutes)


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


def test_intervals_hold_for_steady_and_for_moody_users_of_movielens(
    data_set: Any, tmp_path: Path
) -> None:
    """By fifths of the test ratings, by how the user's ratings spread; one level: .83 to .96."""
    train, test = movielens(data_set("ml-100k"))
    options = options_of("bayesian_mf", rank=8, burn_in=10, samples=30, pattern_features=0)
    fitted = fitter(tmp_path, "bayesian_mf", options)(train)
    scores, deviation = fitted.predict(test.users, test.items), deviations(fitted, test)
    assert isinstance(fitted.model, PosteriorModel)
    inside = np.abs(scores - test.values) < fitted.model.half_width * deviation
    n, total = np.bincount(train.users), np.bincount(train.users, train.values)
    spread = np.bincount(train.users, train.values**2) / n - (total / n) ** 2
    coverage = coverage_of_fifths(inside, spread[test.users])
    assert min(coverage) > 0.88
    assert max(coverage) < 0.92


def planted_levels(seed: int) -> tuple[Ratings, Ratings, Array]:
    """A planted matrix whose users have noise of their own: nu = 5 and s = 0.09."""
    train, test = planted(seed, 150, 100, 9_000, noise=0.0)
    rng = np.random.default_rng(seed)
    noise = 0.3 * rng.gamma(2.5, 1 / 2.5, 150) ** -0.5

    def noisy(ratings: Ratings) -> Ratings:
        errors = noise[ratings.users] * rng.normal(size=len(ratings))
        return replace(ratings, values=ratings.values + errors)

    return noisy(train), noisy(test), noise


def coverage_of_fifths(inside: Array, known: Array) -> list[float]:
    """Return the share inside of each fifth of the ratings, by what is known of them."""
    return [inside[fifth].mean() for fifth in np.array_split(np.argsort(known, kind="stable"), 5)]


LEVELS = {**TestBayesianMF.planted_options, "samples": 60, "keep": 60}


def test_the_noise_of_each_user_is_recovered_and_intervals_hold_for_all(tmp_path: Path) -> None:
    """By fifths of the users: of their noise, of how their ratings spread, and of their number."""
    train, test, noise = planted_levels(1)
    fitted = fitter(tmp_path, "bayesian_mf", options_of("bayesian_mf", **LEVELS))(train, 2)
    assert isinstance(fitted.model, PosteriorModel)
    found = whole(fitted.grid, fitted.model.user, "noise")
    assert np.corrcoef(np.log(found), np.log(noise))[0, 1] > 0.9
    assert np.median(found / noise) == pytest.approx(1, abs=0.06)
    half = fitted.model.half_width * deviations(fitted, test)
    inside = np.abs(fitted.predict(test.users, test.items) - test.values) < half
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    spread = np.array([train.values[train.users == u].std() for u in range(150)])
    for known in (noise, spread, np.bincount(train.users)):
        coverage = coverage_of_fifths(inside, known[test.users])
        assert min(coverage) > 0.85
        assert max(coverage) < 0.95


def test_noise_is_in_the_unit_of_the_ratings(tmp_path: Path) -> None:
    """The same ratings in another unit and from another zero: the same model."""
    train, _, _ = planted_levels(2)
    options = options_of("bayesian_mf", **LEVELS | {"burn_in": 5, "samples": 10, "keep": 10})
    fit = fitter(tmp_path, "bayesian_mf", options)
    one, ten = fit(train, 2), fit(replace(train, values=20 + 10 * train.values), 2)
    np.testing.assert_allclose(ten.predictions, 20 + 10 * one.predictions, atol=0.01)
    noise, tenfold = (whole(f.grid, f.model.user, "noise") for f in (one, ten))  # type: ignore[attr-defined]
    np.testing.assert_allclose(tenfold, 10 * noise, rtol=1e-3)


def test_a_user_without_ratings_has_the_noise_of_all(tmp_path: Path) -> None:
    train, _, _ = planted_levels(3)
    options = options_of("bayesian_mf", **LEVELS | {"burn_in": 10, "samples": 20})
    fitted = fitter(tmp_path, "bayesian_mf", options)(train.widened(1, 0), 3)
    found = whole(fitted.grid, fitted.model.user, "noise")  # type: ignore[attr-defined]
    assert found[150] == pytest.approx((5 * 0.09 / 3) ** 0.5, rel=0.15)  # nu s / (nu - 2)
    assert np.isnan(fitted.predict(np.array([150]), np.array([0]))[0])


def planted_days(seed: int) -> tuple[Ratings, Ratings]:
    """A planted matrix whose users have a mood of standard deviation 0.5 a day, over four days."""
    train, test = planted(seed, 60, 60, 3_000)
    rng = np.random.default_rng(seed)
    mood = 0.5 * rng.normal(size=(60, 4))

    def timed(ratings: Ratings) -> Ratings:
        minutes = rng.integers(0, 4 * 1440, len(ratings)).astype(np.float64)
        values = ratings.values + mood[ratings.users, (minutes // 1440).astype(int)]
        return replace(ratings, values=values, minutes=minutes)

    return timed(train), timed(test)


MOODS = {**TestBayesianMF.planted_options, "samples": 60, "keep": 60, "user_time_bins": (1440,)}


def test_moods_of_days_are_recovered_in_any_number_of_blocks(tmp_path: Path) -> None:
    """Known moods leave the noise of 0.3; unknown ones cannot be told from noise."""
    train, test = planted_days(1)
    fit = fitter(tmp_path / "with", "bayesian_mf", options_of("bayesian_mf", **MOODS))
    rmse = {}
    for blocks in (1, 3):
        fitted = fit(train, blocks)
        rmse[blocks] = fitted.rmse(test)
        assert rmse[blocks] < 0.40
        assert fitted.rmse(replace(test, minutes=None)) > 0.5
        model = fitted.model
        assert isinstance(model, PosteriorModel)
        assert model.time_biases is not None
        assert 0.15 < model.time_biases.variances["user"][0] < 0.35  # planted: 0.25
        for known in (True, False):
            asked = test if known else replace(test, minutes=None)
            half = model.half_width * deviations(fitted, asked)
            scores = fitted.predict(asked.users, asked.items, asked.minutes)
            assert (np.abs(scores - asked.values) < half).mean() == pytest.approx(0.9, abs=0.04)
    assert abs(rmse[1] - rmse[3]) < 2e-3
    without = options_of("bayesian_mf", **MOODS | {"user_time_bins": ()})
    assert fitter(tmp_path / "without", "bayesian_mf", without)(train).rmse(test) > 0.5


def test_time_bins_of_items_are_those_of_users_the_other_way_round(tmp_path: Path) -> None:
    train, test = planted_days(2)

    def turned(ratings: Ratings) -> Ratings:
        return replace(ratings, users=ratings.items, items=ratings.users)

    options = MOODS | {"user_time_bins": (), "item_time_bins": (1440,)}
    fit = fitter(tmp_path, "bayesian_mf", options_of("bayesian_mf", **options))
    assert fit(turned(train), 2).rmse(turned(test)) < 0.40


def test_times_that_are_not_known_count_for_nothing(tmp_path: Path) -> None:
    """Unknown for all: as without time bins. Unknown for one pair: its score is timeless."""
    train, test = planted_days(3)
    options = MOODS | {"samples": 5, "keep": 5, "burn_in": 5}
    fit = fitter(tmp_path, "bayesian_mf", options_of("bayesian_mf", **options))
    unknown = fit(replace(train, minutes=np.full(len(train), np.nan)), 2)
    without = fit(replace(train, minutes=None), 2)
    np.testing.assert_allclose(unknown.predictions, without.predictions, atol=1e-6)
    fitted, minutes = fit(train, 2), test.minutes.copy()
    minutes[::2] = np.nan
    mixed = fitted.predict(test.users, test.items, minutes)
    timeless = fitted.predict(test.users, test.items)
    np.testing.assert_array_equal(mixed[::2], timeless[::2])
    assert (mixed[1::2] != timeless[1::2]).mean() > 0.9
    loaded = load_model("bayesian_mf", json.loads(json.dumps(fitted.model.record())))
    assert loaded == fitted.model
