"""The passes of the in-process grid, watched by kernels that write down what they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from mfspark.grid.block_store import MemoryStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Arrays, Numbers, Tile
from mfspark.schemas import Side, other
from tests.support.grids import Array, grid_of, stars, whole

# Users x items; the last layouts have more blocks than the 13 users and the 8 items.
LAYOUTS = [(1, 1), (2, 2), (7, 7), (2, 7), (7, 2), (1, 5), (15, 3), (3, 20), (20, 20)]
RATINGS = stars(1, 13, 8, 0.4)


@pytest.fixture(params=LAYOUTS, ids=str)
def grid(request: pytest.FixtureRequest) -> Grid:
    return grid_of(RATINGS, *request.param)


def vectors(grid: Grid, side: Side, name: str = "start") -> tuple[Blocks, Array]:
    """Make blocks of a number a row, and return them with the whole vector."""
    values = np.random.default_rng(len(side)).integers(-9, 9, grid.layout.n(side)).astype(float)
    return grid.create(side, name, lambda indices: {"x": values[indices]}), values


def product(rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    """Sweep kernel: old row + ratings times the columns' vector."""
    new = rows["x"].copy()
    for tile, columns in tiles:
        np.add.at(new, tile.rows, tile.values * columns["x"][tile.indices])
    return {"x": new}, {"ratings": sum(tile.n_ratings for tile, _ in tiles)}


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_sweep_multiplies_a_matrix_with_a_vector(grid: Grid, side: Side) -> None:
    rows, x = vectors(grid, side)
    columns, y = vectors(grid, other(side))
    swept, numbers = grid.sweep(side, "swept", product, rows, columns)
    R = np.nan_to_num(RATINGS.dense if side == "user" else RATINGS.dense.T)
    assert whole(grid, swept, "x").tolist() == (x + R @ y).tolist()  # halves: sums are exact
    assert numbers == {"ratings": len(RATINGS)}
    assert whole(grid, rows, "x").tolist() == x.tolist()  # what went in is as it was
    assert len(swept) == grid.layout.blocks(side)


