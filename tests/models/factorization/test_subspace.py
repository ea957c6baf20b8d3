from __future__ import annotations

import numpy as np
import pytest

from mfspark.models.factorization.subspace import Matrix, start_columns, turn
from tests.support.grids import Ratings, grid_of, whole


def steep(n_users: int, n_items: int) -> Ratings:
    """All cells of a matrix whose singular values fall from 1000 to 0.5."""
    rng = np.random.default_rng(5)
    U, _ = np.linalg.qr(rng.normal(size=(n_users, 8)))
    V, _ = np.linalg.qr(rng.normal(size=(n_items, 8)))
    R = (U * np.geomspace(1000, 0.5, 8)) @ V.T
    return Ratings.of_dense(R)


@pytest.mark.parametrize("blocks", [(1, 1), (3, 2)])
@pytest.mark.parametrize("shape", [(60, 40), (40, 60)])
def test_small_directions_are_not_lost_beside_large_ones(
    shape: tuple[int, int], blocks: tuple[int, int]
) -> None:
    """Both bases of a turn are whitened: what is 1/2000 of the largest comes out right."""
    ratings = steep(*shape)
    grid = grid_of(ratings, *blocks)
    columns = start_columns(grid, "user", "start", 16, seed=1)
    for number in range(3):
        found = turn(grid, Matrix(), "user", f"turn/{number}", columns)
        columns = found.columns
    spectrum = found.spectrum.read(grid.store)
    expected = np.linalg.svd(np.nan_to_num(ratings.dense), compute_uv=False)
    np.testing.assert_allclose(np.sqrt(spectrum["values"][:8]), expected[:8], rtol=2e-3)
    U = whole(grid, found.rows, "basis") @ spectrum["rows"][:, :8]
    sV = whole(grid, found.columns, "basis") @ spectrum["columns"][:, :8]
    np.testing.assert_allclose(U.T @ U, np.eye(8), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(sV, axis=0), expected[:8], rtol=2e-3)
