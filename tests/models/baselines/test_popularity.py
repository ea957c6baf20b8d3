from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from tests.support.contract import RATINGS, ModelContract, options_of
from tests.support.grids import Array, Fit, Ratings, fitter
from tests.support.reference import best_of_row


class TestPopularity(ModelContract):
    name: ClassVar[ModelName] = "popularity"
    score_error: ClassVar[float] = 0.0

    def check_equal_ratings(self, known: Array) -> None:
        assert (known >= 1).all()  # the score is a count, whatever the ratings are

    def test_items_by_their_number_of_ratings(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 3)
        seen = ~np.isnan(RATINGS.dense)
        counts = seen.sum(0)
        assert (fitted.predictions == counts).all()
        lists = fitted.lists(10)
        for u in range(RATINGS.n_users):
            assert lists[u] == best_of_row(np.where(seen[u], -np.inf, counts), 10)
        assert fitted.model.kind == "ranking"

    def test_choices_are_counted_and_what_nobody_chose_comes_last(self, fit: Fit) -> None:
        """Also for users without any choice; items that nobody rated are never listed."""
        ratings = RATINGS.widened(0, 2)
        fitted = fit(ratings, 3, choices_from=4.0)
        seen, counts = ~np.isnan(ratings.dense), (ratings.dense >= 4.0).sum(0)
        assert (counts[:25] == 0).any()
        for u, listed in enumerate(fitted.lists(27)):
            unseen = np.where(seen[u] | ~seen.any(0), -np.inf, counts)
            assert listed == best_of_row(unseen, 27)

    def test_equally_popular_items_come_by_index(self, fit: Fit) -> None:
        """Every item has one rating: each list is the items in order, without the user's own."""
        ratings = Ratings.of_dense(np.where(np.eye(9) > 0, 3.0, np.nan))
        for blocks in (1, 2, 7):
            lists = fit(ratings, blocks).lists(9)
            assert lists == [[i for i in range(9) if i != u] for u in range(9)]


DAY = 24 * 60.0
HALF_LIFE = 30.0


def dated(seed: int = 1) -> Ratings:
    """The ratings with times over a year; some have none."""
    rng = np.random.default_rng(seed)
    minutes = np.floor(rng.uniform(0, 365 * DAY, len(RATINGS)))
    minutes[rng.random(len(RATINGS)) < 0.1] = np.nan
    return replace(RATINGS, minutes=minutes)


def by_age(ratings: Ratings, *span: float) -> list[float]:
    """Plain Python: what each item's ratings count; span: the oldest and the newest of all."""
    assert ratings.minutes is not None
    known = list(span) or [m for m in ratings.minutes.tolist() if m == m]
    counts = [0.0] * ratings.n_items
    for item, minute in zip(ratings.items.tolist(), ratings.minutes.tolist(), strict=True):
        age = max(known) - (minute if minute == minute else min(known))
        counts[item] += 0.5 ** (age / DAY / HALF_LIFE)
    return counts


class TestRecentPopularity(ModelContract):
    name: ClassVar[ModelName] = "popularity"
    options: ClassVar[dict[str, Any]] = {"half_life_days": HALF_LIFE}
    score_error: ClassVar[float] = 0.0

    @pytest.fixture
    def fit(self, tmp_path: Path) -> Fit:
        """Every fit of the suite is of dated ratings: those that have no times get some."""
        plain = fitter(tmp_path, self.name, options_of(self.name, **self.options))

        def fit(ratings: Ratings, *args: Any, **options: Any) -> Any:
            if ratings.minutes is None:
                minutes = 977.0 * ((31 * ratings.users + 17 * ratings.items) % 97)
                ratings = replace(ratings, minutes=minutes)
            return plain(ratings, *args, **options)

        return fit

    def check_equal_ratings(self, known: Array) -> None:
        assert (known > 0).all()

    def test_a_rating_counts_by_its_age(self, fit: Fit) -> None:
        ratings = dated()
        for blocks in (1, 3):
            fitted = fit(ratings, blocks)
            np.testing.assert_allclose(fitted.predictions[0], by_age(ratings), rtol=1e-6)
            order = np.argsort(-fitted.predictions[0], kind="stable")
            for user, found in enumerate(fitted.lists(5)):
                assert found == [i for i in order if np.isnan(ratings.dense[user, i])][:5]

    def test_choices_alone_count_by_their_age(self, fit: Fit) -> None:
        ratings = dated()
        chosen = ratings.take(np.flatnonzero(ratings.values >= 4.0))
        assert chosen.minutes is not None
        assert ratings.minutes is not None
        ends = [np.nanmin(ratings.minutes), np.nanmax(ratings.minutes)]
        expected = by_age(chosen, *ends)
        for blocks in (1, 3):
            found = fit(ratings, blocks, choices_from=4.0).predictions[0]
            np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_few_recent_ratings_beat_many_old_ones(self, fit: Fit) -> None:
        """Item 0: six ratings of a year ago; item 1: two of today; nobody rated item 2."""
        users, items = np.arange(8), np.array([0] * 6 + [1] * 2)
        minutes = np.where(items == 0, 0.0, 365 * DAY)
        ratings = Ratings(users, items, np.ones(8), 9, 3, minutes)
        scores = fit(ratings, 2).predictions[0]
        assert scores[1] == 2.0
        assert scores[0] == pytest.approx(6 * 0.5 ** (365 / HALF_LIFE))

    def test_ratings_without_times_are_refused(self, fit: Fit) -> None:
        undated = replace(RATINGS, minutes=np.full(len(RATINGS), np.nan))
        with pytest.raises(ConfigError, match="half_life_days needs times") as raised:
            fit(undated, 2)
        assert "ingest.columns.timestamp" in raised.value.hint
