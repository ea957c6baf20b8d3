"""Predictions among raters: over the k nearest of those who have a column, as Surprise's.

Every row is compared with every other, so this is the all-pairs pass again: a block holds the
similarities of a chunk of its rows to all rows, and picks from them pair by pair
(kernels.neighbors.nearest_raters). It costs (rows x ratings), where lists of neighbors cost (rows x
k x ratings of a row).

Where rows are items, answers come by item and are wanted by user: one sweep over the users collects
them from the item blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.knn import best_items, best_of_chunks, ratings_in_order
from mfspark.kernels.neighbors.nearest_raters import Raters, from_raters
from mfspark.kernels.neighbors.similarity import similarities
from mfspark.schemas import other

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mfspark.grid.layout import TileSet
    from mfspark.grid.runners import Numbers
    from mfspark.grid.views import Strips
    from mfspark.kernels.arrays.tile import Array, Arrays
    from mfspark.kernels.neighbors.aggregation import Rule
    from mfspark.kernels.neighbors.centering import Expectation
    from mfspark.models.neighbors.knn import KNN

_CELLS = 1 << 21  # similarities, or predictions, held at once: 16 MiB an array


def predict(model: KNN, grid: Grid, pairs: TileSet, name: str) -> Blocks:
    """Score pairs; blocks of the users, as Model.predict."""
    if model.side == "user":
        return grid.all_pairs("user", name, _PredictPairs(model, pairs))
    by_item = grid.all_pairs("item", f"{name}/by-item", _PredictPairs(model, pairs))
    over_pairs = Grid(pairs, grid.store, grid.runner)
    return over_pairs.sweep("user", name, _PairsByUser(by_item))[0]


def recommend(model: KNN, grid: Grid, n: int, name: str, eligible: Array | None) -> Blocks:
    """Rank the n best unseen items of every user; blocks of the users, as Model.recommend."""
    if model.side == "user":
        return grid.all_pairs("user", name, _RankColumns(model, n, eligible))
    by_item = grid.all_pairs("item", f"{name}/by-item", _RankRows(model, n, eligible))
    return grid.sweep("user", name, _ListsByUser(by_item, n))[0]


@dataclass(frozen=True)
class _Compared:
    """One block of rows with all there is to know of the raters of all columns."""

    model: KNN
    rule: Rule
    strips: Strips

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Yield (rows of the block, their similarity to all rows) a chunk at a time."""
        comparison, layout = self.model.comparison, self.strips.tiles.layout
        n = layout.n(self.strips.side)
        blocks = list(comparison.compared(self.strips))
        own, rows = blocks[self.strips.block]
        # A chunk's answers for all columns are held at once too.
        step = max(1, _CELLS // max(1, n, layout.n(other(self.strips.side))))
        for start in range(0, len(own), step):
            chunk = np.arange(start, min(start + step, len(own)))
            near = np.empty((len(chunk), n))
            for indices, others in blocks:
                near[:, indices] = similarities(rows.take(chunk), others, comparison.similarity)
            near[np.arange(len(chunk)), own[chunk]] = -np.inf
            yield chunk, near

    def expected(self) -> Expectation:
        return self.model.expectation(self.strips.store, self.strips.tiles.layout, self.rule)

    def raters(self, expected: Expectation) -> Raters:
        """Return the raters of all columns (holds all ratings)."""
        ratings = ratings_in_order(self.strips)[1]
        return Raters.of(
            ratings, expected.deviations(ratings.values, ratings.rows, ratings.indices)
        )

    def every_score(self) -> Iterator[tuple[Array, Array]]:
        """Yield (rows of the block, their scores (rows, columns)) a chunk at a time; -inf: none."""
        expected = self.expected()
        known, k = self.raters(expected), self.model.options.num_neighbors
        own = self.strips.tiles.layout.indices(self.strips.side, self.strips.block)
        rated = np.flatnonzero(known.columns.degrees).astype(np.int32)
        for chunk, near in self:
            n_rows, n_columns = len(chunk), known.columns.n_rows
            starts = np.arange(n_rows + 1) * len(rated)
            every = np.tile(rated, n_rows)
            wanted = Tile(starts, every, np.zeros(len(every), np.float32), n_columns)
            scores = np.full((n_rows, n_columns), -np.inf)
            q = from_raters(near, wanted, known, k, self.rule).reshape(n_rows, len(rated))
            found = expected.ratings(q, own[chunk][:, None], rated)
            scores[:, rated] = np.nan_to_num(found, nan=-np.inf)
            yield chunk, scores


@dataclass(frozen=True)
class _PredictPairs:
    """All-pairs kernel: predictions of pairs, in the order of their strip of this side."""

    model: KNN
    pairs: TileSet

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        pairs = RowTiles(strips.side, strips.block, self.pairs, strips.store).strip()
        compared = _Compared(self.model, self.model.rule(of_lists=False), strips)
        expected = compared.expected()
        known, k = compared.raters(expected), self.model.options.num_neighbors
        own = strips.tiles.layout.indices(strips.side, strips.block)
        found = [np.empty(0)]
        for chunk, near in compared:
            wanted = pairs.take(chunk)
            q = from_raters(near, wanted, known, k, compared.rule)
            found.append(expected.ratings(q, own[chunk][wanted.rows], wanted.indices))
        return {"prediction": np.concatenate(found)}


@dataclass(frozen=True)
class _RankColumns:
    """All-pairs kernel over users: the best items of each."""

    model: KNN
    n: int
    eligible: Array | None

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        scores = _Compared(self.model, self.model.rule(of_lists=True), strips).every_score()
        return best_of_chunks(scores, strips.own(), self.n, self.eligible).arrays()


@dataclass(frozen=True)
class _RankRows:
    """All-pairs kernel over items: the best of this block's items for every user."""

    model: KNN
    n: int
    eligible: Array | None

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        layout = strips.tiles.layout
        own, rated_by = layout.indices("item", strips.block), strips.own()
        compared = _Compared(self.model, self.model.rule(of_lists=True), strips)
        lists = RankedLists.empty(layout.n_users, self.n)
        for chunk, scores in compared.every_score():
            items, seen = own[chunk], rated_by.take(chunk).transposed()
            eligible = None if self.eligible is None else self.eligible[items]
            by_user = np.ascontiguousarray(scores.T)
            lists = lists.merged(best_items(by_user, seen, self.n, eligible, items))
        return lists.arrays()


@dataclass(frozen=True)
class _PairsByUser:
    """Sweep kernel over the pairs: a user's predictions from those of all item blocks."""

    by_item: Blocks

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        layout, strip = tiles.layout, tiles.strip()
        place = strip.rows * np.int64(layout.n_items) + strip.indices  # ascending
        prediction = np.empty(strip.n_ratings)
        for block, reference in enumerate(self.by_item.references):
            pairs = RowTiles("item", block, tiles.tiles, tiles.store).strip()
            mine = pairs.indices % layout.user_blocks == tiles.block
            items = layout.indices("item", block)[pairs.rows[mine]]
            users = pairs.indices[mine].astype(np.int64) // layout.user_blocks
            found = tiles.store.get(reference)["prediction"][mine]
            prediction[np.searchsorted(place, users * layout.n_items + items)] = found
        return {"prediction": prediction}, {}


@dataclass(frozen=True)
class _ListsByUser:
    """Sweep kernel: a user's list from the lists of all item blocks."""

    by_item: Blocks
    n: int

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        users = tiles.layout.indices("user", tiles.block)
        lists = RankedLists.empty(len(users), self.n)
        for reference in self.by_item.references:
            every = RankedLists.from_arrays(tiles.store.get(reference))
            lists = lists.merged(RankedLists(every.indices[users], every.scores[users]))
        return lists.arrays(), {}
