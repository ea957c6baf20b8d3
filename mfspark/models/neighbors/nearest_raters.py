"""Predictions among raters: over the k nearest of those who have a column, as Surprise's.

Every row is compared with every other, so this is the all-pairs pass again: a block holds the
similarities of a chunk of its rows to all rows, and picks from them pair by pair
(kernels.neighbors.nearest_raters). It costs (rows x ratings), where lists of neighbors cost (rows x
k x ratings of a row).

Where rows are items, scores come by item and are wanted by user: one sweep over the users collects
them from the item blocks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.arrays.top_n import RankedLists, best_items
from mfspark.kernels.neighbors.nearest_raters import (
    Raters,
    best_of_chunks,
    ratings_in_order,
    scores_from_raters,
)
from mfspark.kernels.neighbors.similarity import similarities
from mfspark.models.neighbors.centered_aggregation import CenteredAggregation
from mfspark.models.neighbors.search import RowComparison
from mfspark.schemas import other

_CELLS = 1 << 21  # similarities, or predictions, held at once: 16 MiB an array


@dataclass(frozen=True)
class NearestRaters:
    """The k nearest of those who have a rating, for each pair."""

    aggregation: CenteredAggregation
    comparison: RowComparison
    k: int

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs; blocks of the users, as Model.predict."""
        if self.aggregation.side == "user":
            return grid.all_pairs("user", name, _PredictPairs(self, pairs))
        by_item = grid.all_pairs("item", f"{name}/by-item", _PredictPairs(self, pairs))
        over_pairs = Grid(pairs, grid.store, grid.runner)
        return over_pairs.sweep("user", name, _PairsByUser(by_item))[0]

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None) -> Blocks:
        """Rank the n best unseen items of every user; blocks of the users, as Model.recommend."""
        if self.aggregation.side == "user":
            return grid.all_pairs("user", name, _RankColumns(self, n, eligible))
        by_item = grid.all_pairs("item", f"{name}/by-item", _RankRows(self, n, eligible))
        return grid.sweep("user", name, _ListsByUser(self.aggregation, by_item, n))[0]

    def scores(
        self, strips: Strips, wanted_of: Callable[[Array, Raters], Tile]
    ) -> Iterator[tuple[Array, Tile, Array]]:
        """Yield (rows of the block, wanted pairs, their scores) a chunk at a time; NaN: none.

        wanted_of: gives the pairs (rows of the chunk, columns). Holds all ratings, and all rows as
        they are compared.
        """
        layout = strips.tiles.layout
        centering = self.aggregation.centering(strips)
        ratings = ratings_in_order(strips).at_least(self.aggregation.least)
        z = centering.deviations(ratings.values, ratings.rows, ratings.indices)
        raters, own = Raters.of(ratings, z), layout.indices(strips.side, strips.block)
        for chunk, near in self._similarities(strips):
            wanted = wanted_of(chunk, raters)
            q = scores_from_raters(near, wanted, raters, self.k, self.aggregation.aggregation)
            yield chunk, wanted, centering.ratings(q, own[chunk][wanted.rows], wanted.indices)

    def dense_scores(self, strips: Strips) -> Iterator[tuple[Array, Array]]:
        """Yield (rows of the block, scores (rows, columns)) a chunk at a time; -inf: none."""
        for chunk, wanted, found in self.scores(strips, _all_rated):
            scores = np.full((len(chunk), wanted.n_columns), -np.inf)
            scores[wanted.rows, wanted.indices] = np.nan_to_num(found, nan=-np.inf)
            yield chunk, scores

    def _similarities(self, strips: Strips) -> Iterator[tuple[Array, Array]]:
        """Yield (rows of the block, their similarity to all rows) a chunk at a time."""
        layout = strips.tiles.layout
        n = layout.n(strips.side)
        blocks = list(self.comparison.all_rows(strips))
        own = blocks[strips.block]
        # The scores of a chunk for all columns are held at once too.
        step = max(1, _CELLS // max(1, n, layout.n(other(strips.side))))
        for start in range(0, len(own), step):
            chunk = np.arange(start, min(start + step, len(own)))
            near, rows = np.empty((len(chunk), n)), own.take(chunk)
            for others in blocks:
                near[:, others.indices] = similarities(rows, others, self.comparison.similarity)
            near[np.arange(len(chunk)), rows.indices] = -np.inf
            yield chunk, near


def _all_rated(chunk: Array, raters: Raters) -> Tile:
    """Return all pairs of some rows with the columns that anybody rated."""
    rated = np.flatnonzero(raters.columns.degrees).astype(np.int32)
    indptr, indices = np.arange(len(chunk) + 1) * len(rated), np.tile(rated, len(chunk))
    return Tile(indptr, indices, np.zeros(len(indices), np.float32), raters.columns.n_rows)


@dataclass(frozen=True)
class _PredictPairs:
    """All-pairs kernel: predictions of pairs, in the order of their strip of this side."""

    nearest: NearestRaters
    pairs: TileSet

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        pairs = RowTiles(strips.side, strips.block, self.pairs, strips.store).strip()
        scores = self.nearest.scores(strips, lambda chunk, _: pairs.take(chunk))
        return {"prediction": np.concatenate([np.empty(0), *(found for _, _, found in scores)])}


@dataclass(frozen=True)
class _RankColumns:
    """All-pairs kernel over users: the best items of each."""

    nearest: NearestRaters
    n: int
    eligible: Array | None

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        scores = self.nearest.dense_scores(strips)
        best = best_of_chunks(scores, strips.own(), self.n, self.eligible)
        return self.nearest.aggregation.telling(best).arrays()


@dataclass(frozen=True)
class _RankRows:
    """All-pairs kernel over items: the best of this block's items for every user."""

    nearest: NearestRaters
    n: int
    eligible: Array | None

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        layout = strips.tiles.layout
        own, rated_by = layout.indices("item", strips.block), strips.own()
        lists = RankedLists.empty(layout.n_users, self.n)
        for chunk, scores in self.nearest.dense_scores(strips):
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

    aggregation: CenteredAggregation
    by_item: Blocks
    n: int

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        users = tiles.layout.indices("user", tiles.block)
        lists = RankedLists.empty(len(users), self.n)
        for reference in self.by_item.references:
            every = RankedLists.from_arrays(tiles.store.get(reference))
            lists = lists.merged(every.take(users))
        return self.aggregation.telling(lists).arrays(), {}
