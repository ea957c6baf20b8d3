"""Small sets of ratings, and grids and fits of them in this process: no JVM."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mfspark.config.models import ModelName, Models
from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.cut import EPOCH, cut_arrays
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide, GridLayout, TileSet
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.base import Model
from mfspark.models.factor_model import FactorModel
from mfspark.models.in_process import fit_in_process
from mfspark.samples.survey import survey_files
from mfspark.schemas import SIDES, Side

Array = np.ndarray

one_thread_a_kernel()  # as in every task of a grid


@dataclass(frozen=True)
class Ratings:
    """Ratings as arrays (n): user index int64, item index int64, value float64."""

    users: Array
    items: Array
    values: Array
    n_users: int
    n_items: int
    minutes: Array | None = None
    """When they were made, float64 (n), as grid.cut has it."""

    @classmethod
    def of_dense(cls, R: Array) -> Ratings:
        """Take the numbers of a dense matrix; NaN means not rated."""
        users, items = np.nonzero(~np.isnan(R))
        return cls(users, items, R[users, items].astype(np.float64), *R.shape)

    @property
    def dense(self) -> Array:
        R = np.full((self.n_users, self.n_items), np.nan)
        R[self.users, self.items] = self.values
        return R

    @property
    def tile(self) -> Tile:
        return Tile.from_triples(self.users, self.items, self.values, self.n_users, self.n_items)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: Array) -> Ratings:
        """Return the ratings at some positions, or under a mask."""
        parts = (self.users[chosen], self.items[chosen], self.values[chosen])
        minutes = None if self.minutes is None else self.minutes[chosen]
        return Ratings(*parts, self.n_users, self.n_items, minutes)

    def shuffled(self, seed: int) -> Ratings:
        return self.take(np.random.default_rng(seed).permutation(len(self)))

    def widened(self, users: int, items: int) -> Ratings:
        """Add users and items at the end that have no ratings."""
        n_users, n_items = self.n_users + users, self.n_items + items
        return replace(self, n_users=n_users, n_items=n_items)


def stars(seed: int, n_users: int, n_items: int, share: float) -> Ratings:
    """Half stars with some structure; every user and every item has a rating."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(n_users, 2)) @ rng.normal(size=(2, n_items))
    R = np.clip(np.round(2 * (3.3 + taste)) / 2, 0.5, 5.0)
    rated = rng.random(R.shape) < share
    rated[np.arange(n_users), np.arange(n_users) % n_items] = True
    rated[np.arange(n_items) % n_users, np.arange(n_items)] = True
    return Ratings.of_dense(np.where(rated, R, np.nan))


def at_times(ratings: Ratings, seed: int, n_minutes: int, unknown: float = 0.1) -> Ratings:
    """Return the ratings with a random time each, some of them unknown."""
    rng = np.random.default_rng(seed)
    minutes = rng.integers(0, n_minutes, len(ratings)).astype(np.float64)
    minutes[rng.random(len(ratings)) < unknown] = np.nan
    return replace(ratings, minutes=minutes)


def planted(
    seed: int, n_users: int, n_items: int, n: int, noise: float = 0.3, rank: int = 3
) -> tuple[Ratings, Ratings]:
    """Return train and test ratings (a fifth) 3.5 + b_u + b_i + x_u.y_i + noise, x.y of std 0.8."""
    rng = np.random.default_rng(seed)
    scale = np.sqrt(0.8 / np.sqrt(rank))
    X, Y = scale * rng.normal(size=(n_users, rank)), scale * rng.normal(size=(n_items, rank))
    b, c = 0.4 * rng.normal(size=n_users), 0.4 * rng.normal(size=n_items)
    users, items = np.divmod(rng.choice(n_users * n_items, n, replace=False), n_items)
    values = 3.5 + b[users] + c[items] + (X[users] * Y[items]).sum(1) + noise * rng.normal(size=n)
    every = Ratings(users, items, values, n_users, n_items)
    test = np.arange(n) % 5 == 0
    return every.take(~test), every.take(test)


