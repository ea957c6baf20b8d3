"""Neighbors updated from those of a last run are those found in full, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.config.models import SimilarityOptions
from mfspark.grid.grid import Blocks, Grid
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.neighbors import increment
from mfspark.models.neighbors import search as neighbors
from mfspark.models.neighbors.search import nearest_neighbors
from mfspark.schemas import Side
from tests.support.grids import Array, Ratings, bits, grid_of, stars, whole

NAMES = ("indices", "similarity", "n_common")
NEW = 3  # users who come after the last run


def two_nights(seed: int, n_changed: int) -> tuple[Array, Array]:
    """Dense ratings of a last run and of tonight: changed, added and lost ratings, a user who
    left, and NEW users at the end."""
    rng = np.random.default_rng(seed)
    tonight = stars(seed, 60 + NEW, 24, 0.3).dense
    last = tonight[:60].copy()
    changed = rng.choice(60, n_changed, replace=False)
    for u in changed:
        item = rng.integers(24)
        last[u, item] = rng.integers(1, 10) / 2 if rng.random() < 0.7 else np.nan
    if n_changed:
        tonight[changed[0]] = np.nan
    return last, tonight


def earlier_of(grid: Grid, found: tuple[Array, Array, Array], changed: Array) -> Blocks:
    """Lists of a last run (rows, k) as tonight's blocks; whoever has no ratings now is gone."""
    layout, side = grid.layout, "user"
    n, k = layout.n("user"), found[0].shape[1]
    known = np.bincount(grid_users(grid), minlength=n) > 0
    indices = np.full((n, k), NOBODY, np.int32)
    similarity = np.full((n, k), -np.inf)
    indices[: len(found[0])], similarity[: len(found[0])] = found[0], found[1]
    length = (indices != NOBODY).sum(1).astype(np.int32)
    indices[(indices != NOBODY) & ~known[indices]] = NOBODY
    names = [f"earlier/{b}" for b in range(layout.blocks("user"))]
    for b, name in enumerate(names):
        mine = layout.indices("user", b)
        arrays = {"indices": indices, "similarity": similarity, "length": length}
        grid.store.put(name, {n: a[mine] for n, a in arrays.items()} | {"changed": changed[mine]})
    return Blocks(side, tuple(names))  # type: ignore[arg-type]


def grid_users(grid: Grid) -> Array:
    from mfspark.grid.grid import RowTiles

    users = [
        grid.layout.indices("user", b)[RowTiles("user", b, grid.tiles, grid.store).strip().rows]
        for b in range(grid.layout.user_blocks)
    ]
    return np.concatenate(users)


def changed_between(last: Array, tonight: Array) -> Array:
    same = (last == tonight[: len(last)]) | (np.isnan(last) & np.isnan(tonight[: len(last)]))
    return np.concatenate([~same.all(1), np.ones(len(tonight) - len(last), bool)])


def nights(
    last: Array, tonight: Array, options: SimilarityOptions, blocks: int
) -> tuple[Grid, Blocks, Blocks]:
    """Tonight's grid, its neighbors found in full, and the same from the last run's."""
    side: Side = "user"
    before = grid_of(Ratings.of_dense(last), 1, 1)
    lists, _ = nearest_neighbors(before, side, "then", options)
    found = tuple(whole(before, lists, name) for name in NAMES)
    grid = grid_of(Ratings.of_dense(tonight), blocks, 2)
    full, _ = nearest_neighbors(grid, side, "full", options)
    earlier = earlier_of(grid, found, changed_between(last, tonight))  # type: ignore[arg-type]
    updated, _ = nearest_neighbors(grid, side, "updated", options, earlier=earlier)
    return grid, full, updated


def the_same(grid: Grid, full: Blocks, updated: Blocks) -> bool:
    mine = [{name: arrays[name] for name in NAMES} for arrays in bits(grid.store, updated)]
    return mine == [{name: arrays[name] for name in NAMES} for arrays in bits(grid.store, full)]


@pytest.mark.parametrize("similarity", sorted(increment._OF_TWO_ROWS))
@pytest.mark.parametrize(("k", "min_support"), [(1, 1), (5, 1), (5, 3), (100, 2)])
@pytest.mark.parametrize("n_changed", [0, 4, 30])
def test_the_same_as_in_full(similarity: Any, k: int, min_support: int, n_changed: int) -> None:
    options = SimilarityOptions(
        similarity=similarity, num_neighbors=k, min_support=min_support, significance=4
    )
    for blocks in (1, 3):
        last, tonight = two_nights(k + n_changed, n_changed)
        assert the_same(*nights(last, tonight, options, blocks))


@pytest.mark.parametrize("similarity", ["cosine", "msd"])
def test_many_nights_with_many_ties(similarity: Any) -> None:
    for seed in range(12):
        last, tonight = two_nights(seed, 6)
        last, tonight = np.ceil(last / 2), np.ceil(tonight / 2)  # 1, 2 and 3 alone
        options = SimilarityOptions(similarity=similarity, num_neighbors=4)
        assert the_same(*nights(last, tonight, options, 2))


def test_lists_that_cannot_have_changed_are_not_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh: list[int] = []
    update = increment.update_neighbors

    def counted(*arguments: Any) -> Any:
        found = update(*arguments)
        fresh.append(found[1])
        return found

    monkeypatch.setattr(neighbors, "update_neighbors", counted)
    options = SimilarityOptions(num_neighbors=5)
    last, tonight = two_nights(1, 0)
    nights(last, tonight[:60], options, 2)
    nights(last, tonight, options, 2)
    nights(*two_nights(1, 4), options, 2)
    assert fresh[:2] == [0, NEW]
    assert NEW + 4 <= fresh[2] < 40


@pytest.mark.parametrize(
    "options", [{"similarity": "pearson_baseline"}, {"similarity": "adjusted_cosine"},
                {"weighting": "bm25"}],
)  # fmt: skip
def test_measures_of_more_than_two_rows_are_found_in_full(options: dict[str, Any]) -> None:
    """Whatever the earlier lists say: here they are wrong."""
    chosen = SimilarityOptions.model_validate({"num_neighbors": 3, **options})
    R = stars(1, 20, 12, 0.4).dense
    grid = grid_of(Ratings.of_dense(R), 2, 1)
    full, _ = nearest_neighbors(grid, "user", "full", chosen)
    wrong = np.zeros((20, 3), np.int32), np.ones((20, 3)), np.ones((20, 3))
    earlier = earlier_of(grid, wrong, np.zeros(20, bool))
    found, _ = nearest_neighbors(grid, "user", "found", chosen, earlier=earlier)
    assert the_same(grid, full, found)


def test_ratings_off_every_grid_are_found_in_full() -> None:
    """Sums of theirs are rounded, in an order that changes from night to night."""
    R = stars(1, 20, 12, 0.4).dense * np.float32(0.3)
    grid = grid_of(Ratings.of_dense(R), 2, 1)
    options = SimilarityOptions(num_neighbors=3)
    full, _ = nearest_neighbors(grid, "user", "full", options)
    wrong = np.zeros((20, 3), np.int32), np.ones((20, 3)), np.ones((20, 3))
    earlier = earlier_of(grid, wrong, np.zeros(20, bool))
    found, _ = nearest_neighbors(grid, "user", "found", options, earlier=earlier)
    assert the_same(grid, full, found)
