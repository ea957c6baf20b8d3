"""Predictions from the lists of nearest neighbors: of those listed, the ones that have a rating.

All of them are all-pairs passes over the users: a block of users needs the ratings of all their
neighbors, or the neighbors of all items (kernels.neighbors.knn).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mfspark.grid.grid import Grid
from mfspark.grid.kernels import PairKernel
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.neighbors.aggregation import Aggregation, Centering
from mfspark.kernels.neighbors.knn import (
    best_of_chunks,
    neighbor_scores,
    ratings_at,
    ratings_of_neighbors,
    ratings_with_weights,
    top_contributors,
    weight_matrix,
)
from mfspark.kernels.neighbors.similarity import Neighbors
from mfspark.models.base import MOST_REASONS
from mfspark.models.neighbors.centered_aggregation import CenteredAggregation

_CELLS = 1 << 22  # predictions held at once: a few arrays of 32 MiB
_EXPLAINED = 1 << 14  # entries of lists explained at once


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

    def of_all_rows(self, strips: Strips) -> Neighbors:
        """Return the neighbors of all rows, by their global index (reads all blocks)."""
        names = ("indices", "similarity", "n_common")
        layout = strips.tiles.layout
        return Neighbors(*(self.neighbors.gathered(strips.store, layout, n) for n in names))

    def scores(self, rows: Arrays, strips: Strips) -> Iterator[tuple[Array, Array]]:
        """Yield (rows of the user block, scores (rows, items)) a chunk at a time; -inf: none."""
        layout, aggregation = strips.tiles.layout, self.aggregation.aggregation
        users = layout.indices("user", strips.block)
        centering = self.aggregation.centering(strips)
        factors_for = self._factors_for_users if self.of_users else self._factors_for_items
        left_of, right = factors_for(aggregation, centering, rows, strips)
        step = max(1, _CELLS // max(1, layout.n_items))
        for start in range(0, len(users), step):
            chunk = np.arange(start, min(start + step, len(users)))
            q = neighbor_scores(left_of(chunk), right, aggregation)
            row, items = np.repeat(np.arange(len(chunk)), np.diff(q.indptr)), q.indices
            user = users[chunk][row]
            pairs = (user, items) if self.of_users else (items, user)
            scores = np.full((len(chunk), layout.n_items), -np.inf)
            scores[row, items] = np.nan_to_num(centering.ratings(q.data, *pairs), nan=-np.inf)
            yield chunk, scores

    def _factors_for_users(
        self, aggregation: Aggregation, centering: Centering, rows: Arrays, strips: Strips
    ) -> _Factors:
        """Weights of a chunk of users' neighbors, times the ratings of those."""
        neighbors = Neighbors.from_arrays(rows)
        who, ratings = ratings_of_neighbors(neighbors, strips)
        ratings = self.aggregation.counted(ratings)
        z = centering.deviations(ratings.values, who[ratings.rows], ratings.indices)
        right = ratings_with_weights(ratings, z)
        return lambda chunk: weight_matrix(neighbors, chunk, who, aggregation), right

    def _factors_for_items(
        self, aggregation: Aggregation, centering: Centering, _rows: Arrays, strips: Strips
    ) -> _Factors:
        """Ratings of a chunk of users, times the weights of those items as neighbors of others."""
        layout = strips.tiles.layout
        items, users = np.arange(layout.n_items), layout.indices("user", strips.block)
        weights = weight_matrix(self.of_all_rows(strips), items, items, aggregation).T.tocsr()
        own = self.aggregation.counted(strips.own())
        z = centering.deviations(own.values, own.indices, users[own.rows])
        ratings = ratings_with_weights(own, z)
        return lambda chunk: ratings[chunk], weights


_Factors = tuple[Callable[[Array], csr_array], csr_array]
"""Gives the left factor of a chunk of users; the right factor."""


@dataclass(frozen=True)
class _PredictPairs:
    lists: NeighborLists
    pairs: TileSet

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        pairs = RowTiles("user", strips.block, self.pairs, strips.store).strip()
        found = [np.empty(0)]
        for chunk, scores in self.lists.scores(rows, strips):
            wanted = pairs.take(chunk)
            found.append(scores[wanted.rows, wanted.indices])
        prediction = np.concatenate(found)
        return {"prediction": np.where(prediction > -np.inf, prediction, np.nan)}


@dataclass(frozen=True)
class _RankItems:
    lists: NeighborLists
    n: int
    eligible: Array | None

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        scores = self.lists.scores(rows, strips)
        best = best_of_chunks(scores, strips.own(), self.n, self.eligible)
        return self.lists.aggregation.telling(best).arrays()


@dataclass(frozen=True)
class _Explain:
    neighbors: NeighborLists
    lists: Blocks

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        lists = RankedLists.from_arrays(strips.store.get(self.lists.references[strips.block]))
        reason = np.full((*lists.indices.shape, MOST_REASONS), NOBODY, np.int32)
        users, ranks = np.nonzero(lists.indices != NOBODY)
        items = lists.indices[users, ranks]
        of_users = self.neighbors.of_users
        if of_users:
            neighbors = Neighbors.from_arrays(rows)
            who, ratings = ratings_of_neighbors(neighbors, strips)
        else:
            neighbors, ratings = self.neighbors.of_all_rows(strips), strips.own()
            who = np.empty(0, np.int64)
        ratings = self.neighbors.aggregation.counted(ratings)
        for start in range(0, len(users), _EXPLAINED):
            some = slice(start, start + _EXPLAINED)
            user, item = users[some, None], items[some, None]
            near = neighbors.take((user if of_users else item)[:, 0])
            cells = (np.searchsorted(who, near.indices), item) if of_users else (user, near.indices)
            theirs = np.where(near.indices == NOBODY, np.nan, ratings_at(ratings, *cells))
            reason[users[some], ranks[some]] = top_contributors(
                near, theirs, MOST_REASONS, self.neighbors.aggregation.aggregation
            )
        return {"reason": reason}
