from __future__ import annotations

from typing import ClassVar

import numpy as np

from mfspark.config.models import ModelName
from tests.support.contract import RATINGS, ModelContract
from tests.support.grids import Array, Fit, Ratings
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
