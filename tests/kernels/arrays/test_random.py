from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.random import derive_seed, hash64, normal_rows, uniform, uniform_rows


def test_hash_is_splitmix64() -> None:
    """The published generator: its n-th number is the finaliser of state + n * golden ratio."""
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

    def finalised(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    assert finalised(golden) == 0xE220A8397B1DCDAF  # first number of splitmix64 from state 0
    state = finalised(7 + golden)
    expected = [finalised((state + n * golden) & mask) for n in (0, 1, 2**40)]
    assert hash64(7, np.array([0, 1, 2**40])).tolist() == expected


def test_a_number_depends_on_its_index_only() -> None:
    every = uniform(3, np.arange(1000))
    chosen = np.array([999, 0, 17, 17])
    assert uniform(3, chosen).tolist() == every[chosen].tolist()
    assert np.mean(uniform(4, np.arange(1000)) == every) == 0


def test_rows_do_not_depend_on_the_cut() -> None:
    every = normal_rows(5, np.arange(100), 8)
    for p in range(7):
        np.testing.assert_array_equal(normal_rows(5, np.arange(p, 100, 7), 8), every[p::7])


def test_uniform_moments() -> None:
    x = uniform(1, np.arange(200_000))
    assert x.min() >= 0
    assert x.max() < 1
    assert x.mean() == pytest.approx(0.5, abs=0.003)
    assert x.var() == pytest.approx(1 / 12, abs=0.001)
    counts = np.bincount((x * 10).astype(int), minlength=10)
    assert abs(counts - 20_000).max() < 600  # more than four standard deviations
    assert np.corrcoef(x[:-1], x[1:])[0, 1] == pytest.approx(0, abs=0.01)


def test_normal_moments() -> None:
    z = normal_rows(1, np.arange(50_000), 4)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    z = z.astype(np.float64)
    np.testing.assert_allclose(z.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=0.03)
    assert np.mean(z**3) == pytest.approx(0, abs=0.03)
    assert np.mean(z**4) == pytest.approx(3, abs=0.1)
    for column in range(4):  # nor does a row share numbers with the next
        assert np.corrcoef(z[:-1, column], z[1:, 0])[0, 1] == pytest.approx(0, abs=0.02)


def test_no_columns_and_no_rows() -> None:
    assert normal_rows(1, np.arange(3), 0).shape == (3, 0)
    assert normal_rows(1, np.arange(0), 3).shape == (0, 3)


def test_derived_seeds_differ() -> None:
    seeds = {
        derive_seed(seed, round_, block)
        for seed in (0, 1, 42, 2**31 - 1)
        for round_ in range(20)
        for block in range(20)
    }
    assert len(seeds) == 4 * 20 * 20
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(42, 1, 2) != derive_seed(42, 2, 1)
    assert derive_seed(42, 1, 2) == derive_seed(42, 1, 2)


def test_uniform_rows_are_a_function_of_seed_and_row() -> None:
    rows = uniform_rows(3, np.arange(2000), 5)
    assert (rows >= 0).all()
    assert (rows < 1).all()
    assert abs(rows.mean() - 0.5) < 0.01
    assert abs(rows.std() - 12**-0.5) < 0.01
    np.testing.assert_array_equal(uniform_rows(3, np.array([7, 1999]), 5), rows[[7, 1999]])
    assert not np.array_equal(uniform_rows(4, np.arange(2000), 5), rows)
