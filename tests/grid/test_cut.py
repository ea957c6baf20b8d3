from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfspark.grid.block_store import MemoryStore
from mfspark.grid.cut import cut_arrays
from mfspark.grid.layout import GridLayout
from mfspark.grid.runners import InProcess
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Tile
from mfspark.schemas import Side, other
from tests.support.grids import Array, Ratings, cut, grid_of, stars


def to_dense(tile: Tile) -> Array:
    R = np.full((tile.n_rows, tile.n_columns), np.nan)
    R[tile.rows, tile.indices] = tile.values
    return R


def test_drawn_matrix() -> None:
    """The 4 x 3 matrix of the grid's docstring: rating = 10 * user + item, in 2 x 2 tiles."""
    R = 10.0 * np.arange(4)[:, None] + np.arange(3)
    grid = grid_of(Ratings.of_dense(R), 2, 2)
    strip = RowTiles("user", 1, grid.tiles, grid.store)
    assert to_dense(strip.tile(0)).tolist() == [[10, 12], [30, 32]]  # users 1, 3, items 0, 2
    assert to_dense(strip.tile(1)).tolist() == [[11], [31]]  # users 1, 3, item 1
    items = RowTiles("item", 1, grid.tiles, grid.store)
    assert to_dense(items.tile(0)).tolist() == [[1, 21]]  # item 1, users 0, 2


