"""Neighbors found on a grid, in any number of blocks, against dense oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.config.models import SimilarityOptions
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.views import Strips
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.neighbors import all_pairs
from mfspark.kernels.neighbors.measures import MEASURES
from mfspark.kernels.neighbors.similarity import Neighbors, similarities
from mfspark.models.neighbors.search import nearest_neighbors
from mfspark.schemas import Side
from tests.support.grids import Array, Ratings, grid_of, stars, whole
from tests.support.reference import best_of_row, similarity_matrix
from tests.support.reference import cosine_neighbors as dense_neighbors

NONE = np.nan


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_pairs, "_CHUNK", 9)


def neighbors(
    R: Array, k: int, n_blocks: int = 1, side: Side = "user", biases: Any = None, **options: Any
) -> Neighbors:
    """Find the neighbors of all rows of one side, and put the blocks together."""
    chosen = SimilarityOptions(num_neighbors=k, **options)
    layout = (n_blocks, 2) if side == "user" else (2, n_blocks)
    grid = grid_of(Ratings.of_dense(R), *layout)
    blocks, _ = nearest_neighbors(grid, side, "near", chosen, biases and biases(grid))
    names = ("indices", "similarity", "n_common")
    return Neighbors(*(whole(grid, blocks, name) for name in names))


def check(R: Array, k: int, min_support: int = 1, n_blocks: int = 1) -> None:
    """Against exact fractions."""
    found = neighbors(R, k, n_blocks, min_support=min_support)
    width = found.indices.shape[1]
    for u, expected in enumerate(dense_neighbors(R, width, min_support)):
        missing = width - len(expected)
        indices, similarity, common = zip(*expected, strict=True) if expected else ((), (), ())
        assert found.indices[u].tolist() == [*indices, *[NOBODY] * missing]
        np.testing.assert_allclose(found.similarity[u], [*similarity, *[-np.inf] * missing], 1e-12)
        assert found.n_common[u].tolist() == [*common, *[0] * missing]


def reals(seed: int, n_users: int, n_items: int, share: float) -> Array:
    rng = np.random.default_rng(seed)
    R = rng.uniform(-10, 10, (n_users, n_items)).astype(np.float32)
    return np.where(rng.random(R.shape) < share, R, NONE)


# --- cosine --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 24, 40])
@pytest.mark.parametrize("min_support", [1, 2, 5])
@pytest.mark.parametrize("n_blocks", [1, 3, 30])
def test_half_stars(k: int, min_support: int, n_blocks: int) -> None:
    check(stars(k, 25, 12, 0.3).dense, k, min_support, n_blocks)


@pytest.mark.parametrize("n_blocks", [1, 4])
def test_continuous_ratings_of_both_signs(n_blocks: int) -> None:
    check(reals(1, 25, 12, 0.3), 25, n_blocks=n_blocks)


def test_ties_go_to_the_lower_index() -> None:
    R = np.array([[1.0, 2.0], [2.0, 4.0], [1.0, 2.0], [3.0, 6.0]])  # one direction, four lengths
    for n_blocks in (1, 2, 3):
        found = neighbors(R, 2, n_blocks)
        assert found.indices.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_users_with_nothing_in_common_are_no_neighbors() -> None:
    R = np.array([[5.0, NONE, NONE], [NONE, 4.0, NONE], [NONE, 3.0, NONE], [NONE] * 3])
    found = neighbors(R, 3)
    assert found.indices.tolist() == [[-1] * 3, [2, -1, -1], [1, -1, -1], [-1] * 3]
    assert found.n_common.tolist() == [[0] * 3, [1, 0, 0], [1, 0, 0], [0] * 3]


@pytest.mark.parametrize("min_support", [1, 2])
def test_items_in_common_that_cancel_out_still_make_neighbors(min_support: int) -> None:
    """Similarity 0 lies between the positive and the negative ones."""
    R = np.array([[1.0, 1.0], [1.0, -1.0], [-2.0, -1.0], [3.0, 1.0]])
    found = neighbors(R, 3, min_support=min_support)
    assert found.indices[0].tolist() == [3, 1, 2]
    assert found.similarity[0, 1] == 0.0
    check(R, 3, min_support)


def test_ratings_of_zero() -> None:
    """A user whose ratings are all 0 has no direction: similarity 0, never NaN."""
    R = np.array([[0.0, 0.0], [0.0, 4.0], [2.0, 0.0], [NONE, NONE]])
    check(R, 3)
    found = neighbors(R, 3).indices.tolist()
    assert found == [[1, 2, -1], [0, 2, -1], [0, 1, -1], [-1, -1, -1]]


def test_one_user_and_no_user() -> None:
    assert neighbors(np.array([[3.0]]), 1).indices.tolist() == [[NOBODY]]
    assert neighbors(np.empty((0, 3)), 2).indices.shape == (0, 1)


# --- every measure --------------------------------------------------------------------------------


def made_biases(grid: Grid) -> BySide:
    return {side: _made(grid, side) for side in ("user", "item")}


def _made(grid: Grid, side: Side) -> Blocks:
    return grid.create(side, "biases", lambda indices: {"bias": biases_of(side, indices)})


def biases_of(side: Side, indices: Array) -> Array:
    return (np.sin(indices + (3.0 if side == "user" else 1.5)) / 2).astype(np.float32)


KINDS = {"stars": stars(4, 40, 30, 0.3).dense, "reals": reals(2, 40, 30, 0.3)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("side", ["user", "item"])
def test_every_measure(kind: str, measure: str, side: Side) -> None:
    """The nearest of the dense similarities, and the same bits in any number of blocks."""
    R = KINDS[kind] if side == "user" else KINDS[kind].T
    n_rows, n_columns = R.shape
    other = "item" if side == "user" else "user"
    mean = Ratings.of_dense(KINDS[kind]).values.mean()
    biases = mean, biases_of(side, np.arange(n_rows)), biases_of(other, np.arange(n_columns))
    expected = similarity_matrix(R, measure, biases)
    rated = (~np.isnan(R)).astype(int)
    common = rated @ rated.T
    expected[common < 3] = -np.inf  # two in common correlate by 1 or -1, but for rounding
    np.fill_diagonal(expected, -np.inf)
    options = {"similarity": measure, "min_support": 3, "shrinkage": 0, "biases": made_biases}
    one = neighbors(KINDS[kind], 6, 1, side, **options)
    for u, near in enumerate(one.indices):
        best = np.sort(expected[u])[::-1][:6]
        np.testing.assert_allclose(one.similarity[u], best, rtol=0, atol=1e-6)
        listed = near[near != NOBODY]
        assert listed.tolist() == best_of_row(np.round(expected[u], 9), 6)
        assert one.n_common[u, : len(listed)].tolist() == common[u, listed].tolist()
    for n_blocks in (3, 12):
        many = neighbors(KINDS[kind], 6, n_blocks, side, **options)
        assert [a.tobytes() for a in many.arrays().values()] == [
            a.tobytes() for a in one.arrays().values()
        ]


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weights_for_ranking(weighting: str) -> None:
    R = KINDS["stars"]
    expected = similarity_matrix(R, "cosine", weighting=weighting)
    np.fill_diagonal(expected, -np.inf)
    for n_blocks in (1, 4):
        found = neighbors(R, 6, n_blocks, weighting=weighting)
        best = np.sort(np.nan_to_num(expected, nan=-np.inf))[:, ::-1][:, :6]
        np.testing.assert_allclose(found.similarity, best, rtol=0, atol=1e-12)


def test_nothing_is_left_in_the_store() -> None:
    grid = grid_of(stars(1, 20, 10, 0.4), 3, 2)
    biases = made_biases(grid)
    before = set(grid.store._groups)  # type: ignore[attr-defined]
    options = SimilarityOptions(similarity="pearson_baseline")
    blocks, compare = nearest_neighbors(grid, "user", "near", options, biases)
    after = set(grid.store._groups) - before  # type: ignore[attr-defined]
    assert compare.biases == biases
    assert after == {*blocks.references, *compare.columns.references}


def test_any_rows_can_be_compared_alike() -> None:
    """What found the neighbors gives the rows of all blocks as they were compared."""
    R = KINDS["reals"]
    grid = grid_of(Ratings.of_dense(R), 3, 2)
    _, compare = nearest_neighbors(
        grid, "user", "near", SimilarityOptions(similarity="adjusted_cosine", shrinkage=2)
    )
    found = np.empty((40, 40))
    strips = Strips("user", 0, grid.tiles, grid.store)
    for rows in compare.all_rows(strips):
        for others in compare.all_rows(strips):
            near = similarities(rows, others, compare.similarity)
            found[np.ix_(rows.indices, others.indices)] = near
    rated = (~np.isnan(R)).astype(int)
    n = rated @ rated.T
    expected = np.where(n > 0, similarity_matrix(R, "adjusted_cosine") * n / (n + 2), -np.inf)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
