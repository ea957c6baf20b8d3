from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.kernels.neighbors import nearest_raters as module
from mfspark.kernels.neighbors.aggregation import Aggregation
from mfspark.kernels.neighbors.nearest_raters import Raters, scores_from_raters
from tests.support.grids import Array, Ratings, stars
from tests.support.reference import knn_predictions

RATINGS = stars(1, 30, 9, 0.5)


def similarity(seed: int, levels: int) -> Array:
    """Symmetric, with many ties, negative ones and a fifth who are no neighbors."""
    rng = np.random.default_rng(seed)
    S = np.triu(rng.integers(-levels, 2 * levels, (30, 30)) / (2 * levels), 1)
    S[rng.random(S.shape) < 0.2] = -np.inf
    S = np.where(np.tri(30, dtype=bool), 0, S)
    S = np.triu(S, 1) + np.triu(S, 1).T
    np.fill_diagonal(S, -np.inf)
    return S


def scores(S: Array, wanted: Ratings, k: int, aggregation: Aggregation) -> Array:
    tile = RATINGS.tile
    known = Raters.of(tile, tile.values.astype(np.float64))
    Q = np.full((30, 9), np.nan)
    q = scores_from_raters(S, wanted.tile, known, k, aggregation)
    Q[wanted.users, wanted.items] = q
    return Q


EVERY = Ratings.of_dense(np.zeros((30, 9)))


@pytest.mark.parametrize("method", ["mean", "weighted"])
@pytest.mark.parametrize("k", [1, 4, 100])
@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize("min_k", [1, 3])
def test_the_k_nearest_raters(k: int, method: Any, levels: int, min_k: int) -> None:
    S = similarity(levels, levels)
    expected = knn_predictions(RATINGS.dense, S, k, method, among="raters", min_k=min_k)
    found = scores(S, EVERY, k, Aggregation(method, min_k))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_pair_has_the_same_bits_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    S, aggregation = similarity(1, 1000), Aggregation("weighted")
    everything = scores(S, EVERY, 4, aggregation)
    some = EVERY.take(np.random.default_rng(1).random(len(EVERY)) < 0.1)
    few = scores(S, some, 4, aggregation)
    at = some.users, some.items
    assert few[at].tobytes() == everything[at].tobytes()
    monkeypatch.setattr(module, "_CELLS", 64)
    assert scores(S, EVERY, 4, aggregation).tobytes() == everything.tobytes()


def test_a_column_nobody_rated_has_no_scores() -> None:
    none = Ratings.of_dense(np.full((30, 9), np.nan)).tile
    known = Raters.of(none, np.empty(0))
    found = scores_from_raters(similarity(1, 3), EVERY.tile, known, 4, Aggregation("mean"))
    assert np.isnan(found).all()