def test_a_sweep_without_rows_and_columns(grid: Grid) -> None:
    def degrees(rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        assert rows == {}
        assert all(columns == {} for _, columns in tiles)
        return {"n": tiles.strip().degrees}, {}

    swept, numbers = grid.sweep("user", "n", degrees)
    assert whole(grid, swept, "n").tolist() == (~np.isnan(RATINGS.dense)).sum(1).tolist()
    assert numbers == {}


class Watched:
    """Runs tasks in some order, and knows in which round a task ran."""

    def __init__(self, backwards: bool = False) -> None:
        self.rounds = 0
        self.backwards = backwards

    def run(self, n_tasks: int, task: object, label: str) -> list[dict[str, float]]:  # noqa: ARG002
        self.rounds += 1
        order = reversed(range(n_tasks)) if self.backwards else range(n_tasks)
        done = {i: task(i) for i in order}  # type: ignore[operator]
        return [done[i] for i in range(n_tasks)]


def test_strata_visit_every_tile_once_and_no_block_twice_in_a_round(grid: Grid) -> None:
    runner, met = Watched(), []
    users, x = vectors(grid, "user")
    items, y = vectors(grid, "item")

    def meet(
        users: Arrays, items: Arrays, tile: Tile, pair: tuple[int, int]
    ) -> tuple[Arrays, Arrays, Numbers]:
        met.append((runner.rounds, *pair, tile.n_ratings))
        total_u, total_i = users["x"].copy(), items["x"].copy()
        np.add.at(total_u, tile.rows, tile.values)
        np.add.at(total_i, tile.indices, tile.values)
        return {"x": total_u}, {"x": total_i}, {"met": tile.n_ratings}

    watched = Grid(grid.tiles, grid.store, runner)
    new_users, new_items, numbers = watched.strata("epoch/0001", meet, users, items)
    P, Q = grid.layout.user_blocks, grid.layout.item_blocks
    assert Counter((p, q) for _, p, q, _ in met) == Counter(
        (p, q) for p in range(P) for q in range(Q)
    )
    assert len({(r, p) for r, p, _, _ in met}) == len({(r, q) for r, _, q, _ in met}) == len(met)
    assert runner.rounds == max(P, Q)
    assert numbers == {"met": len(RATINGS)}
    R = np.nan_to_num(RATINGS.dense)
    assert whole(grid, new_users, "x").tolist() == (x + R.sum(1)).tolist()
    assert whole(grid, new_items, "x").tolist() == (y + R.sum(0)).tolist()
    assert whole(grid, users, "x").tolist() == x.tolist()  # a killed epoch starts from here again


def last_pair(
    users: Arrays,
    items: Arrays,
    _tile: Tile,
    pair: tuple[int, int],
) -> tuple[Arrays, Arrays, Numbers]:
    """Stratum kernel whose result depends on all pairs before, and on their order."""
    p, q = pair
    new = 3 * users["x"].sum() + 5 * items["x"].sum() + 7 * p + q
    return {"x": users["x"] / 3 + new % 11}, {"x": items["x"] / 5 + new % 13}, {}


def test_the_tasks_of_a_round_share_nothing(grid: Grid) -> None:
    """Run in the opposite order they give the same bits."""
    users, _ = vectors(grid, "user")
    items, _ = vectors(grid, "item")
    ends = []
    for backwards in (False, True):
        watched = Grid(grid.tiles, grid.store, Watched(backwards))
        new = watched.strata(f"epoch-{backwards}", last_pair, users, items)
        ends.append([whole(grid, new[0], "x").tobytes(), whole(grid, new[1], "x").tobytes()])
    assert ends[0] == ends[1]


def test_strata_leave_the_first_and_the_last_blocks_only() -> None:
    class Counting(MemoryStore):
        def held(self) -> set[str]:
            return {reference for reference in self._groups if "tiles" not in reference}

    for P, Q in LAYOUTS:
        store = Counting()
        grid = grid_of(RATINGS, P, Q, store)
        users, items = vectors(grid, "user")[0], vectors(grid, "item")[0]
        new_users, new_items, _ = grid.strata("epoch", last_pair, users, items)
        kept = {*users.references, *items.references, *new_users.references, *new_items.references}
        assert store.held() == kept


@pytest.mark.parametrize("side", ["user", "item"])
def test_all_pairs_multiply_the_matrix_with_its_transpose(grid: Grid, side: Side) -> None:
    R = np.nan_to_num(RATINGS.dense if side == "user" else RATINGS.dense.T)

    def gram(rows: Arrays, strips: Strips) -> Arrays:
        result = np.zeros((len(rows["x"]), len(R)))
        own = np.zeros((len(rows["x"]), R.shape[1]))
        own[strips.own().rows, strips.own().indices] = strips.own().values
        for indices, strip in strips:
            dense = np.zeros((len(indices), R.shape[1]))
            dense[strip.rows, strip.indices] = strip.values
            result[:, indices] = own @ dense.T
        return {"gram": result}

    rows, _ = vectors(grid, side)
    met = grid.all_pairs(side, "gram", gram, rows)
    assert whole(grid, met, "gram").tolist() == (R @ R.T).tolist()


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 4, 7, 8])
def test_every_two_blocks_meet_once(n_blocks: int) -> None:
    grid = grid_of(RATINGS, n_blocks, 1)
    blocks = grid.create("user", "names", lambda indices: {"name": indices[:1]})

    def meet(own: Arrays, met: Iterator[Arrays]) -> Iterator[Arrays]:
        seen = []
        for arrays in met:
            seen.append(arrays["name"][0])
            yield {"from": own["name"], "to": arrays["name"]}
        yield {"seen": np.array(seen), "name": own["name"]}

    new, left = grid.symmetric_all_pairs("met", meet, blocks)
    pairs: list[tuple[int, int]] = []
    for b, references in enumerate(left):
        for reference in references:
            arrays = grid.store.get(reference)
            assert arrays["to"][0] == b
            pairs.append((int(arrays["from"][0]), b))
    own = [(b, int(s)) for b, r in enumerate(new.references) for s in grid.store.get(r)["seen"]]
    assert sorted(own) == sorted(pairs)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == n_blocks * (n_blocks - 1) // 2
    each = [len(grid.store.get(reference)["seen"]) for reference in new.references]
    assert max(each) - min(each) <= 1
