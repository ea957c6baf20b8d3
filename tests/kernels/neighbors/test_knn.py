from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from mfspark.config.models import SimilarityOptions
from mfspark.grid.views import Strips
from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import NOBODY, best_items
from mfspark.kernels.neighbors.aggregation import Aggregation, AggregationMethod, Centering
from mfspark.kernels.neighbors.knn import (
    NeighborSums,
    SparseRows,
    deviations_of_rows,
    weights_of_neighbors,
)
from mfspark.kernels.neighbors.similarity import Neighbors
from mfspark.models.neighbors.search import nearest_neighbors
from tests.support.grids import Array, Ratings, grid_of, stars
from tests.support.reference import (
    best_of_row,
    centers_and_spreads,
    knn_predictions,
    similarity_matrix,
)

METHODS = get_args(AggregationMethod)
RNG = np.random.default_rng(5)
BIASES = (3.0, RNG.normal(size=20), RNG.normal(size=12))


def continuous(seed: int) -> Ratings:
    rng = np.random.default_rng(seed)
    R = rng.uniform(-10, 10, (20, 12)).astype(np.float32)
    return Ratings.of_dense(np.where(rng.random(R.shape) < 0.3, R, np.nan))


def blocks_of(ratings: Ratings, P: int, Q: int) -> list[tuple[Array, list[Tile]]]:
    """Rows of every block of users, with its tiles."""
    grid = grid_of(ratings, P, Q)
    strips = Strips("user", 0, grid.tiles, grid.store)
    return [
        (grid.layout.indices("user", p), [tile for tile, _ in strips.tiles_of(p)]) for p in range(P)
    ]


def found(ratings: Ratings, k: int) -> Neighbors:
    grid = grid_of(ratings, 1, 1)
    options = SimilarityOptions(num_neighbors=k)
    blocks, _ = nearest_neighbors(grid, "user", "neighbors", options)
    return Neighbors.from_arrays(grid.store.get(blocks.references[0]))


def sums_of(
    ratings: Ratings,
    neighbors: Neighbors,
    aggregation: Aggregation,
    blocks: tuple[int, int] = (1, 1),
    least: float | None = None,
) -> NeighborSums:
    """What gives the scores of all cells of all users."""
    users = np.arange(ratings.n_users)
    level, spread = centers_and_spreads(ratings.dense, aggregation.method, BIASES)
    column_level = level[0] - level[0, 0]  # of the baseline; otherwise the row's alone
    centering = Centering(level[:, 0], spread, column_level)
    if aggregation.summed:
        centering = Centering.none(ratings.n_users, ratings.n_items)
    wanted = np.isin(users, neighbors.indices)
    room = len(ratings) // 3  # too little
    tiles = blocks_of(ratings, *blocks)
    known = deviations_of_rows(tiles, wanted, centering, least, room)
    weights = weights_of_neighbors(neighbors, len(users), aggregation)
    levels = (*centering.of_rows(), *centering.of_columns())
    return NeighborSums(SparseRows.of_matrix(weights), known, True, aggregation, levels)


def every_pair(ratings: Ratings) -> Tile:
    return Ratings.of_dense(np.zeros((ratings.n_users, ratings.n_items))).tile


def predicted(
    ratings: Ratings, k: int, aggregation: Aggregation, blocks: tuple[int, int] = (1, 1)
) -> Array:
    """All predictions of all users; NaN where there is none."""
    sums = sums_of(ratings, found(ratings, k), aggregation, blocks)
    return sums.of_pairs(every_pair(ratings)).reshape(ratings.n_users, ratings.n_items)


