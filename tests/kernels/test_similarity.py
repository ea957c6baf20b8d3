from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.measures import Similarity
from mfspark.kernels.moments import Rows
from mfspark.kernels.similarity import Neighbors, nearest
from mfspark.kernels.top_n import NOBODY
from mfspark.model_options import SimilarityOptions
from tests.grids import Array, Ratings, stars
from tests.reference import cosine_neighbors as dense_neighbors

NONE = np.nan


def neighbors(R: Array, k: int, min_support: int = 1, n_blocks: int = 1) -> Neighbors:
    """Cut users into blocks, as the grid does, and put the answers together again."""
    tile = Ratings.of_dense(R).tile
    strips = [
        (own, Rows.of(tile.take(own)))
        for p in range(n_blocks)
        for own in [np.arange(len(R))[p::n_blocks]]
    ]
    similarity = Similarity(SimilarityOptions(min_support=min_support))
    result = Neighbors(
        np.zeros((len(R), k), np.int32), np.zeros((len(R), k)), np.zeros((len(R), k), np.int32)
    )
    for own, strip in strips:
        part = nearest(strip, own, strips, k, similarity)
        for name, array in part.arrays().items():
            result.arrays()[name][own] = array
    return result


def check(R: Array, k: int, min_support: int = 1, n_blocks: int = 1) -> None:
    found = neighbors(R, k, min_support, n_blocks)
    for u, expected in enumerate(dense_neighbors(R, k, min_support)):
        missing = k - len(expected)
        indices, similarity, common = zip(*expected, strict=True) if expected else ((), (), ())
        assert found.indices[u].tolist() == [*indices, *[NOBODY] * missing]
        np.testing.assert_allclose(found.similarity[u], [*similarity, *[-np.inf] * missing], 1e-12)
        assert found.n_common[u].tolist() == [*common, *[0] * missing]


def continuous(seed: int, n_users: int, n_items: int, share: float) -> Array:
    rng = np.random.default_rng(seed)
    R = rng.uniform(-10, 10, (n_users, n_items)).astype(np.float32)
    return np.where(rng.random(R.shape) < share, R, NONE)


@pytest.mark.parametrize("k", [1, 5, 24, 40])
@pytest.mark.parametrize("min_support", [1, 2, 5])
@pytest.mark.parametrize("n_blocks", [1, 3, 30])
def test_half_stars(k: int, min_support: int, n_blocks: int) -> None:
    check(stars(k, 25, 12, 0.3).dense, k, min_support, n_blocks)


@pytest.mark.parametrize("n_blocks", [1, 4])
def test_continuous_ratings_of_both_signs(n_blocks: int) -> None:
    check(continuous(1, 25, 12, 0.3), 25, n_blocks=n_blocks)


def test_ties_go_to_the_lower_index() -> None:
    R = np.array([[1.0, 2.0], [2.0, 4.0], [1.0, 2.0], [3.0, 6.0]])  # one direction, four lengths
    for n_blocks in (1, 2, 3):
        found = neighbors(R, 2, n_blocks=n_blocks)
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
    assert neighbors(R, 3, min_support).indices[0].tolist() == [3, 1, 2]
    assert neighbors(R, 3, min_support).similarity[0, 1] == 0.0
    check(R, 3, min_support)


def test_ratings_of_zero() -> None:
    """A user whose ratings are all 0 has no direction: similarity 0, never NaN."""
    R = np.array([[0.0, 0.0], [0.0, 4.0], [2.0, 0.0], [NONE, NONE]])
    check(R, 3)
    assert neighbors(R, 3).indices.tolist() == [[1, 2, -1], [0, 2, -1], [0, 1, -1], [-1, -1, -1]]


def test_one_user_and_no_user() -> None:
    assert neighbors(np.array([[3.0]]), 1).indices.tolist() == [[NOBODY]]
    assert neighbors(np.empty((0, 3)), 2).indices.shape == (0, 2)


def test_arrays_round_trip() -> None:
    found = neighbors(stars(1, 9, 5, 0.5).dense, 3)
    again = Neighbors.from_arrays(found.arrays())
    assert again.indices.tolist() == found.indices.tolist()
    assert again.similarity.tolist() == found.similarity.tolist()
    assert again.n_common.tolist() == found.n_common.tolist()
