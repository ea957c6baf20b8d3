from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from mfspark.config.models import SimilarityOptions
from mfspark.kernels.neighbors.aggregation import Aggregation, AggregationMethod, Centering
from mfspark.kernels.arrays.tile import Tile
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


def strips_of(ratings: Ratings, n_blocks: int) -> list[tuple[Array, object]]:
    users = np.arange(ratings.n_users)
    return [(users[p::n_blocks], ratings.tile.take(users[p::n_blocks])) for p in range(n_blocks)]


def found(ratings: Ratings, k: int) -> Neighbors:
    grid = grid_of(ratings, 1, 1)
    options = SimilarityOptions(num_neighbors=k)
    blocks, _ = nearest_neighbors(grid, "user", "neighbors", options)
    return Neighbors.from_arrays(grid.store.get(blocks.references[0]))


def predicted(ratings: Ratings, k: int, aggregation: Aggregation, n_blocks: int = 1) -> Array:
    """All predictions of all users, by one product; NaN where there is none."""
    neighbors = found(ratings, k)
    users, items = np.arange(ratings.n_users), np.arange(ratings.n_items)
    level, spread = centers_and_spreads(ratings.dense, aggregation.method, BIASES)
    column_level = level[0] - level[0, 0]  # of the baseline; otherwise the row's alone
    centering = Centering(level[:, 0], spread, column_level)
    who, known = ratings_of_neighbors(neighbors, strips_of(ratings, n_blocks))  # type: ignore[arg-type]
    z = centering.deviations(known.values, who[known.rows], known.indices)
    left = weight_matrix(neighbors, users, who, aggregation)
    q = neighbor_scores(left, ratings_with_weights(known, z), aggregation).tocoo()
    P = np.full((len(users), len(items)), np.nan)
    P[q.row, q.col] = centering.ratings(q.data, q.row, q.col)
    return P


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
    found = [predicted(continuous(3), 6, Aggregation(method), n) for n in (1, 2, 7, 30)]
    assert len({predictions.tobytes() for predictions in found}) == 1


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
