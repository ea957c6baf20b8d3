"""Fitted factor models, whoever fitted them: s(u, i) = mu + b_u + b_i + x_u . y_i."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from mfspark.config.models import ModelName
from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.kernels import SweepKernel
from mfspark.grid.layout import Blocks, BySide, TileSet
from mfspark.grid.training import Loss, State
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.random import normal_rows, uniform_rows
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, stack_columns
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.factorization.scores import (
    best_items,
    bias_scores,
    most_similar,
    norms,
    scores_of_pairs,
    telling_products,
    telling_scores,
)
from mfspark.models.base import FitContext, HasFactors, Kind, Model
from mfspark.models.published_items import PublishedItems, put_items
from mfspark.schemas import SIDES, Side

StartDistribution = Literal["normal", "half_normal", "uniform"]

_ITEM_BYTES = 64 << 20  # factors of the items that are ranked at once: 258,000 items of rank 64


@dataclass(frozen=True)
class FactorModel(Model):
    """Factor blocks of both sides with their global mean; see kernels.factorization.scores."""

    mean: float
    user: Blocks
    item: Blocks
    kind: Kind = "rating"
    history: tuple[Loss, ...] = ()
    total: bool = False
    """Whether it has a score for every pair, also for users and items it never saw."""

    @classmethod
    def of(
        cls, state: State, mean: float, *, kind: Kind = "rating", total: bool = False
    ) -> FactorModel:
        """Return the model that training ended with."""
        return cls(mean, state.user, state.item, kind, state.history, total)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Load what `record` gave."""
        loaded: dict[str, Any] = {side: Blocks.from_record(record[side]) for side in SIDES}
        loaded["history"] = tuple(Loss(**loss) for loss in record["history"])
        return cls(**record | loaded)

    def blocks(self, side: Side) -> Blocks:
        """Return the factor blocks of one side."""
        return self.user if side == "user" else self.item

    @property
    def factors(self) -> HasFactors:
        """Itself."""
        return self

    def record(self) -> dict[str, Any]:
        """Return the model as JSON types; the blocks stay where they are."""
        return asdict(self)

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs by one sweep over their tiles."""
        return grid.over(pairs).sweep("user", name, self.pair_kernel(), self.user, self.item)[0]

    def pair_kernel(self) -> SweepKernel:
        """Return the sweep kernel over tiles of pairs that `predict` uses."""
        return _ScorePairs(self.mean, self.total)

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None = None) -> Blocks:
        """Rank items by one sweep over the tiles of what users have seen."""
        return grid.sweep("user", name, _RankItems(self, n, eligible), self.user)[0]

    def similar_items(self, grid: Grid, n: int, name: str) -> Blocks:
        """Rank the n other items nearest to every item by the cosine of their factors.

        Blocks of the items, as those of `recommend`.
        """
        return grid.sweep("item", name, _RankSimilar(n, self.item), self.item)[0]


@dataclass(frozen=True)
class _ScorePairs:
    mean: float
    total: bool

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        score = bias_scores if self.total else scores_of_pairs
        scored = tiles.of_ratings(lambda tile, items: score(self.mean, rows, items, tile))
        return {"prediction": scored}, {}


@dataclass(frozen=True)
class _RankItems:
    model: FactorModel
    n: int
    eligible: Array | None

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        lists = RankedLists.empty(len(rows["bias"]), self.n)
        listable = _Listable.none(tiles.layout.n_items)
        for blocks, items, indices in _side_by_side(self.model.item, tiles, rows):
            seen = stack_columns([tiles.tile(q) for q in blocks])
            if self.eligible is not None:
                items["n"] = np.where(self.eligible[indices], items["n"], 0)
            lists = best_items(self.model.mean, rows, items, seen, indices, lists)
            listable.add(items, indices)
        return listable.telling(self.model.kind, rows, lists).arrays(), {}


@dataclass(frozen=True)
class _Listable:
    """What tells the items apart that may be listed, by global index."""

    norms: Array
    """|y_i|, float64 (items)."""
    biases: Array
    """b_i, float64 (items); NaN of items that are not listed."""

    @classmethod
    def none(cls, n_items: int) -> _Listable:
        return cls(np.zeros(n_items), np.full(n_items, np.nan))

    def add(self, items: Arrays, indices: Array) -> None:
        """Note some items; those without ratings are never listed."""
        known = items["n"] > 0
        self.norms[indices] = np.where(known, norms(items), 0.0)
        self.biases[indices] = np.where(known, items["bias"], np.nan)

    def telling(self, kind: Kind, users: Arrays, lists: RankedLists) -> RankedLists:
        """Return the lists without what the model does not know."""
        known = ~np.isnan(self.biases)
        if known.sum() < 2:
            return lists
        if kind == "ranking":
            return telling_products(lists, users, self.norms)
        return telling_scores(lists, users, self.norms[known], self.biases[known])


@dataclass(frozen=True)
class _RankSimilar:
    n: int
    items: Blocks

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        own = tiles.layout.indices("item", tiles.block)
        lists = RankedLists.empty(len(own), self.n)
        for _, items, indices in _side_by_side(self.items, tiles, rows):
            lists = most_similar(rows, own, items, indices, lists)
        return lists.arrays(), {}


def _side_by_side(
    items: Blocks, tiles: RowTiles, rows: Arrays
) -> Iterator[tuple[range, Arrays, Array]]:
    """Yield (blocks, their arrays, global indices) of items that are ranked at once.

    Those are many, as the best items rule out the others. rows: what they are ranked for.
    """
    layout, n_blocks = tiles.layout, tiles.layout.item_blocks
    block_bytes = 4 * (rows["factors"].shape[1] + 1) * layout.rows("item", 0)
    step = max(1, _ITEM_BYTES // max(1, block_bytes))
    for first in range(0, n_blocks, step):
        blocks = range(first, min(first + step, n_blocks))
        read = [items.read(tiles.store, q) for q in blocks]
        arrays = {
            name: np.concatenate([b[name] for b in read]) for name in ("factors", "bias", "n")
        }
        yield blocks, arrays, np.concatenate([layout.indices("item", q) for q in blocks])


def factor_block(factors: Array, n: Array, bias: Array | None = None) -> Arrays:
    """Return the arrays of a factor block: float32 (rows, k), int64 (rows); biases of 0 if none."""
    bias = np.zeros(len(n), np.float32) if bias is None else bias.astype(np.float32, copy=False)
    return {"factors": factors, "bias": bias, "n": n}


@dataclass(frozen=True)
class StartRows:
    """Sweep kernel for the first blocks of a training: small random factors, no biases.

    Row u gets the same numbers however rows are cut into blocks; rows without ratings are zero.
    Where the sweep's rows hold start factors, those that are known start there.
    """

    rank: int
    std: float
    seed: int
    unit: float = 1.0
    """What the ratings are divided by in this training, and were not in the start factors."""
    distribution: StartDistribution = "normal"
    """Of the factors: normal, the same without signs, or uniform from 0 on with deviation `std`."""

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias and n of one block."""
        n, indices = tiles.degrees, tiles.layout.indices(tiles.side, tiles.block)
        side_seed = 2 * self.seed + (tiles.side == "item")
        factors = self._random(side_seed, indices)
        bias = np.zeros(len(indices), np.float32)
        if "known" in rows:
            # Of several samples side by side the last; each weighs 1 / sqrt(samples).
            weight = (rows["factors"].shape[1] / self.rank / self.unit) ** 0.5
            last = rows["factors"][:, -self.rank :] * np.float32(weight)
            factors = np.where(rows["known"][:, None], last, factors)
            bias = rows["bias"] / np.float32(self.unit)
        factors[n == 0], bias[n == 0] = 0.0, 0.0
        return {"factors": factors, "bias": bias, "n": n}, {}

    def _random(self, seed: int, indices: Array) -> Array:
        if self.distribution == "uniform":
            rows = 12**0.5 * uniform_rows(seed, indices, self.rank)
        else:
            rows = normal_rows(seed, indices, self.rank)
        rows = (self.std * rows).astype(np.float32)
        return np.abs(rows) if self.distribution == "half_normal" else rows


