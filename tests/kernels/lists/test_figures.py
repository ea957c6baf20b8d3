"""Novelty, diversity and thirds against plain Python over sets and loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.lists.figures import diversity, novelty, self_information
from mfspark.kernels.lists.genres import MOST_GENRES, genre_rows, unit_rows
from mfspark.kernels.lists.thirds import Thirds

GENRES = [{"a"}, {"a", "b"}, {"b", "c", "d"}, set[str](), {"a", "b"}, {"d"}]
N = [8, 1, 0, 3, 5, 2]


def plain_novelty(items: list[int], n: list[int], n_users: int) -> float:
    return sum(-math.log2(max(n[i], 1) / n_users) for i in items) / len(items)


def plain_diversity(items: list[int]) -> float | None:
    known = [GENRES[i] for i in items if GENRES[i]]
    pairs = list(itertools.combinations(known, 2))
    unlike = [1 - len(one & other) / math.sqrt(len(one) * len(other)) for one, other in pairs]
    return sum(unlike) / len(pairs) if pairs else None


def lists(seed: int) -> tuple[list[list[int]], np.ndarray]:
    """Lists of 0 to 4 different items, as lists and as rows that end with NOBODY."""
    rng = np.random.default_rng(seed)
    found = [rng.permutation(6)[: rng.integers(0, 5)].tolist() for _ in range(60)]
    return found, np.array([row + [NOBODY] * (4 - len(row)) for row in found], np.int32)


@pytest.mark.parametrize("seed", [1, 2])
def test_novelty_and_diversity_of_every_list(seed: int) -> None:
    rows, indices = lists(seed)
    vectors = unit_rows(genre_rows([sorted(names) for names in GENRES]))
    new = novelty(indices, self_information(np.array(N), 9))
    unlike = diversity(indices, vectors)
    for row, found, spread in zip(rows, new, unlike, strict=True):
        if row:
            assert found == pytest.approx(plain_novelty(row, N, 9))
        else:
            assert np.isnan(found)
        expected = plain_diversity(row)
        if expected is None:
            assert np.isnan(spread)
        else:
            assert spread == pytest.approx(expected, abs=1e-6)


def test_a_list_of_one_genre_has_no_diversity_and_one_of_different_ones_has_all() -> None:
    vectors = unit_rows(genre_rows([["a"], ["a"], ["b"], ["c"], None]))
    found = diversity(np.array([[0, 1], [2, 3], [0, 4]], np.int32), vectors)
    assert found[:2].tolist() == [0.0, 1.0]
    assert np.isnan(found[2])
    assert np.isnan(diversity(np.array([[0, 1]], np.int32), np.zeros((2, 0), np.float32))).all()


def test_genres_beyond_the_most_are_left_out() -> None:
    names = [[f"g{i:04d}", "all"] for i in range(MOST_GENRES + 5)]
    rows = genre_rows(names)
    assert rows.shape == (MOST_GENRES + 5, MOST_GENRES)
    assert rows[:, 0].all()
    assert rows.sum() == MOST_GENRES + 5 + MOST_GENRES - 1


def test_thirds_hold_a_third_each_and_ties_stay_together() -> None:
    n = np.array([0] * 4 + list(range(1, 31)))
    thirds = Thirds.of(n)
    assert thirds == Thirds(10, 20)
    assert np.bincount(thirds.part_of(n)).tolist() == [4, 10, 10, 10]
    assert thirds.labels == ("none", "few (1-10)", "some (11-20)", "many (21+)")
    same = np.full(9, 7)
    assert set(Thirds.of(same).part_of(same).tolist()) == {1}
    assert Thirds.of(np.zeros(3, int)).part_of(np.zeros(3, int)).tolist() == [0, 0, 0]
