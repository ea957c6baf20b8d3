"""Predictions from the lists of nearest neighbors: of those listed, the ones that have a rating.

All of them are all-pairs passes over the users: a block of users needs the ratings of all their
neighbors, or the neighbors of all items (kernels.neighbors.knn).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfspark.grid.grid import Grid
from mfspark.grid.kernels import PairKernel
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.neighbors.aggregation import Centering
from mfspark.kernels.neighbors.knn import (
    NeighborSums,
    SparseRows,
    deviations_of_rows,
    reasons_by_neighbors,
    reasons_by_rated,
    weights_of_neighbors,
)
from mfspark.kernels.neighbors.similarity import Neighbors
from mfspark.models.base import MOST_REASONS
from mfspark.models.neighbors.centered_aggregation import CenteredAggregation


@dataclass(frozen=True)
class NeighborLists:
    """Lists of neighbors of all rows of one side (kernels.neighbors.similarity.Neighbors)."""

    aggregation: CenteredAggregation
    neighbors: Blocks

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs; blocks of the users, as Model.predict."""
        return self._over_users(grid, name, _PredictPairs(self, pairs))

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None) -> Blocks:
        """Rank the n best unseen items of every user; blocks of the users, as Model.recommend."""
        return self._over_users(grid, name, _RankItems(self, n, eligible))

    def list_reasons(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Name who had most part in each entry of lists; blocks of the users, as KNN says."""
        return self._over_users(grid, name, _Explain(self, lists))

    def _over_users(self, grid: Grid, name: str, kernel: PairKernel) -> Blocks:
        return grid.all_pairs("user", name, kernel, self.neighbors if self.of_users else None)

    @property
    def of_users(self) -> bool:
        """Whether rows are users."""
        return self.neighbors.side == "user"

    def sums(self, rows: Arrays, strips: Strips) -> NeighborSums:
        """Return what gives the scores of all cells of a block of users."""
        layout, centering = strips.tiles.layout, self.aggregation.centering(strips)
        users, aggregation = layout.indices("user", strips.block), self.aggregation.aggregation
        if self.of_users:
            neighbors = Neighbors.from_arrays(rows)
            weights = weights_of_neighbors(neighbors, layout.n_users, aggregation)
            ratings = self._ratings_of(neighbors, centering, strips)
            levels = (*centering.of_rows(users), *centering.of_columns())
            return NeighborSums(SparseRows.of_matrix(weights), ratings, True, aggregation, levels)
        weights = weights_of_neighbors(self._of_all_rows(strips), layout.n_items, aggregation)
        right = SparseRows.of_matrix(weights.T.tocsr())
        levels = (*centering.of_columns(users), *centering.of_rows())
        return NeighborSums(self._own_ratings(centering, strips), right, False, aggregation, levels)

    def reasons(self, rows: Arrays, strips: Strips, lists: Array) -> Array:
        """Return who had most part in each entry of lists, int32 (users, n, MOST_REASONS)."""
        layout, centering = strips.tiles.layout, self.aggregation.centering(strips)
        aggregation = self.aggregation.aggregation
        if self.of_users:
            neighbors = Neighbors.from_arrays(rows)
            ratings = self._ratings_of(neighbors, centering, strips)
            return reasons_by_neighbors(
                neighbors, ratings, layout.n_items, lists, MOST_REASONS, aggregation
            )
        own = self._own_ratings(centering, strips)
        return reasons_by_rated(self._of_all_rows(strips), own, lists, MOST_REASONS, aggregation)

    def _ratings_of(self, neighbors: Neighbors, centering: Centering, strips: Strips) -> SparseRows:
        """Gather the ratings of everybody who is a neighbor of somebody in this block."""
        layout = strips.tiles.layout
        wanted = np.zeros(layout.n_users, bool)
        wanted[neighbors.indices[neighbors.indices != NOBODY]] = True
        blocks = (
            (layout.indices("user", block), [tile for tile, _ in strips.tiles_of(block)])
            for block in range(layout.user_blocks)
        )
        least, room = self.aggregation.least, strips.tiles.n_ratings
        return deviations_of_rows(blocks, wanted, centering, least, room)

    def _own_ratings(self, centering: Centering, strips: Strips) -> SparseRows:
        """Return the ratings of the users of this block."""
        users, own = strips.tiles.layout.indices("user", strips.block), strips.own()
        own = own.at_least(self.aggregation.least)
        return SparseRows.of(own, centering.deviations(own.values, own.indices, users[own.rows]))

    def _of_all_rows(self, strips: Strips) -> Neighbors:
        """Return the neighbors of all rows, by their global index (reads all blocks)."""
        names = ("indices", "similarity", "n_common")
        layout = strips.tiles.layout
        return Neighbors(*(self.neighbors.gathered(strips.store, layout, n) for n in names))


@dataclass(frozen=True)
class _PredictPairs:
    lists: NeighborLists
    pairs: TileSet

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        pairs = RowTiles("user", strips.block, self.pairs, strips.store).strip()
        return {"prediction": self.lists.sums(rows, strips).of_pairs(pairs)}


@dataclass(frozen=True)
class _RankItems:
    lists: NeighborLists
    n: int
    eligible: Array | None

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        best = self.lists.sums(rows, strips).best(strips.own(), self.n, self.eligible)
        return self.lists.aggregation.telling(best).arrays()


@dataclass(frozen=True)
class _Explain:
    neighbors: NeighborLists
    lists: Blocks

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        lists = self.lists.read(strips.store, strips.block)["indices"]
        return {"reason": self.neighbors.reasons(rows, strips, lists)}
