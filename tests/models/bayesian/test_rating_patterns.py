from __future__ import annotations

import numpy as np
import pytest

from mfspark.models.bayesian.rating_patterns import pattern_features
from mfspark.schemas import Side
from tests.support.grids import grid_of, stars, whole

RATINGS = stars(3, 60, 40, 0.3)


def patterns(side: Side) -> np.ndarray:
    """F = D^-1/2 B, densely."""
    B = (~np.isnan(RATINGS.dense)).astype(float)
    B = B if side == "user" else B.T
    return B / np.sqrt(B.sum(1, keepdims=True))


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("blocks", [(1, 1), (3, 2), (7, 9)])
def test_features_are_the_leading_singular_vectors(side: Side, blocks: tuple[int, int]) -> None:
    grid = grid_of(RATINGS, *blocks)
    found = pattern_features(grid, side, "patterns", 8, seed=1)
    U, scales = whole(grid, found, "features"), grid.store.get(found.references[0])["scales"]
    vectors, values, _ = np.linalg.svd(patterns(side), full_matrices=False)
    np.testing.assert_allclose(scales, values[:8] ** 2, rtol=1e-4)
    signs = np.where(vectors[:, :8].sum(0) < 0, -1, 1)
    np.testing.assert_allclose(U, vectors[:, :8] * signs, atol=5e-3)


def test_more_features_than_there_are_dimensions() -> None:
    grid = grid_of(RATINGS, 2, 2)
    found = pattern_features(grid, "user", "patterns", 500, seed=1)
    U, scales = whole(grid, found, "features"), grid.store.get(found.references[0])["scales"]
    assert U.shape == (60, 40)
    F = patterns("user")
    np.testing.assert_allclose((U * scales) @ U.T, F @ F.T, atol=1e-4)
    np.testing.assert_allclose(U.T @ U, np.eye(40), atol=1e-3)


def test_nothing_but_the_features_remains() -> None:
    grid = grid_of(RATINGS, 2, 2)
    found = pattern_features(grid, "user", "patterns", 4, seed=1)
    held = {r for r in grid.store._groups if r.startswith("patterns")}  # type: ignore[attr-defined]
    assert held == set(found.references)