def survey() -> tuple[Ratings, list[str], list[str]]:
    """Return the embedded survey with its users and items, both in the order of their names."""
    with survey_files().with_name("survey_long.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    users = sorted({row["user_id"] for row in rows})
    items = sorted({row["item_id"] for row in rows})
    u = np.array([users.index(row["user_id"]) for row in rows])
    i = np.array([items.index(row["item_id"]) for row in rows])
    values = np.array([float(row["rating"]) for row in rows])
    return Ratings(u, i, values, len(users), len(items)), users, items


def movielens(folder: Path) -> tuple[Ratings, Ratings]:
    """Return the train and the test part u1 of MovieLens 100K."""
    return movielens_file(folder / "u1.base"), movielens_file(folder / "u1.test")


def movielens_file(path: Path) -> Ratings:
    """Return the ratings of one file of MovieLens 100K, with their times."""
    table = np.loadtxt(path, int)
    minutes = (table[:, 3] - int(EPOCH.timestamp())) // 60
    values = table[:, 2].astype(np.float64)
    return Ratings(table[:, 0] - 1, table[:, 1] - 1, values, 943, 1682, minutes.astype(np.float64))


def titled_movielens(folder: Path) -> tuple[Ratings, list[str]]:
    """Return ml-latest-small by users and titles, several items of one title averaged."""
    with (folder / "movies.csv").open(encoding="utf-8") as file:
        title_of = {row["movieId"]: row["title"] for row in csv.DictReader(file)}
    cells: dict[tuple[int, str], list[float]] = {}
    with (folder / "ratings.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = int(row["userId"]) - 1, title_of[row["movieId"]]
            cells.setdefault(cell, []).append(float(row["rating"]))
    titles = sorted({title for _, title in cells})
    position = {title: i for i, title in enumerate(titles)}
    users = np.array([user for user, _ in cells])
    items = np.array([position[title] for _, title in cells])
    values = np.array([float(np.mean(given)) for given in cells.values()])
    return Ratings(users, items, values, int(users.max()) + 1, len(titles)), titles


def cut(ratings: Ratings, P: int, Q: int, name: str, store: BlockStore) -> TileSet:
    layout = GridLayout(ratings.n_users, ratings.n_items, P, Q)
    columns = ratings.users, ratings.items, ratings.values
    return cut_arrays(*columns, layout, name, store, InProcess(), ratings.minutes)


def grid_of(ratings: Ratings, P: int, Q: int, store: BlockStore | None = None) -> Grid:
    """Cut ratings into P x Q tiles in a store (default: in memory)."""
    store = store or MemoryStore()
    return Grid(cut(ratings, P, Q, "tiles", store), store, InProcess())


def whole(grid: Grid, blocks: Blocks, array: str) -> Array:
    """Put one array of all blocks together, rows by their global index."""
    parts = [grid.store.get(reference)[array] for reference in blocks.references]
    result = np.empty((grid.layout.n(blocks.side), *parts[0].shape[1:]), parts[0].dtype)
    for block, part in enumerate(parts):
        result[grid.layout.indices(blocks.side, block)] = part
    return result


def bits(store: BlockStore, *sides: Blocks) -> list[dict[str, tuple[Any, bytes]]]:
    """Return all arrays of all blocks as shape and bytes, to be compared for equal bits."""
    return [
        {name: (value.shape, value.tobytes()) for name, value in store.get(reference).items()}
        for blocks in sides
        for reference in blocks.references
    ]


@dataclass(frozen=True)
class Fitted:
    """A model with the grid it was fitted on."""

    model: Model
    grid: Grid

    def predict(self, users: Array, items: Array, minutes: Array | None = None) -> Array:
        """Predict pairs, float64 (n), in the order given."""
        return self.of_pairs(users, items, self.model.predict, "prediction", minutes)

    def of_pairs(
        self,
        users: Array,
        items: Array,
        scored: Callable[[Grid, TileSet, str], Blocks],
        array: str,
        minutes: Array | None = None,
    ) -> Array:
        """Return an array of the blocks that `scored` makes of pairs, in the order given."""
        n_users, n_items = self.grid.layout.n_users, self.grid.layout.n_items
        asked = Ratings(
            *(np.asarray(users), np.asarray(items), np.zeros(len(users))),
            *(n_users, n_items, minutes),
        )
        layout = self.grid.layout
        pairs = cut(asked, layout.user_blocks, layout.item_blocks, "pairs", self.grid.store)
        blocks = scored(self.grid, pairs, "scored")
        P = np.full((n_users, n_items), np.nan)
        for p, reference in enumerate(blocks.references):
            mine = asked.take(asked.users % layout.user_blocks == p)
            order = np.lexsort((mine.items, mine.users))  # the order of the pairs' strip
            P[mine.users[order], mine.items[order]] = self.grid.store.get(reference)[array]
        return P[asked.users, asked.items]

    @property
    def predictions(self) -> Array:
        """All pairs, float64 (users, items)."""
        shape = self.grid.layout.n_users, self.grid.layout.n_items
        users, items = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        return self.predict(users, items).reshape(shape)

    def ranked(self, n: int) -> tuple[Array, Array]:
        """Return indices and scores of the n best unseen items of every user, both (users, n)."""
        blocks = self.model.recommend(self.grid, n, "ranked")
        return whole(self.grid, blocks, "indices"), whole(self.grid, blocks, "scores")

    def lists(self, n: int) -> list[list[int]]:
        return [[int(i) for i in row if i != NOBODY] for row in self.ranked(n)[0]]

    def rmse(self, test: Ratings) -> float:
        """Error on test ratings; the global mean stands in where nothing is known."""
        prediction = self.predict(test.users, test.items, test.minutes)
        known = np.where(np.isnan(prediction), self.grid.tiles.mean, prediction)
        return float(np.sqrt(np.mean((known - test.values) ** 2)))


Fit = Callable[..., Fitted]


def start_factors_of(fitted: Fitted, layout: GridLayout, store: BlockStore) -> BySide:
    """Put the factors of a fit into a store as blocks; rows never fitted are unknown."""
    found: BySide = {}
    assert isinstance(fitted.model, FactorModel)
    for side in SIDES:
        blocks = fitted.model.blocks(side)
        arrays = {name: whole(fitted.grid, blocks, name) for name in ("factors", "bias", "n")}
        arrays["known"] = arrays.pop("n") > 0
        names = [f"start-factors/{side}/{b}" for b in range(layout.blocks(side))]
        for b, reference in enumerate(names):
            mine = layout.indices(side, b)
            store.put(reference, {name: array[mine] for name, array in arrays.items()})
        found[side] = Blocks(side, tuple(names))
    return found


def fitter(
    folder: Path,
    name: ModelName,
    options: Models,
    attributes: Mapping[Side, Array] | None = None,
) -> Fit:
    """Return `fit(ratings, blocks=1)`, each time on a store of its own.

    attributes: float32 (users or items, A) of the sides that have some.
    """
    count = 0

    def fit(
        ratings: Ratings,
        blocks: int = 1,
        seed: int = 42,
        item_blocks: int = 0,
        start_from: Fitted | None = None,
        choices_from: float | None = None,
    ) -> Fitted:
        nonlocal count
        count += 1
        store = MemoryStore(behind=MemoryStore())
        tiles = cut(ratings, blocks, item_blocks or blocks, "tiles", store)
        known = {
            side: _attribute_blocks(values, side, tiles.layout, store)
            for side, values in (attributes or {}).items()
        }
        start = start_factors_of(start_from, tiles.layout, store) if start_from else None
        return Fitted(
            *fit_in_process(
                *(name, options, tiles, store, folder / str(count)),
                seed=seed,
                choices_from=choices_from,
                attributes=known,
                start_factors=start,
            )
        )

    return fit


def _attribute_blocks(values: Array, side: Side, layout: GridLayout, store: BlockStore) -> Blocks:
    names = [f"attributes/{side}/{b}" for b in range(layout.blocks(side))]
    for block, reference in enumerate(names):
        store.put(reference, {"attributes": values[layout.indices(side, block)]})
    return Blocks(side, tuple(names))
