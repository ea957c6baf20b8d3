from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.knn import best_items, predict_pairs, predictions, ratings_of_neighbors
from mfspark.kernels.similarity import Neighbors
from mfspark.model_options import SimilarityOptions
from mfspark.models.neighbors import nearest_neighbors
from tests.grids import Array, Ratings, grid_of, stars
from tests.reference import best_of_row, knn_predictions
from tests.reference import cosine_neighbors as dense_neighbors


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


@pytest.mark.parametrize("aggregation", ["mean", "weighted"])
@pytest.mark.parametrize("ratings", [stars(1, 20, 12, 0.3), continuous(2)], ids=["stars", "reals"])
@pytest.mark.parametrize("k", [1, 4, 30])
def test_predictions(ratings: Ratings, k: int, aggregation: str) -> None:
    neighbors, rows = found(ratings, k), np.arange(ratings.n_users)
    known = ratings_of_neighbors(neighbors, strips_of(ratings, 3))  # type: ignore[arg-type]
    predicted = predictions(neighbors, rows, known, aggregation)  # type: ignore[arg-type]
    expected = knn_predictions(ratings.dense, dense_neighbors(ratings.dense, k, 1), aggregation)
    users, items = np.divmod(np.arange(expected.size), ratings.n_items)
    every = Ratings(users, items, np.zeros(len(users)), *expected.shape)
    found_all = predict_pairs(predicted, every.tile).reshape(expected.shape)
    np.testing.assert_allclose(found_all, expected, rtol=1e-12, atol=1e-12)
    some = np.array([7, 3, 3])
    part = predictions(neighbors, some, known, aggregation)  # type: ignore[arg-type]
    assert (part.toarray() == predicted.toarray()[some]).all()


def test_bits_do_not_depend_on_the_blocks() -> None:
    ratings = continuous(3)
    neighbors, rows = found(ratings, 6), np.arange(ratings.n_users)
    answers = [
        predictions(neighbors, rows, ratings_of_neighbors(neighbors, strips), "weighted")  # type: ignore[arg-type]
        for strips in (strips_of(ratings, n_blocks) for n_blocks in (1, 2, 7, 30))
    ]
    for answer in answers[1:]:
        assert answer.data.tobytes() == answers[0].data.tobytes()
        assert answer.indices.tobytes() == answers[0].indices.tobytes()


def test_a_prediction_of_zero_is_a_prediction() -> None:
    """Neighbors rated +2 and -2: the mean is 0, which a sparse matrix could lose."""
    R = np.array([[1.0, np.nan, np.nan], [1.0, 2.0, np.nan], [1.0, -2.0, np.nan]])
    ratings = Ratings.of_dense(R)
    neighbors = found(ratings, 2)
    known = ratings_of_neighbors(neighbors, strips_of(ratings, 1))  # type: ignore[arg-type]
    predicted = predictions(neighbors, np.arange(3), known, "mean")
    asked = Ratings(np.array([0, 0]), np.array([1, 2]), np.zeros(2), 3, 3).tile
    np.testing.assert_array_equal(predict_pairs(predicted, asked), [0.0, np.nan])


@pytest.mark.parametrize("n", [1, 3, 20])
def test_best_items(n: int) -> None:
    ratings = stars(4, 20, 12, 0.3)
    neighbors = found(ratings, 4)
    known = ratings_of_neighbors(neighbors, strips_of(ratings, 2))  # type: ignore[arg-type]
    predicted = predictions(neighbors, np.arange(20), known, "mean")
    scores = knn_predictions(ratings.dense, dense_neighbors(ratings.dense, 4, 1), "mean")
    scores = np.where(np.isnan(scores) | ~np.isnan(ratings.dense), -np.inf, scores)
    lists = best_items(predicted, ratings.tile, n)
    for row in range(20):
        best = best_of_row(scores[row], n)
        assert lists.indices[row, : lists.lengths[row]].tolist() == best
        np.testing.assert_allclose(lists.scores[row, : len(best)], scores[row, best], rtol=1e-12)


def test_best_items_among_those_that_are_eligible() -> None:
    ratings = stars(4, 20, 12, 0.3)
    known = ratings_of_neighbors(found(ratings, 4), strips_of(ratings, 2))  # type: ignore[arg-type]
    predicted = predictions(found(ratings, 4), np.arange(20), known, "mean")
    eligible = np.arange(12) % 3 > 0
    every, some = (best_items(predicted, ratings.tile, 12, e) for e in (None, eligible))
    for listed, kept in zip(every.indices, some.indices, strict=True):
        expected = [i for i in listed if i >= 0 and eligible[i]]
        assert kept.tolist() == expected + [-1] * (12 - len(expected))


def test_nobody_has_a_neighbor() -> None:
    ratings = Ratings.of_dense(np.where(np.eye(3) > 0, 4.0, np.nan))
    neighbors = found(ratings, 2)
    known = ratings_of_neighbors(neighbors, strips_of(ratings, 2))  # type: ignore[arg-type]
    for aggregation in ("mean", "weighted"):
        predicted = predictions(neighbors, np.arange(3), known, aggregation)  # type: ignore[arg-type]
        assert np.isnan(predict_pairs(predicted, ratings.tile)).all()
        assert best_items(predicted, ratings.tile, 2).lengths.tolist() == [0, 0, 0]