def cosine(ratings: Ratings) -> Array:
    """Similarities that are equal as fractions are equal as numbers: ties are ties."""
    return np.round(similarity_matrix(ratings.dense, "cosine"), 12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratings", [stars(1, 20, 12, 0.3), continuous(2)], ids=["stars", "reals"])
@pytest.mark.parametrize(("k", "min_k", "damping"), [(1, 1, 0.0), (4, 2, 0.5), (30, 1, 2.0)])
def test_predictions(
    ratings: Ratings, k: int, min_k: int, damping: float, method: AggregationMethod
) -> None:
    expected = knn_predictions(
        ratings.dense, cosine(ratings), k, method, min_k=min_k, damping=damping, biases=BIASES
    )
    found = predicted(ratings, k, Aggregation(method, min_k, damping))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_bits_do_not_depend_on_the_blocks(method: AggregationMethod) -> None:
    cuts = [(1, 1), (2, 1), (7, 5), (30, 4)]
    found = [predicted(continuous(3), 6, Aggregation(method), blocks) for blocks in cuts]
    assert len({predictions.tobytes() for predictions in found}) == 1


def test_sums_run_in_the_order_of_the_neighbors_indices() -> None:
    """1 is lost beside 1e16, and is not where 1e16 is gone before it comes."""
    ratings = Ratings.of_dense(np.array([[np.nan], [1e16], [1.0], [-1e16]]))
    nearest = np.array([[3, 1, 2]] + [[NOBODY] * 3] * 3, np.int32)
    near = Neighbors(nearest, np.ones((4, 3)), np.ones((4, 3), np.int32))
    sums = sums_of(ratings, near, Aggregation("mean"))
    assert sums.of_pairs(every_pair(ratings))[0] == 0.0
    assert sums.best(ratings.tile, 1, None).scores[0, 0] == 0.0


def test_a_prediction_of_zero_is_a_prediction() -> None:
    """Neighbors rated +2 and -2: the mean is 0, which a sparse matrix could lose."""
    R = np.array([[1.0, np.nan, np.nan], [1.0, 2.0, np.nan], [1.0, -2.0, np.nan]])
    np.testing.assert_array_equal(
        predicted(Ratings.of_dense(R), 2, Aggregation("mean"))[0], [1.0, 0.0, np.nan]
    )


def test_nobody_has_a_neighbor() -> None:
    ratings = Ratings.of_dense(np.where(np.eye(3) > 0, 4.0, np.nan))
    for method in ("mean", "weighted"):
        assert np.isnan(predicted(ratings, 2, Aggregation(method))).all()


def test_pairs_may_be_few_and_the_same() -> None:
    ratings = stars(1, 20, 12, 0.3)
    sums = sums_of(ratings, found(ratings, 4), Aggregation("weighted"))
    every = sums.of_pairs(every_pair(ratings)).reshape(20, 12)
    users, items = np.array([0, 3, 3, 3, 19]), np.array([11, 2, 2, 7, 0], np.int32)
    indptr = np.searchsorted(users, np.arange(21))
    pairs = Tile(indptr, items, np.zeros(5, np.float32), 12)
    np.testing.assert_array_equal(sums.of_pairs(pairs), every[users, items])


@pytest.mark.parametrize("n", [1, 3, 20])
@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize(
    ("aggregation", "least"),
    [
        (Aggregation("mean"), None),  # with many ties
        (Aggregation("zscore", 2, 0.5), None),
        (Aggregation("weighted", summed=True), 3.3),
        (Aggregation("weighted", 3, summed=True), None),
    ],
)
def test_lists(n: int, limited: bool, aggregation: Aggregation, least: float | None) -> None:
    ratings, neighbors = stars(4, 20, 12, 0.3), found(stars(4, 20, 12, 0.3), 9)
    eligible = np.arange(12) % 3 > 0 if limited else None
    sums = sums_of(ratings, neighbors, aggregation, (3, 2), least)
    lists = sums.best(ratings.tile, n, eligible)
    scores = sums.of_pairs(every_pair(ratings)).reshape(20, 12)
    barred = np.isnan(scores) | ~np.isnan(ratings.dense)
    if eligible is not None:
        barred |= ~eligible
    scores = np.where(barred, -np.inf, scores)
    assert (lists.lengths > 0).sum() > 10
    for row in range(20):
        best = best_of_row(scores[row], n)
        assert lists.indices[row, : lists.lengths[row]].tolist() == best
        np.testing.assert_array_equal(lists.scores[row, : len(best)], scores[row, best])


def test_ratings_are_compared_with_the_least_choice_as_precisely_as_they_are_kept() -> None:
    """3.3 is 3.29999995 in float32, and no less than itself."""
    ratings = Ratings.of_dense(np.array([[3.3, 3.2, np.nan], [3.4, np.nan, 1.0]]))
    centering = Centering.none(2, 3)
    known = deviations_of_rows(blocks_of(ratings, 1, 1), np.ones(2, bool), centering, 3.3, 4)
    kept = [known.columns[a:b].tolist() for a, b in zip(known.starts, known.ends, strict=True)]
    assert kept == [[0], [0]]


@pytest.mark.parametrize("n", [1, 3, 20])
@pytest.mark.parametrize("limited", [False, True])
def test_best_items(n: int, limited: bool) -> None:
    ratings = stars(4, 20, 12, 0.3)
    eligible = np.arange(12) % 3 > 0 if limited else None
    names = 5 * np.arange(12)
    scores = predicted(ratings, 4, Aggregation("mean"))
    known = np.where(np.isnan(scores), -np.inf, scores)
    lists = best_items(known, ratings.tile, n, eligible, names)
    barred = np.isnan(scores) | ~np.isnan(ratings.dense)
    if eligible is not None:
        barred |= ~eligible
    scores = np.where(barred, -np.inf, scores)
    for row in range(20):
        best = best_of_row(scores[row], n)
        assert lists.indices[row, : lists.lengths[row]].tolist() == names[best].tolist()
        np.testing.assert_array_equal(lists.scores[row, : len(best)], scores[row, best])
