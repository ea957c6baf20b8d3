"""Fitted factor models, whoever fitted them: s(u, i) = mu + b_u + b_i + x_u . y_i."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.grid.grid import Blocks, Grid, RowTiles, TileSet
from mfspark.grid.training import Loss, State
from mfspark.kernels.factors import best_items, bias_scores, scores_of_pairs
from mfspark.kernels.random import normal_rows
from mfspark.kernels.top_n import RankedLists

if TYPE_CHECKING:
    from mfspark.kernels.tile import Arrays
    from mfspark.models.base import Kind
    from mfspark.schemas import Side


@dataclass(frozen=True)
class FactorModel:
    """Factor blocks of both sides with their global mean; see kernels.factors."""

    mean: float
    user: Blocks
    item: Blocks
    kind: Kind = "rating"
    history: tuple[Loss, ...] = ()
    total: bool = False
    """Whether it has a score for every pair, also for users and items it never saw."""

    @classmethod
    def of(cls, state: State, mean: float, *, total: bool = False) -> FactorModel:
        """Return the model that training ended with."""
        return cls(mean, state.user, state.item, history=state.history, total=total)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> FactorModel:
        """Load what `record` gave."""
        return cls(
            record["mean"],
            Blocks("user", tuple(record["user"]["references"])),
            Blocks("item", tuple(record["item"]["references"])),
            record["kind"],
            tuple(Loss(**loss) for loss in record["history"]),
            record["total"],
        )

    def blocks(self, side: Side) -> Blocks:
        """Return the factor blocks of one side."""
        return self.user if side == "user" else self.item

    def record(self) -> dict[str, Any]:
        """Return the model as JSON types; the blocks stay where they are."""
        return asdict(self)

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs by one sweep over their tiles."""
        over_pairs = Grid(pairs, grid.store, grid.runner)
        kernel = _ScorePairs(self.mean, self.total)
        return over_pairs.sweep("user", name, kernel, self.user, self.item)[0]

    def recommend(self, grid: Grid, n: int, name: str) -> Blocks:
        """Rank items by one sweep over the tiles of what users have seen."""
        return grid.sweep("user", name, _RankItems(self.mean, n), self.user, self.item)[0]


@dataclass(frozen=True)
class _ScorePairs:
    mean: float
    total: bool

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:
        strip = tiles.strip()
        prediction = np.empty(strip.n_ratings, np.float64)
        n_blocks = tiles.layout.item_blocks
        score = bias_scores if self.total else scores_of_pairs
        for q, (tile, items) in enumerate(tiles):
            # Both the strip and its tiles are ordered by row and column.
            prediction[strip.indices % n_blocks == q] = score(self.mean, rows, items, tile)
        return {"prediction": prediction}


@dataclass(frozen=True)
class _RankItems:
    mean: float
    n: int

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:
        lists = RankedLists.empty(len(rows["bias"]), self.n)
        for q, (seen, items) in enumerate(tiles):
            indices = tiles.layout.indices("item", q)
            lists = lists.merged(best_items(self.mean, rows, items, seen, self.n, indices))
        return lists.arrays()


@dataclass(frozen=True)
class StartRows:
    """Sweep kernel for the first blocks of a training: small random factors, no biases.

    Row u gets the same numbers however rows are cut into blocks; rows without ratings are zero.
    """

    rank: int
    std: float
    seed: int

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:  # noqa: ARG002
        """Return factors, bias and n of one block."""
        n = sum((tile.degrees for tile, _ in tiles), start=np.int64(0))
        indices = tiles.layout.indices(tiles.side, tiles.block)
        n = np.broadcast_to(n, len(indices))
        side_seed = 2 * self.seed + (tiles.side == "item")
        factors = self.std * normal_rows(side_seed, indices, self.rank)
        factors[n == 0] = 0.0
        return {
            "factors": factors.astype(np.float32),
            "bias": np.zeros(len(indices), np.float32),
            "n": n,
        }


def start_state(grid: Grid, name: str, rank: int, std: float, seed: int) -> State:
    """Return the state before the first iteration."""
    kernel = StartRows(rank, std, seed)
    user, _ = grid.sweep("user", name, kernel)
    item, _ = grid.sweep("item", name, kernel)
    return State(0, user, item)
