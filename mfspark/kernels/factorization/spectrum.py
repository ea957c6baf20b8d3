"""Singular values and vectors by Gram matrices, and how many of them a share of energy keeps.

A matrix A with A'A = V diag(d) V' has the singular values sqrt(d) and the right vectors V; A V is
its left vectors times the singular values. Everything here is float64: only the Gram matrix, whose
side is the width of a basis or the smaller side of the ratings, is ever decomposed.
"""

import numpy as np

from mfspark.kernels.arrays.tile import Array

FLOAT32_NOTHING = 1e-7
"""Of the largest eigenvalue of a Gram matrix of float32: below it there is only rounding."""
FLOAT64_NOTHING = 1e-13


def eigenpairs(gram: Array, nothing: float = FLOAT32_NOTHING) -> tuple[Array, Array]:
    """Return the eigenvalues (r), largest first, and eigenvectors (w, r) of a Gram matrix (w, w).

    Those that are nothing beside the largest are left out, all of them where the matrix is 0.
    """
    values, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(values > nothing * values.max(initial=0.0))[::-1]
    return values[kept], vectors[:, kept]


def whitening(gram: Array) -> Array:
    """Return T (w, r) that makes the columns of A T orthonormal, for the A with this A'A."""
    values, vectors = eigenpairs(gram)
    return vectors / np.sqrt(values)


def signs(sums: Array) -> Array:
    """Return the sign, 1 or -1, that makes the entries of each vector add up to 0 or more.

    A singular vector's sign is arbitrary; this makes it the same in every cut. sums (r): of the
    entries of each vector.
    """
    return np.where(sums < 0, -1.0, 1.0)


def n_within(share: float, parts: Array, total: float) -> int:
    """Return how many of the leading parts stay below a share of the total; at least one.

    The part with which the share is reached is left out, as the reference notebook does; a share
    of 1 keeps all. parts: singular values (nuclear norm) or their squares (Frobenius), descending.
    """
    if share == 1:
        return len(parts)
    reached = int(np.searchsorted(np.cumsum(parts), share * total))
    return min(max(1, reached), len(parts))
