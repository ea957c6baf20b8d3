from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.top_n import RankedLists, top_columns
from mfspark.kernels.neighbors.shortlist import Shortlist
from tests.support.grids import Array


def expected(scores: Array, k: int) -> RankedLists:
    return top_columns(scores, k, np.arange(scores.shape[1]))


def offer(shortlist: Shortlist, scores: Array, columns: Array) -> None:
    rows, at = np.nonzero(scores[:, columns] > -np.inf)
    shortlist.offer(rows, columns[at], scores[rows, columns[at]])


def check(found: RankedLists, wanted: RankedLists) -> None:
    assert found.indices.tolist() == wanted.indices.tolist()
    assert found.scores.tolist() == wanted.scores.tolist()


SCORES = {
    "different": np.random.default_rng(1).normal(size=(7, 60)),
    "many equal": np.random.default_rng(2).integers(0, 3, (7, 60)) / 4,
    "all equal": np.ones((7, 60)),
    "equal in float32": 1 + np.random.default_rng(3).integers(0, 9, (7, 60)) * 1e-12,
    "few": np.where(np.random.default_rng(4).random((7, 60)) < 0.1, 0.5, -np.inf),
    "none": np.full((7, 60), -np.inf),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("k", [1, 4, 70])
def test_what_is_left_are_the_best_in_whatever_order_they_came(name: str, k: int) -> None:
    scores, rng = SCORES[name], np.random.default_rng(5)
    for parts in (1, 5, 60):
        shortlist = Shortlist(7, k)
        for columns in np.array_split(rng.permutation(60), parts):
            offer(shortlist, scores, columns)
            assert (shortlist.bars <= expected(scores, k).scores[:, -1]).all()
        check(shortlist.lists(), expected(scores, k))


@pytest.mark.parametrize("name", SCORES)
def test_going_on_from_lists(name: str) -> None:
    """With the lists themselves, or with their bars alone."""
    scores, k = SCORES[name], 4
    before, after = np.arange(0, 60, 2), np.arange(1, 60, 2)
    first = Shortlist(7, k)
    offer(first, scores, before)
    lists = first.lists()
    going_on = Shortlist.of(lists)
    offer(going_on, scores, after)
    check(going_on.lists(), expected(scores, k))

    elsewhere = Shortlist.of(lists, bars_only=True)
    offer(elsewhere, scores, after)
    together = Shortlist.of(lists)
    together.offer_arrays(elsewhere.arrays())
    check(together.lists(), expected(scores, k))


def test_equal_candidates_do_not_pile_up() -> None:
    shortlist = Shortlist(3, 5)
    for start in range(0, 1000, 10):
        offer(shortlist, np.ones((3, 1000)), np.arange(start, start + 10))
        assert len(shortlist) <= 3 * 5 + 3 * 10
    assert shortlist.lists().indices.tolist() == [[0, 1, 2, 3, 4]] * 3
