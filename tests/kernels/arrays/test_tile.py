from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mfspark.kernels.arrays.tile import (
    Tile,
    by_global_column,
    stack_columns,
    stack_rows,
)
from tests.support.grids import Ratings

Array = np.ndarray

# Half stars, zero among them; NaN is no rating. No rows and no columns happen, too.
matrices = st.tuples(st.integers(0, 6), st.integers(0, 6)).flatmap(
    lambda shape: arrays(
        np.float64, shape, elements=st.sampled_from([np.nan, np.nan, 0.0, 0.5, -3.0, 5.0])
    )
)


def to_tile(R: Array) -> Tile:
    return Ratings.of_dense(R).tile


def to_dense(tile: Tile) -> Array:
    """Look every rating up by the CSR rules alone, and check the tile's shape and types."""
    assert (tile.indptr.dtype, tile.indices.dtype, tile.values.dtype) == (
        np.int64,
        np.int32,
        np.float32,
    )
    assert len(tile.indices) == len(tile.values) == tile.indptr[-1]
    R = np.full((len(tile.indptr) - 1, tile.n_columns), np.nan)
    for row in range(len(R)):
        mine = slice(tile.indptr[row], tile.indptr[row + 1])
        R[row, tile.indices[mine]] = tile.values[mine]
    return R


def test_drawn_matrix() -> None:
    """Two rows, three columns, written down by hand from triples out of order."""
    tile = Tile.from_triples([1, 0, 0], [2, 2, 0], [3.0, 2.0, 1.0], 2, 3)
    assert tile.indptr.tolist() == [0, 2, 3]
    assert tile.indices.tolist() == [0, 2, 2]
    assert tile.values.tolist() == [1.0, 2.0, 3.0]
    assert (tile.n_rows, tile.n_columns, tile.n_ratings) == (2, 3, 3)
    assert tile.degrees.tolist() == [2, 1]
    assert tile.rows.tolist() == [0, 0, 1]


@given(R=matrices, seed=st.integers(0, 9))
def test_triples_in_any_order(R: Array, seed: int) -> None:
    shuffled = Ratings.of_dense(R).shuffled(seed).tile
    np.testing.assert_array_equal(to_dense(shuffled), R)
    for name, array in to_tile(R).arrays().items():
        np.testing.assert_array_equal(shuffled.arrays()[name], array, err_msg=name)


@given(R=matrices)
def test_arrays_round_trip(R: Array) -> None:
    np.testing.assert_array_equal(to_dense(Tile.from_arrays(to_tile(R).arrays())), R)


@given(R=matrices)
def test_transposed(R: Array) -> None:
    tile = to_tile(R)
    np.testing.assert_array_equal(to_dense(tile.transposed()), R.T)
    for name, array in tile.transposed().transposed().arrays().items():
        np.testing.assert_array_equal(array, tile.arrays()[name], err_msg=name)


@given(R=matrices, data=st.data())
def test_take_any_rows_any_number_of_times(R: Array, data: st.DataObject) -> None:
    some = st.lists(st.integers(0, len(R) - 1), max_size=9) if len(R) else st.just([])
    rows = np.array(data.draw(some), np.int64)
    np.testing.assert_array_equal(to_dense(to_tile(R).take(rows)), R[rows])


@given(R=matrices, cuts=st.lists(st.integers(0, 6), max_size=3))
def test_stacked_rows(R: Array, cuts: list[int]) -> None:
    parts = np.split(R, sorted(cuts), axis=0)
    np.testing.assert_array_equal(to_dense(stack_rows([to_tile(part) for part in parts])), R)


@given(R=matrices, cuts=st.lists(st.integers(0, 6), max_size=3))
def test_stacked_columns(R: Array, cuts: list[int]) -> None:
    parts = np.split(R, sorted(cuts), axis=1)
    np.testing.assert_array_equal(to_dense(stack_columns([to_tile(part) for part in parts])), R)


@settings(max_examples=60)
@given(R=matrices, P=st.integers(1, 9), Q=st.integers(1, 9))
def test_blocks_put_together_give_the_matrix(R: Array, P: int, Q: int) -> None:
    """Blocks are cut by the rule of the drawing, index i -> block i mod B, also B > rows."""
    for p in range(P):
        strip = by_global_column([to_tile(R[p::P, q::Q]) for q in range(Q)], R.shape[1])
        np.testing.assert_array_equal(to_dense(strip), R[p::P])
        for row in range(strip.n_rows):
            columns = strip.indices[strip.indptr[row] : strip.indptr[row + 1]]
            assert (np.diff(columns) > 0).all()


def test_with_zeros_every_cell_has_a_rating() -> None:
    ratings = Ratings.of_dense(np.array([[np.nan, 5.0, 1.0], [np.nan] * 3, [2.0, np.nan, np.nan]]))
    filled = ratings.tile.with_zeros()
    assert filled.values.reshape(3, 3).tolist() == [[0, 5, 1], [0, 0, 0], [2, 0, 0]]
    assert filled.degrees.tolist() == [3, 3, 3]
    assert filled.indices.tolist() == [0, 1, 2] * 3
