from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.neighbors.moments import Rows, moments, moments_of_pairs
from tests.support.grids import Array, Ratings, stars

POWERS = [(0, 0), (1, 1), (2, 0), (0, 2), (1, 0), (0, 1)]
RNG = np.random.default_rng(1)
REALS = np.where(RNG.random((30, 17)) < 0.4, RNG.uniform(-10, 10, (30, 17)), np.nan)
REALS[3], REALS[4, 2] = np.nan, 0.0


def rows_of(R: Array) -> Rows:
    return Rows.of(np.arange(len(R)), Ratings.of_dense(R).tile)


@pytest.mark.parametrize("power", POWERS)
def test_moments_are_sums_over_what_both_rated(power: tuple[int, int]) -> None:
    p, q = power
    X, rated = np.nan_to_num(REALS.astype(np.float32)).astype(float), ~np.isnan(REALS)
    expected = np.where(rated, X**p, 0) @ np.where(rated, X**q, 0).T
    rows = rows_of(REALS)
    np.testing.assert_allclose(moments(rows, rows, [power])[power], expected, rtol=1e-12)


def test_pairs_one_by_one_have_the_same_bits() -> None:
    for R in (REALS, stars(1, 30, 17, 0.3).dense):
        rows, others = rows_of(R), rows_of(R[::-1])
        row, other = np.divmod(RNG.permutation(900)[:200], 30)
        row.sort()
        dense = moments(rows, others, POWERS)
        pairs = moments_of_pairs(rows, row, others, other, POWERS)
        for power in POWERS:
            assert pairs[power].tobytes() == dense[power][row, other].tobytes()


def test_no_pairs() -> None:
    rows, none = rows_of(REALS), np.empty(0, np.int64)
    assert moments_of_pairs(rows, none, rows, none, [(1, 1)])[1, 1].shape == (0,)


def test_arrays_round_trip() -> None:
    for R in (REALS, REALS[:0], REALS[:, :0]):
        rows = rows_of(R)
        again = Rows.from_arrays(rows.arrays())
        assert (again.values.toarray() == rows.values.toarray()).all()
        assert again.values.dtype == np.float64
        assert again.squares.tolist() == rows.squares.tolist()
        assert again.indices.tolist() == rows.indices.tolist()


def test_values_that_float32_cannot_hold_stay_as_they_are() -> None:
    tile = Ratings.of_dense(REALS).tile
    thirds = tile.values.astype(np.float64) / 3
    rows = Rows.of(np.arange(30), tile, thirds)
    assert (Rows.from_arrays(rows.arrays()).values.data == thirds).all()


def test_columns_in_another_order() -> None:
    rows, order = rows_of(REALS), RNG.permutation(17)
    moved = rows.with_columns(order)
    assert (moved.values.toarray() == rows.values.toarray()[:, order]).all()
    assert moved.values.has_sorted_indices
