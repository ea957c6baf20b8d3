"""Fitted models of item weights, whoever fitted them: s(u, j) = sum over i chosen by u of w_ij.

Weights lie in blocks of the items they speak for, the targets (kernels.item_weights.weights). A
task of a pass over users holds the choices of its users, the weights of one block, and a chunk of
scores. Lists leave out all that was rated, chosen or not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array

from mfspark.config.models import ModelName
from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, best_items
from mfspark.kernels.item_weights.weights import (
    SparseWeights,
    Weights,
    choices_of,
    scores_by_chunk,
    scores_of_pairs,
    strongest,
    top_choices,
    weights_of,
)
from mfspark.models.base import (
    MOST_REASONS,
    Explains,
    HasItemWeights,
    Kind,
    Model,
    RanksSimilar,
)
from mfspark.models.published_items import PublishedItems, put_items
from mfspark.schemas import Side

_DENSE = 0.25  # of all weights are not 0: a dense matrix is no larger, and faster
_EXPLAINED = 1 << 14  # entries of lists explained at once


@dataclass(frozen=True)
class ItemWeights(Model):
    """Weights of all items for one another."""

    weights: Blocks
    """Blocks of the items as targets."""
    choices_from: float | None
    """Ratings from here on are choices; None: all."""
    kind: Kind = "ranking"

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Load what `record` gave."""
        weights = Blocks.from_record(record["weights"])
        return cls(weights, record["choices_from"], record["kind"])

    def record(self) -> dict[str, Any]:
        """Return the model as JSON types; the blocks stay where they are."""
        return asdict(self)

    @property
    def side(self) -> Side:
        """Reasons are items."""
        return "item"

    @property
    def explains(self) -> Explains:
        """Itself."""
        return self

    @property
    def item_weights(self) -> HasItemWeights:
        """Itself."""
        return self

    @property
    def alike(self) -> RanksSimilar:
        """Itself."""
        return self

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs by one sweep over their tiles; NaN where no choice speaks for an item."""
        kernel = _ScorePairs(self._choices(grid))
        return grid.over(pairs).sweep("user", name, kernel, columns=self.weights)[0]

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None = None) -> Blocks:
        """Rank the items that some choice speaks for, by one sweep over what users have rated."""
        kernel = _RankItems(self._choices(grid), n, eligible)
        return grid.sweep("user", name, kernel, columns=self.weights)[0]

    def list_reasons(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Name the choices that speak most for each entry of lists, as `recommend` gave them."""
        kernel = _Explain(self._choices(grid))
        return grid.sweep("user", name, kernel, rows=lists, columns=self.weights)[0]

    def similar_items(self, grid: Grid, n: int, name: str) -> Blocks:
        """Rank the n items whose choice speaks most for every item, by one sweep over the items.

        Blocks of the items, as those of `recommend`; lists end where nothing speaks.
        """
        return grid.sweep("item", name, _RankSimilar(n), rows=self.weights)[0]

    def _choices(self, grid: Grid) -> TileSet:
        return grid.tiles.at_least(self.choices_from)


def of_published_weights(
    items: PublishedItems, name: ModelName, store: BlockStore
) -> tuple[ItemWeights, Array]:
    """Return the model of published weights, in one block of a store, and which items have any.

    The block is sparse, or dense where most weights are not 0.
    """
    pairs, shape = items.weights(name), (len(items), len(items))
    matrix = csr_array((pairs.values, (pairs.others, pairs.items)), shape)
    if matrix.nnz > _DENSE * len(items) ** 2:
        arrays = {"matrix": matrix.toarray()}
    else:
        matrix.sort_indices()  # in place
        indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
        arrays = SparseWeights(indptr, indices, matrix.data).arrays()
    return ItemWeights(put_items(store, arrays), items.choices.least), pairs.known


def _chosen(tiles: RowTiles, choices: TileSet) -> csr_array:
    """Return what the users of a block chose, float64 (users, items)."""
    return choices_of(RowTiles("user", tiles.block, choices, tiles.store).strip())


def _weights(tiles: RowTiles, q: int) -> Weights:
    return weights_of(tiles.column(q), tiles.layout.n_items)


@dataclass(frozen=True)
class _ScorePairs:
    choices: TileSet

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        chosen, n_items = _chosen(tiles, self.choices), tiles.layout.n_items
        found = tiles.of_ratings(
            lambda tile, arrays: scores_of_pairs(chosen, weights_of(arrays, n_items), tile)
        )
        return {"prediction": found}, {}


@dataclass(frozen=True)
class _RankItems:
    choices: TileSet
    n: int
    eligible: Array | None

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        layout, chosen = tiles.layout, _chosen(tiles, self.choices)
        lists = RankedLists.empty(layout.rows("user", tiles.block), self.n)
        for q in range(layout.item_blocks):
            seen, items = tiles.tile(q), layout.indices("item", q)
            eligible = None if self.eligible is None else self.eligible[items]
            best = [RankedLists.empty(0, self.n)]
            for users, found in scores_by_chunk(chosen, _weights(tiles, q)):
                best.append(best_items(found, seen.take(users), self.n, eligible, items))
            lists = lists.merged(RankedLists.stacked(best))
        return lists.arrays(), {}


@dataclass(frozen=True)
class _Explain:
    choices: TileSet

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        lists, n_blocks = RankedLists.from_arrays(rows), tiles.layout.item_blocks
        chosen = _chosen(tiles, self.choices)
        reason = np.full((*lists.indices.shape, MOST_REASONS), NOBODY, np.int32)
        for q in range(n_blocks):
            here = (lists.indices != NOBODY) & (lists.indices % n_blocks == q)
            users, ranks = np.nonzero(here)
            targets, weights = lists.indices[users, ranks] // n_blocks, _weights(tiles, q)
            for start in range(0, len(users), _EXPLAINED):
                some = slice(start, start + _EXPLAINED)
                found = top_choices(chosen, weights, users[some], targets[some], MOST_REASONS)
                reason[users[some], ranks[some]] = found
        return {"reason": reason}, {}


@dataclass(frozen=True)
class _RankSimilar:
    n: int

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        return strongest(weights_of(rows, tiles.layout.n_items), self.n).arrays(), {}
