from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.kernels.factorization.spectrum import (
    FLOAT64_NOTHING,
    eigenpairs,
    n_within,
    signs,
    whitening,
)


def matrix(seed: int, n: int, w: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, w)) * np.logspace(0, -2, w)


def test_the_gram_matrix_knows_the_singular_values_and_right_vectors() -> None:
    A = matrix(1, 50, 8)
    values, V = eigenpairs(A.T @ A, FLOAT64_NOTHING)
    _, expected, Vt = np.linalg.svd(A)
    np.testing.assert_allclose(np.sqrt(values), expected, rtol=1e-10)
    np.testing.assert_allclose(np.abs(V.T), np.abs(Vt), atol=1e-8)


def test_golden_singular_values_rebuild_the_dense_matrix(golden: Any) -> None:
    dense = golden("dense_4x5")
    R = np.array(dense["matrix"])
    values, U = eigenpairs(R @ R.T, FLOAT64_NOTHING)
    np.testing.assert_allclose(np.sqrt(values), dense["singular_values"], rtol=1e-12)
    np.testing.assert_allclose(U @ (U.T @ R), R, atol=1e-12)


def test_directions_that_are_only_rounding_are_left_out() -> None:
    A = matrix(2, 30, 3)
    A = np.column_stack([A, A[:, 0] - A[:, 1]])  # rank 3
    values, vectors = eigenpairs(A.T @ A, FLOAT64_NOTHING)
    assert vectors.shape == (4, 3)
    assert (np.diff(values) < 0).all()


def test_a_whitened_basis_is_orthonormal() -> None:
    A = matrix(3, 40, 6)
    Q = A @ whitening(A.T @ A)
    np.testing.assert_allclose(Q.T @ Q, np.eye(6), atol=1e-10)


def test_a_matrix_of_zeros_has_no_vectors() -> None:
    values, vectors = eigenpairs(np.zeros((5, 5)))
    assert (values.shape, vectors.shape) == ((0,), (5, 0))
    assert whitening(np.zeros((5, 5))).shape == (5, 0)


def test_signs_make_sums_positive() -> None:
    np.testing.assert_array_equal(signs(np.array([2.0, -3.0, 0.0])), [1, -1, 1])


@pytest.mark.parametrize(
    ("share", "kept"), [(0.05, 1), (0.4, 1), (0.41, 1), (0.7, 1), (0.71, 2), (0.99, 3), (1, 4)]
)
def test_the_part_that_reaches_the_share_is_left_out(share: float, kept: int) -> None:
    """Cumulated shares .4 .7 .9 1: .71 is reached by the third, so two are kept."""
    assert n_within(share, np.array([4.0, 3.0, 2.0, 1.0]), 10.0) == kept


def test_a_share_that_the_known_parts_do_not_reach_keeps_them_all() -> None:
    assert n_within(0.95, np.array([4.0, 3.0]), 10.0) == 2
    assert n_within(0.5, np.empty(0), 0.0) == 0
