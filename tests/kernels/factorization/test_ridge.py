from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.factorization.normal_equations import RatingBlock
from mfspark.kernels.factorization.ridge import RidgeSolver
from tests.support.grids import Ratings, stars
from tests.support.reference import ridge_rows

Array = np.ndarray


def solved(
    solver: RidgeSolver, ratings: Ratings, F: Array, start: Array | None = None
) -> tuple[Array, float]:
    tile = ratings.tile
    if start is None:
        start = np.zeros((tile.n_rows, F.shape[1]))
    part = RatingBlock(tile, F.astype(np.float32), tile.values.copy())
    return with_squares(part, *solver.solve([part], start.astype(np.float32)))


def with_squares(part: RatingBlock, W: Array, fit: float) -> tuple[Array, float]:
    """Add the targets' sum of squares: the sum of squared errors."""
    return W, fit + float(np.square(part.targets, dtype=np.float64).sum())


def features(seed: int, n: int, k: int) -> Array:
    return np.random.default_rng(seed).normal(size=(n, k))


def lopsided(seed: int) -> Ratings:
    """Rows of 0, 1, 2, ... and of all columns, in no order."""
    rng = np.random.default_rng(seed)
    degrees = rng.permutation([0, 0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 60, 60])
    R = np.full((len(degrees), 60), np.nan)
    for row, degree in enumerate(degrees):
        R[row, rng.choice(60, degree, replace=False)] = rng.integers(1, 11, degree) / 2 - 3
    return Ratings.of_dense(R)


