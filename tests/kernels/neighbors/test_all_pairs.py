"""Neighbors found in chunks are those of the dense similarities, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.kernels.arrays.top_n import RankedLists, top_columns
from mfspark.kernels.neighbors import all_pairs as module
from mfspark.kernels.neighbors.all_pairs import chunks_of, compare_all, left_for, lists_of
from mfspark.kernels.neighbors.measures import MEASURES, Similarity
from mfspark.kernels.neighbors.moments import Rows
from mfspark.kernels.neighbors.packed import Packing, off_grid
from mfspark.kernels.neighbors.shortlist import Shortlist
from mfspark.kernels.neighbors.similarity import similarities
from tests.support.grids import Array, Ratings, stars

N, K = 60, 7


def reals(low: float, high: float) -> Array:
    rng = np.random.default_rng(1)
    R = rng.uniform(low, high, (N, 40)).astype(np.float32)
    return np.where(rng.random(R.shape) < 0.3, R, np.nan)


def awkward() -> Array:
    """Constant raters, identical users, users with one rating, with none, with nothing shared."""
    R = stars(2, N, 40, 0.3).dense
    R[5, ~np.isnan(R[5])] = 4.0
    R[6] = R[7] = R[8] = R[50]
    R[10:20] = np.nan
    R[10, 0] = R[11, 0] = 3.5
    R[12, 39], R[:12, 39], R[13:, 39] = 2.0, np.nan, np.nan
    R[20, ~np.isnan(R[20])] = 0.0
    return R


def almost_equal() -> Array:
    """Directions that differ by less than float32 can tell."""
    rng = np.random.default_rng(3)
    R = (1 + np.arange(40) % 7) / 3 * (1 + 1e-6 * rng.random((N, 40)))
    return np.where(rng.random(R.shape) < 0.95, R, np.nan)


KINDS = {
    "half stars": stars(1, N, 40, 0.3).dense,
    "whole, negative too": np.round(reals(-5, 5)),
    "reals": reals(-10, 10),
    "positive reals": reals(0.1, 1),
    "awkward": awkward(),
    "awkward reals": awkward() / 3,
    "almost equal": almost_equal(),
    "huge": reals(-10, 10) * np.float32(1e25),
    "tiny": reals(-10, 10) * np.float32(1e-25),
}


def found(R: Array, similarity: Similarity, k: int, head: int) -> RankedLists:
    tile = Ratings.of_dense(R).tile
    low, high = tile.values.min(), tile.values.max()
    chosen = Packing.of(off_grid(tile.values) > 0, low, high, np.zeros(R.shape[1]), len(R))
    packing = Packing(chosen.step, low, high, head)
    chunks = chunks_of(Rows.of(np.arange(len(R)), tile), packing, RankedLists.empty(len(R), k))
    compare_all(chunks, chunks, similarity)
    return lists_of(chunks, k)


def check(R: Array, k: int = K, head: int = 9, **options: Any) -> RankedLists:
    similarity = Similarity(**options)
    rows = Rows.of(np.arange(len(R)), Ratings.of_dense(R).tile)
    scores = similarities(rows, rows, similarity)
    np.fill_diagonal(scores, -np.inf)
    expected = top_columns(scores, k, np.arange(len(R)))
    lists = found(R, similarity, k, head)
    assert lists.indices.tolist() == expected.indices.tolist()
    assert lists.scores.tobytes() == expected.scores.tobytes()
    return lists


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 16)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("k", [1, K, N])
def test_every_measure_over_every_kind_of_ratings(kind: str, measure: str, k: int) -> None:
    check(KINDS[kind], k, name=measure)
    check(KINDS[kind], k, name=measure, shrinkage=3, min_support=2, significance=4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("few", [0.0, 1.0])
def test_pairs_that_share_enough_are_computed_together_or_one_by_one(
    kind: str, measure: str, few: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEW", few)
    check(KINDS[kind], name=measure, shrinkage=20)
    check(KINDS[kind], name=measure, significance=9, min_similarity=0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [0, 1, 40])
def test_any_head(kind: str, head: int) -> None:
    check(KINDS[kind], head=head)
    check(KINDS[kind], head=head, name="cosine_corated", min_similarity=0.5)


@pytest.mark.parametrize("size", [7, 59, 60, 100])
def test_any_size_of_chunks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", size)
    for kind in ("half stars", "reals", "awkward"):
        check(KINDS[kind])


@pytest.mark.parametrize("kind", ["half stars", "reals", "positive reals"])
@pytest.mark.parametrize("measure", ["cosine", "cosine_corated"])
def test_rounding_does_not_decide_who_is_similar_enough(kind: str, measure: str) -> None:
    """Those who are exactly as similar as is asked for are neighbors."""
    for least in check(KINDS[kind], name=measure).scores[:8, K - 1]:
        lists = check(KINDS[kind], name=measure, min_similarity=float(least))
        assert least in lists.scores


def test_most_pairs_are_never_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a chunk is offered falls as its bars rise."""
    offered: list[int] = []
    offer = Shortlist.offer

    def counting(self: Shortlist, rows: Array, indices: Array, scores: Array) -> None:
        offered.append(len(rows))
        offer(self, rows, indices, scores)

    monkeypatch.setattr(module, "_CHUNK", 100)
    monkeypatch.setattr(Shortlist, "offer", counting)
    R = stars(3, 1000, 60, 0.3).dense
    for ratings in (R, R / 3):
        offered.clear()
        found(ratings, Similarity(), K, 30)
        assert sum(offered) < 0.1 * 1000 * 999


def test_no_rows() -> None:
    packing = Packing(1.0, 1.0, 5.0, 2)
    rows = Rows.of(np.arange(0), Ratings.of_dense(np.empty((0, 4))).tile)
    chunks = chunks_of(rows, packing, RankedLists.empty(0, 3))
    compare_all(chunks, chunks, Similarity())
    assert lists_of(chunks, 3).indices.shape == (0, 3)
    assert len(left_for(chunks)["rows"]) == 0
