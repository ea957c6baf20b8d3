"""Varied lists against a greedy choice in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.lists import reranking
from mfspark.kernels.lists.reranking import Variety, chosen_places
from tests.support.reference import greedy_choice

N_ITEMS, N_LISTS, M = 40, 50, 12


def made(seed: int) -> tuple[RankedLists, np.ndarray, np.ndarray]:
    """Lists of up to 12 items, some of them short; unit vectors; one to three genres of six."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, M + 1, N_LISTS)
    lengths[:20] = M
    indices = np.stack([rng.permutation(N_ITEMS)[:M] for _ in range(N_LISTS)]).astype(np.int32)
    scores = -np.sort(-rng.normal(3, 1, (N_LISTS, M)), axis=1)
    gone = np.arange(M) >= lengths[:, None]
    indices[gone], scores[gone] = NOBODY, -np.inf
    vectors = rng.normal(size=(N_ITEMS, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    genres = rng.random((N_ITEMS, 6)) < 0.3
    return RankedLists(indices, scores), vectors, genres


@pytest.mark.parametrize(
    "variety",
    [Variety(0.3), Variety(0.7), Variety(1.0), Variety(0.0, 2), Variety(0.5, 1), Variety(0.0, 0)],
)
@pytest.mark.parametrize("n", [1, 5, 12, 15])
def test_the_greedy_choice(variety: Variety, n: int) -> None:
    lists, vectors, genres = made(3)
    found = chosen_places(lists, n, variety, vectors, genres)
    assert found.shape == (N_LISTS, n)
    for row, items, scores in zip(found, lists.indices, lists.scores, strict=True):
        there = items != NOBODY
        given = items[there].tolist(), scores[there].tolist()
        expected = greedy_choice(*given, n, variety.share, variety.max_per_genre, vectors, genres)
        assert row.tolist() == expected + [NOBODY] * (n - len(expected))


def test_without_variety_a_list_stays_what_it_is() -> None:
    lists, vectors, genres = made(4)
    nothing = np.zeros((N_ITEMS, 0), np.float32)
    for given in (vectors, nothing):
        found = chosen_places(lists, 5, Variety(), given, genres)
        expected = np.where(lists.indices[:, :5] != NOBODY, np.arange(5), NOBODY)
        assert (found == expected).all()


def test_how_many_lists_are_chosen_at_once_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    lists, vectors, genres = made(5)
    whole = chosen_places(lists, 6, Variety(0.5, 2), vectors, genres)
    monkeypatch.setattr(reranking, "_ROWS", 7)
    assert (chosen_places(lists, 6, Variety(0.5, 2), vectors, genres) == whole).all()
    assert chosen_places(lists.take(slice(0, 0)), 6, Variety(0.5), vectors, genres).shape == (0, 6)


def test_equal_scores_are_told_apart_by_variety_alone() -> None:
    """Items 0 and 1 are alike, 2 is not: it comes second though it stands third."""
    lists = RankedLists(np.array([[0, 1, 2]], np.int32), np.full((1, 3), 4.0))
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    found = chosen_places(lists, 3, Variety(0.1), vectors, np.zeros((3, 0), bool))
    assert found.tolist() == [[0, 2, 1]]