def new_users(context: FitContext, model: FactorModel, half_step: SweepKernel) -> FactorModel:
    """Return a model with the rows of other users, solved for given its items; one sweep.

    context: its tiles hold the ratings of those users. half_step: solves the rows exactly, whatever
    they start from.
    """
    grid, name = context.grid, f"{context.name}/new"
    rank = model.item.read(context.store)["factors"].shape[1]
    start, _ = grid.sweep("user", f"{name}/start", StartRows(rank, 0.0, context.seed))
    user, _ = grid.sweep("user", name, half_step, rows=start, columns=model.item)
    return replace(model, user=user)


def of_published_factors(
    items: PublishedItems, name: ModelName, store: BlockStore, mean: float, kind: Kind
) -> tuple[FactorModel, Array]:
    """Return a model without users of the published factors of its items, in one block of a store.

    And which items it has factors of, bool (items).
    """
    block = items.factors(name)
    model = FactorModel(mean, Blocks("user", ()), put_items(store, block), kind)
    return model, block["n"] > 0


def start_state(
    grid: Grid,
    name: str,
    start: StartRows,
    start_factors: BySide | None = None,
    iteration: int = 0,
) -> State:
    """Return the state before the first iteration, which counts as `iteration`."""
    rows = start_factors or {}
    user, item = (grid.sweep(side, name, start, rows=rows.get(side))[0] for side in SIDES)
    return State(iteration, user, item)
