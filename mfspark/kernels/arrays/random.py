"""Random numbers that depend only on (seed, index), never on how rows were cut into blocks."""

import numpy as np
from scipy.special import gammaincinv

from mfspark.kernels.arrays.tile import Array

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash64(seed: int, index: Array) -> Array:
    """Return a uint64 hash of each index: splitmix64 (Steele, Lea & Flood 2014), vectorised."""
    with np.errstate(over="ignore"):
        z = np.asarray(index).astype(np.uint64) * _GOLDEN + _mixed(
            np.asarray(seed, np.uint64) + _GOLDEN
        )
        return _mixed(z)


def _mixed(z: Array) -> Array:
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed: int, index: Array) -> Array:
    """Return one float64 in [0, 1) for each index.

    >>> uniform(42, np.array([0, 1])).round(3).tolist()
    [0.698, 0.343]
    >>> bool(uniform(42, np.array([1, 5]))[0] == uniform(42, np.array([0, 1]))[1])
    True
    """
    return (hash64(seed, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal_rows(seed: int, rows: Array, n_columns: int) -> Array:
    """Return standard normal numbers, float32 (len(rows), n_columns), by Box and Muller.

    Row i is a function of (seed, rows[i]) alone.

    >>> normal_rows(42, np.array([7, 3]), 2).shape
    (2, 2)
    >>> bool((normal_rows(42, np.array([7, 3]), 2)[1] == normal_rows(42, np.array([3]), 2)).all())
    True
    """
    cells = _cells(rows, n_columns)
    u1 = 1.0 - uniform(2 * seed, cells)  # in (0, 1]: its logarithm is finite
    u2 = uniform(2 * seed + 1, cells)
    return (np.sqrt(-2.0 * np.log(u1)) * np.cos(2.0 * np.pi * u2)).astype(np.float32)


def uniform_rows(seed: int, rows: Array, n_columns: int) -> Array:
    """Return numbers in [0, 1), float32 (len(rows), n_columns); see `normal_rows`."""
    return uniform(seed, _cells(rows, n_columns)).astype(np.float32)


def gamma_rows(seed: int, rows: Array, shapes: Array) -> Array:
    """Return a Gamma(shape, 1) number for each row, float64 (rows), by the inverse distribution.

    Number i is a function of (seed, rows[i], shapes[i]) alone, smooth in the shape.

    >>> gamma_rows(42, np.array([0, 1]), np.array([3.0, 100.0])).round(3).tolist()
    [3.603, 95.694]
    """
    least = 2.0**-53  # 0 has a logarithm then, and 1 is not infinite
    return gammaincinv(shapes, np.clip(uniform(seed, rows), least, 1 - least))


def _cells(rows: Array, n_columns: int) -> Array:
    """Return the number of each cell, uint64 (len(rows), n_columns)."""
    cells = np.asarray(rows, np.uint64)[:, None] * np.uint64(n_columns)
    return cells + np.arange(n_columns, dtype=np.uint64)


def derive_seed(seed: int, *parts: int) -> int:
    """Return a 31-bit seed for one (round, block, ...) of a seeded run.

    >>> derive_seed(42, 1, 0), derive_seed(42, 0, 1)
    (300443823, 1270622664)
    """
    value = np.uint64(seed)
    for part in parts:
        value = hash64(int(value), np.asarray(part))
    return int(value) & 0x7FFFFFFF