@settings(max_examples=40, deadline=None)
@given(
    n_users=st.integers(1, 7),
    n_items=st.integers(1, 7),
    P=st.integers(1, 9),
    Q=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_tiles_of_both_sides(n_users: int, n_items: int, P: int, Q: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    R = np.where(rng.random((n_users, n_items)) < 0.4, rng.normal(size=(n_users, n_items)), np.nan)
    ratings = Ratings.of_dense(R.astype(np.float32).astype(np.float64))
    grid = grid_of(ratings.shuffled(seed), P, Q)
    for side, dense in (("user", ratings.dense), ("item", ratings.dense.T)):
        check_side(grid.tiles.layout, side, dense, grid)  # type: ignore[arg-type]


def check_side(layout: GridLayout, side: Side, dense: Array, grid: object) -> None:
    n_blocks, n_columns = layout.blocks(side), layout.blocks(other(side))
    for block in range(n_blocks):
        row_tiles = RowTiles(side, block, grid.tiles, grid.store)  # type: ignore[attr-defined]
        rows = layout.indices(side, block)
        assert len(rows) == layout.rows(side, block)
        for q in range(n_columns):
            np.testing.assert_array_equal(
                to_dense(row_tiles.tile(q)), dense[rows][:, layout.indices(other(side), q)]
            )
        np.testing.assert_array_equal(to_dense(row_tiles.strip()), dense[rows])


@pytest.mark.parametrize("blocks", [(1, 1), (3, 2), (20, 30)])
def test_numbers_of_the_whole(blocks: tuple[int, int]) -> None:
    ratings = stars(1, 12, 9, 0.4)
    tiles = grid_of(ratings.shuffled(2), *blocks).tiles
    assert tiles.n_ratings == len(ratings)
    assert tiles.mean == pytest.approx(ratings.values.mean(), rel=1e-14)
    assert (tiles.low, tiles.high) == (ratings.values.min(), ratings.values.max())


def test_no_ratings() -> None:
    tiles = grid_of(Ratings.of_dense(np.full((3, 2), np.nan)), 2, 2).tiles
    assert (tiles.n_ratings, tiles.mean) == (0, 0.0)


def test_whole_stars_as_integers() -> None:
    """Also where a block has none of them."""
    ones = np.array([1, 1])
    tiles = grid_of(Ratings(np.array([0, 2]), np.array([0, 1]), 4 * ones, 4, 2), 2, 2).tiles
    assert (tiles.n_ratings, tiles.mean, tiles.low, tiles.high) == (2, 4.0, 4.0, 4.0)


def test_the_order_of_the_ratings_does_not_matter() -> None:
    ratings = Ratings.of_dense(np.random.default_rng(1).normal(size=(9, 7)))
    stores = []
    for shuffled in (ratings, ratings.shuffled(1), ratings.shuffled(2)):
        store = MemoryStore()
        tiles = cut(shuffled, 2, 3, "tiles", store)
        strips = [tiles.strip("user", p) for p in range(2)]
        arrays = [store.get(s, q) for s in strips for q in range(3)]
        stores.append((tiles, [{n: a.tobytes() for n, a in t.items()} for t in arrays]))
    assert stores[0] == stores[1] == stores[2]


def test_times_are_cut_beside_the_ratings() -> None:
    """The same structure on both sides, with minutes in place of ratings."""
    ratings = stars(3, 9, 7, 0.5)
    minutes = np.random.default_rng(1).integers(-99, 99, len(ratings)).astype(np.float64)
    minutes[::5] = np.nan
    grid = grid_of(replace(ratings, minutes=minutes).shuffled(2), 3, 2)
    assert grid.tiles.timed
    dense = replace(ratings, values=minutes).tile
    sides: tuple[Side, ...] = ("user", "item")
    for side in sides:
        whole = dense if side == "user" else dense.transposed()
        for block in range(grid.layout.blocks(side)):
            strip = RowTiles(side, block, grid.tiles.times, grid.store).strip()
            expected = whole.take(grid.layout.indices(side, block))
            np.testing.assert_array_equal(strip.indices, expected.indices)
            np.testing.assert_array_equal(strip.values, expected.values)
    assert not grid_of(ratings, 3, 2).tiles.timed


def test_exact_ratings_in_the_order_of_the_strip() -> None:
    """Float64 that no float32 holds, row by row, columns by their global index."""
    R = np.random.default_rng(4).normal(size=(9, 7))
    R[::2, ::3] = np.nan
    ratings, store = Ratings.of_dense(R).shuffled(5), MemoryStore()
    columns = ratings.users, ratings.items, ratings.values
    layout = GridLayout(9, 7, 2, 3)
    tiles = cut_arrays(*columns, layout, "tiles", store, InProcess(), exact=True)
    for block in range(2):
        mine = R[layout.indices("user", block)]
        exact = tiles.exact_values(store, block)
        assert exact.dtype == np.float64
        assert exact.tolist() == mine[~np.isnan(mine)].tolist()
        strip = RowTiles("user", block, tiles, store).strip()
        assert exact.astype(np.float32).tolist() == strip.values.tolist()


def test_exact_ratings_are_kept_only_where_that_was_asked_for() -> None:
    grid = grid_of(stars(3, 9, 7, 0.5), 3, 2)
    with pytest.raises(ValueError, match="only tiles"):
        grid.tiles.exact_values(grid.store, 0)


def test_strips_against_sorting_and_masks() -> None:
    """Tiles and facts as they are defined: sort by user and item, take what meets in a tile."""
    rng = np.random.default_rng(7)
    ratings = Ratings.of_dense(
        np.where(rng.random((23, 17)) < 0.5, rng.normal(size=(23, 17)), np.nan)
    )
    store, (P, Q) = MemoryStore(), (4, 3)
    tiles = cut(ratings.shuffled(1), P, Q, "tiles", store)
    sums = []
    for p in range(P):
        mine = ratings.take(ratings.users % P == p)  # by user and item already
        sums.append(mine.values.sum())
        for q in range(Q):
            met = mine.take(mine.items % Q == q)
            tile = tiles.tile(store, "user", p, q)
            assert tile.rows.tolist() == (met.users // P).tolist()
            assert tile.indices.tolist() == (met.items // Q).tolist()
            assert tile.values.tolist() == met.values.astype(np.float32).tolist()
            assert (tile.n_rows, tile.n_columns) == (len(range(p, 23, P)), len(range(q, 17, Q)))
            assert [a.dtype.str for a in (tile.indptr, tile.indices)] == ["<i8", "<i4"]
    assert tiles.mean == sum(sums) / len(ratings)
