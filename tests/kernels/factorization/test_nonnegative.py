from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from mfspark.kernels.factorization.ridge import descend


def systems(n: int, k: int, *, shared: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return F'F and F't of each row, and the nonnegative least squares solutions by scipy."""
    rng = np.random.default_rng(k)
    F = rng.normal(size=(n, 30, k))
    F = F[:1].repeat(n, 0) if shared else F
    t = rng.normal(size=(n, 30))
    expected = np.stack([nnls(f, row)[0] for f, row in zip(F, t, strict=True)])
    A = np.einsum("ntk,ntl->nkl", F, F)
    return A[0] if shared else A, np.einsum("ntk,nt->nk", F, t), expected


@pytest.mark.parametrize("shared", [True, False])
def test_it_finds_the_nonnegative_least_squares_solution(*, shared: bool) -> None:
    A, b, expected = systems(7, 5, shared=shared)
    given = A, b, np.zeros_like(b), np.ones((7, 5))
    arrays = (torch.tensor(a, dtype=torch.float32) for a in given)
    found = descend(*arrays, sweeps=400).numpy()
    assert (found >= 0).all()
    assert (found == 0).any()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_no_round_raises_the_sum_and_a_free_coordinate_may_be_negative() -> None:
    A, b, _ = systems(9, 4, shared=True)
    A, b = (torch.tensor(a, dtype=torch.float32) for a in (A, b))
    diagonal, w = torch.full_like(b, 0.3), torch.ones_like(b)
    sums = []
    for _ in range(6):
        w = descend(A, b, diagonal, w, sweeps=1, free=3)
        sums.append(float((w * (w @ A - 2 * b) + diagonal * w**2).sum()))
    assert all(np.diff(sums) <= 1e-4)
    assert sums[-1] < sums[0]
    assert (w[:, :3] >= 0).all()
    assert (w[:, 3] < 0).any()


def test_a_coordinate_without_curvature_stays_where_it_is() -> None:
    start = torch.tensor([[2.0, 3.0]])
    found = descend(torch.zeros(2, 2), torch.zeros(1, 2), torch.zeros(1, 2), start, sweeps=2)
    assert found.tolist() == [[2.0, 3.0]]