@pytest.mark.parametrize("k", [1, 4, 20, 70])
@pytest.mark.parametrize("reg", [0.02, 0.5])
def test_cholesky_solves_the_normal_equations(k: int, reg: float) -> None:
    ratings, F = lopsided(k), features(1, 60, k)
    W, loss = solved(RidgeSolver(reg), ratings, F)
    expected, expected_loss = ridge_rows(ratings.dense, F, reg)
    assert W.dtype == np.float32
    np.testing.assert_allclose(W, expected, atol=2e-4)
    assert loss == pytest.approx(expected_loss, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("method", ["cholesky", "cg"])
def test_rows_without_ratings_are_zero(method: str) -> None:
    ratings, F = lopsided(3), features(2, 60, 4)
    start = np.ones((14, 4))  # the last solution must not shine through
    W, _ = solved(RidgeSolver(0.1, method), ratings, F, start)  # type: ignore[arg-type]
    empty = ratings.tile.degrees == 0
    assert empty.sum() == 2
    assert (W[empty] == 0).all()
    assert (W[~empty] != 0).any(1).all()


def test_loss_is_that_of_the_solution_returned() -> None:
    """Also where conjugate gradients stop early, far from the best solution."""
    ratings, F = stars(5, 30, 40, 0.4), features(3, 40, 6)
    for solver in (RidgeSolver(0.1), RidgeSolver(0.1, "cg", 1), RidgeSolver(0.1, "cg", 3)):
        W, loss = solved(solver, ratings, F)
        assert loss == pytest.approx(np.nansum((ratings.dense - W @ F.T) ** 2), rel=1e-4)


def test_conjugate_gradients_converge_to_the_exact_solution() -> None:
    ratings, F = lopsided(4), features(4, 60, 8)
    expected, loss = ridge_rows(ratings.dense, F, 0.1)
    errors = []
    for steps in (1, 3, 30):
        W, cg_loss = solved(RidgeSolver(0.1, "cg", steps), ratings, F)
        errors.append(np.abs(W - expected).max())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3
    assert cg_loss == pytest.approx(loss, rel=1e-3)


def test_conjugate_gradients_go_on_from_the_last_solution() -> None:
    ratings, F = lopsided(4), features(4, 60, 8)
    expected, _ = ridge_rows(ratings.dense, F, 0.1)
    cold, _ = solved(RidgeSolver(0.1, "cg", 2), ratings, F)
    warm, _ = solved(RidgeSolver(0.1, "cg", 2), ratings, F, expected + 0.01)
    there, _ = solved(RidgeSolver(0.1, "cg", 2), ratings, F, expected)
    assert np.abs(warm - expected).max() < 0.1 * np.abs(cold - expected).max()
    np.testing.assert_allclose(there, expected, atol=1e-4)


def test_a_row_with_more_ratings_than_a_batch_holds() -> None:
    """40,000 and 70,000 ratings in one row beside rows with a few and with none."""
    rng = np.random.default_rng(6)
    n_columns, degrees = 70_000, np.array([3, 70_000, 0, 40_000, 100])
    columns = [np.sort(rng.choice(n_columns, n, replace=False)) for n in degrees]
    values = rng.normal(size=degrees.sum())
    rows = np.repeat(np.arange(5), degrees)
    tile = Tile.from_triples(rows, np.concatenate(columns), values, 5, n_columns)
    F = rng.normal(size=(n_columns, 3))
    part = RatingBlock(tile, F.astype(np.float32), tile.values.copy())
    W, loss = with_squares(part, *RidgeSolver(0.1).solve([part], np.zeros((5, 3), np.float32)))
    expected, expected_loss = np.zeros((5, 3)), 0.0
    for row in range(5):  # a dense row at a time: the matrix would be large
        dense = np.full((1, n_columns), np.nan)
        dense[0, columns[row]] = values[rows == row]
        solution, row_loss = ridge_rows(dense, F, 0.1)
        expected[row], expected_loss = solution[0], expected_loss + row_loss
    np.testing.assert_allclose(W, expected, atol=1e-5)
    assert loss == pytest.approx(expected_loss, rel=1e-5)


def test_a_row_does_not_depend_on_its_neighbors() -> None:
    """Rows are padded to the longest of their batch; the padding must not leak."""
    ratings, F = lopsided(7), features(7, 60, 5)
    W, _ = solved(RidgeSolver(0.1), ratings, F)
    for row in range(ratings.n_users):
        R = ratings.dense[[row]]
        alone, _ = solved(RidgeSolver(0.1), Ratings.of_dense(R), F)
        np.testing.assert_allclose(alone[0], W[row], atol=1e-5)


def test_hardly_any_regularisation_keeps_the_solution_in_bounds() -> None:
    """Three ratings, 16 features: A has rank 3, and float32 sees no 1e-9 on its diagonal."""
    rng = np.random.default_rng(0)
    R = np.full((40, 20), np.nan)
    for row in range(40):
        R[row, rng.choice(20, 3, replace=False)] = rng.normal(size=3)
    ratings, F = Ratings.of_dense(R), features(8, 20, 16)
    shortest = ridge_rows(R, F, 1e-4)[0]
    W, loss = solved(RidgeSolver(1e-9), ratings, F)
    assert np.isfinite(W).all()
    assert np.linalg.norm(W) < 1.5 * np.linalg.norm(shortest)
    assert loss == pytest.approx(np.nansum((R - W @ F.T) ** 2), abs=1e-2)


def test_many_rows_with_one_rating_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """30,000 systems of 64 x 64 are 492 MB at once, and the long tail of items is like that."""
    sizes: list[int] = []
    cholesky = torch.linalg.cholesky_ex

    def watched(systems: torch.Tensor) -> object:
        sizes.append(systems.nbytes)
        return cholesky(systems)

    monkeypatch.setattr(torch.linalg, "cholesky_ex", watched)
    n = 30_000
    tile = Tile.from_triples(np.arange(n), np.arange(n) % 10, np.ones(n), n, 10)
    F = features(1, 10, 64).astype(np.float32)
    RidgeSolver(0.1).solve(
        [RatingBlock(tile, F, tile.values.copy())], np.zeros((n, 64), np.float32)
    )
    assert max(sizes) <= 1 << 24


@pytest.mark.parametrize("method", ["cholesky", "cg"])
def test_weighted_ratings_in_parts_beside_a_shared_gramian(method: str) -> None:
    """As iALS needs it, and as a grid brings it: columns in blocks, some without ratings."""
    rng = np.random.default_rng(9)
    R, F = lopsided(9).dense, features(9, 60, 5)
    C, S = rng.uniform(0.1, 9, R.shape), F.T @ F
    cut = [slice(0, 7), slice(7, 8), slice(8, 60)]
    parts = []
    for columns in cut:
        tile = Ratings.of_dense(R[:, columns]).tile
        weights = C[:, columns][tile.rows, tile.indices].astype(np.float32)
        parts.append(RatingBlock(tile, F[columns].astype(np.float32), tile.values.copy(), weights))
    solver = RidgeSolver(0.1, method, cg_steps=40)  # type: ignore[arg-type]
    W, fit = solver.solve(parts, np.zeros((len(R), 5), np.float32), S.astype(np.float32))
    expected_fit = 0.0
    for u, row in enumerate(R):
        rated = np.flatnonzero(~np.isnan(row))
        if not len(rated):
            assert (W[u] == 0).all()
            continue
        A = S + F[rated].T @ (C[u, rated, None] * F[rated])
        b = F[rated].T @ row[rated]
        w = np.linalg.solve(A + 0.1 * len(rated) * np.eye(5), b)
        np.testing.assert_allclose(W[u], w, atol=2e-4)
        expected_fit += w @ A @ w - 2 * w @ b
    assert fit == pytest.approx(expected_fit, rel=1e-4)


def test_nonnegative_solutions_are_those_of_nnls() -> None:
    ratings, F = lopsided(11), np.abs(features(11, 60, 4)) - 0.2
    part = RatingBlock(ratings.tile, F.astype(np.float32), ratings.tile.values.copy())
    W = np.zeros((14, 4), np.float32)
    for _ in range(50):  # it goes on from the last solution
        W, loss = with_squares(part, *RidgeSolver(0.1, nonnegative=True).solve([part], W))
    expected = np.zeros((14, 4))
    for u, row in enumerate(ratings.dense):
        rated = np.flatnonzero(~np.isnan(row))
        if len(rated):
            ridge = np.sqrt(0.1 * len(rated)) * np.eye(4)  # the penalty as further ratings of 0
            system = np.vstack([F[rated], ridge])
            expected[u], _ = nnls(system, np.concatenate([row[rated], np.zeros(4)]))
    assert (expected[ratings.tile.degrees > 0] == 0).any()
    np.testing.assert_allclose(W, expected, atol=1e-4)
    assert loss == pytest.approx(np.nansum((ratings.dense - W @ F.T) ** 2), rel=1e-4)


def test_no_rows() -> None:
    W, loss = solved(RidgeSolver(0.1), Ratings.of_dense(np.empty((0, 4))), features(1, 4, 2))
    assert (W.shape, loss) == ((0, 2), 0.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_solutions_of_the_cpu() -> None:
    ratings, F = lopsided(7), features(4, 60, 8)
    expected, expected_loss = solved(RidgeSolver(0.1, "cg"), ratings, F)
    found, loss = solved(RidgeSolver(0.1, "cg", device="cuda"), ratings, F)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
