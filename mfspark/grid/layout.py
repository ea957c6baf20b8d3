"""The grid: ratings in P x Q tiles, and three motions over them.

    4 users x 3 items in 2 x 2 tiles (user u in block u mod 2, item i in block i mod 2):

                item block 0      item block 1
                items 0, 2        item 1
    users 0, 2  tile (0, 0)       tile (0, 1)      strip 0 of the users
    users 1, 3  tile (1, 0)       tile (1, 1)      strip 1 of the users

sweep      every row block meets all column blocks and becomes a new row block
strata     in sub-epoch s user block p meets item block (p + s) mod S; all meet at once, sharing
           nothing (DSGD, Gemulla et al. 2011)
all pairs  every strip meets every other strip of the same side
meetings   every two blocks of the same side meet once: all pairs, where what one is to another is
           what the other is to it

The trainers are written against this class alone. Where blocks lie (`Store`) and who runs the tasks
(`Runner`) makes it an in-process grid or a Spark grid; the answers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mfspark.kernels.arrays.tile import (
    Array,
    Arrays,
    Tile,
    block_indices,
    by_global_column,
    rows_in_block,
)
from mfspark.schemas import other

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mfspark.grid.block_store import Store
    from mfspark.grid.runners import Numbers, Runner
    from mfspark.schemas import Side


@dataclass(frozen=True)
class Layout:
    """How many users and items there are and into how many blocks they are cut."""

    n_users: int
    n_items: int
    user_blocks: int
    item_blocks: int

    def n(self, side: Side) -> int:
        """Number of users or items."""
        return self.n_users if side == "user" else self.n_items

    def blocks(self, side: Side) -> int:
        """Number of blocks of one side."""
        return self.user_blocks if side == "user" else self.item_blocks

    def rows(self, side: Side, block: int) -> int:
        """Number of rows of one block."""
        return rows_in_block(block, self.n(side), self.blocks(side))

    def indices(self, side: Side, block: int) -> Array:
        """Global indices of the rows of one block, int64."""
        return block_indices(block, self.n(side), self.blocks(side))


@dataclass(frozen=True)
class TileSet:
    """Ratings that were cut: where their tiles lie, and what is known of them as a whole."""

    name: str
    layout: Layout
    n_ratings: int
    mean: float
    variance: float
    low: float
    high: float
    timed: bool = False
    """Whether `times` were cut too."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> TileSet:
        """Read back what `dataclasses.asdict` gave."""
        facts: dict[str, Any] = record | {"layout": Layout(**record["layout"])}
        return cls(**facts)

    @property
    def std(self) -> float:
        """Standard deviation of the ratings, as a unit: 1 where all are equal."""
        return self.variance**0.5 or 1.0

    @property
    def times(self) -> TileSet:
        """Tiles of the same ratings that hold when they were made instead of their values.

        In minutes after grid.cut.EPOCH; NaN where it is not known.
        """
        return replace(self, name=f"{self.name}/times", timed=False)

    def strip(self, side: Side, block: int) -> str:
        """Return the reference of the tiles of one row block: one group a column block."""
        return f"{self.name}/{side}/{block:04d}"


@dataclass(frozen=True)
class Blocks:
    """References to the blocks of one side, in order, e.g. the user factors after sweep 7."""

    side: Side
    references: tuple[str, ...]

    @classmethod
    def named(cls, side: Side, name: str, n_blocks: int) -> Blocks:
        """Return so many blocks by the name they share."""
        return cls(side, tuple(f"{name}/{side}/{b:04d}" for b in range(n_blocks)))

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Blocks:
        """Read back what `dataclasses.asdict` gave."""
        return cls(record["side"], tuple(record["references"]))

    def __len__(self) -> int:
        return len(self.references)

    def gathered(self, store: Store, layout: Layout, name: str) -> Array:
        """Return one array of all blocks, rows by their global index."""
        parts = [store.get(reference)[name] for reference in self.references]
        whole = np.empty((layout.n(self.side), *parts[0].shape[1:]), parts[0].dtype)
        for block, part in enumerate(parts):
            whole[layout.indices(self.side, block)] = part
        return whole


BySide = dict["Side", Blocks]
"""Blocks of both sides."""


@dataclass(frozen=True)
class RowTiles:
    """What a sweep kernel sees: the tiles of one row block beside the matching column blocks."""

    side: Side
    block: int
    tiles: TileSet
    store: Store
    columns: Blocks | None = None

    @property
    def layout(self) -> Layout:
        """The layout of the tiles."""
        return self.tiles.layout

    def __iter__(self) -> Iterator[tuple[Tile, Arrays]]:
        """Yield (tile, arrays of its column block) in the order of the column blocks; streamed."""
        for q in range(self.layout.blocks(other(self.side))):
            yield self.tile(q), self.column(q)

    def tile(self, q: int) -> Tile:
        """Return the tile of column block q."""
        return Tile.from_arrays(self.store.get(self.tiles.strip(self.side, self.block), q))

    def column(self, q: int) -> Arrays:
        """Return the arrays of column block q; empty where the sweep has no columns."""
        return self.store.get(self.columns.references[q]) if self.columns else {}

    def strip(self) -> Tile:
        """Return all tiles side by side, columns by their global index."""
        n_blocks = self.layout.blocks(other(self.side))
        return by_global_column(
            [self.tile(q) for q in range(n_blocks)], self.layout.n(other(self.side))
        )

    def of_ratings(self, numbers_of: Callable[[Tile, Arrays], Array]) -> Array:
        """Return what a function gives for the ratings of each tile, in the order of the strip.

        It gets a tile and its column block and gives one number a rating; float64 (n).
        """
        strip = self.strip()
        numbers = np.empty(strip.n_ratings, np.float64)
        n_blocks = self.layout.blocks(other(self.side))
        for q, (tile, columns) in enumerate(self):
            # Both the strip and its tiles are ordered by row and column.
            numbers[strip.indices % n_blocks == q] = numbers_of(tile, columns)
        return numbers


class SweepKernel(Protocol):
    """Computes a new row block from the old one (may be empty) and its tiles."""

    def __call__(self, rows: Arrays, tiles: RowTiles, /) -> tuple[Arrays, Numbers]:
        """Return the arrays of the new row block, and numbers for the trainer."""
        ...


class ReduceKernel(Protocol):
    """Makes one block of what all blocks of a side hold, e.g. their sum."""

    def __call__(self, blocks: Iterator[Arrays], store: Store, /) -> Arrays:
        """Return the arrays of the one block; `blocks` come in order, streamed."""
        ...


class StratumKernel(Protocol):
    """Updates a user block and an item block from the ratings where they meet."""

    def __call__(
        self, users: Arrays, items: Arrays, tile: Tile, pair: tuple[int, int], /
    ) -> tuple[Arrays, Arrays, Numbers]:
        """Return the new user block, the new item block, and numbers for the trainer."""
        ...


class PairKernel(Protocol):
    """Compares the strip of one row block with all strips of the same side."""

    def __call__(self, rows: Arrays, strips: Strips, /) -> Arrays:
        """Return the arrays of the new row block."""
        ...


class MeetingKernel(Protocol):
    """Compares one block with some others of its side, for all of them."""

    def __call__(self, own: Arrays, met: Iterator[Arrays], /) -> Iterator[Arrays]:
        """Yield what is left for each block met, in their order, and then the new own block."""
        ...


@dataclass(frozen=True)
class Strips:
    """What an all-pairs kernel sees: its own strip, and all strips in order."""

    side: Side
    block: int
    tiles: TileSet
    store: Store

    def own(self) -> Tile:
        """Return the strip of this block; columns by their global index."""
        return self.of(self.block)

    def of(self, block: int) -> Tile:
        """Return the strip of any block."""
        return self.tiles_of(block).strip()

    def tiles_of(self, block: int) -> RowTiles:
        """Return the tiles of any block, one by one."""
        return RowTiles(self.side, block, self.tiles, self.store)

    def __iter__(self) -> Iterator[tuple[Array, Tile]]:
        """Yield (global indices, strip) of all blocks; streamed, one in memory at a time."""
        for block in range(self.tiles.layout.blocks(self.side)):
            yield self.tiles.layout.indices(self.side, block), self.of(block)


@dataclass(frozen=True)
class Grid:
    """Tiles of ratings in a store, with a runner for the motions over them."""

    tiles: TileSet
    store: Store
    runner: Runner

    @property
    def layout(self) -> Layout:
        """The layout of the tiles."""
        return self.tiles.layout

    def create(self, side: Side, name: str, make: Callable[[Array], Arrays]) -> Blocks:
        """Make the blocks of one side; `make` gets the global indices of the block's rows."""
        blocks = self._named(side, name)
        task = partial(_create, self.store, self.layout, blocks, make)
        self.runner.run(len(blocks), task, f"create {name}")
        return blocks

    def sweep(
        self,
        side: Side,
        name: str,
        kernel: SweepKernel,
        rows: Blocks | None = None,
        columns: Blocks | None = None,
    ) -> tuple[Blocks, Numbers]:
        """Give every row block of `side` its tiles and the column blocks; return new row blocks.

        Numbers of the kernels are summed in the order of the blocks, so the sum has the same bits
        whoever ran the tasks.
        """
        blocks = self._named(side, name)
        task = partial(_sweep, self.store, self.tiles, blocks, kernel, rows, columns)
        return blocks, _summed(self.runner.run(len(blocks), task, f"sweep {name}"))

    def reduce(self, name: str, kernel: ReduceKernel, blocks: Blocks) -> str:
        """Make one block of all blocks of a side, in one task; return its reference."""
        task = partial(_reduce, self.store, kernel, blocks, name)
        self.runner.run(1, task, f"reduce {name}")
        return name

    def strata(
        self, name: str, kernel: StratumKernel, users: Blocks, items: Blocks
    ) -> tuple[Blocks, Blocks, Numbers]:
        """Run one epoch: every user block meets every item block once, in S = max(P, Q) rounds."""
        P, Q = self.layout.user_blocks, self.layout.item_blocks
        first = {*users.references, *items.references}
        totals: list[Numbers] = []
        for s in range(max(P, Q)):
            pairs = [((q + s) % P, q) for q in range(Q)]
            if P <= Q:
                pairs = [(p, (p + s) % Q) for p in range(P)]
            new_users = _replaced(users, f"{name}/{s:04d}", {p for p, _ in pairs})
            new_items = _replaced(items, f"{name}/{s:04d}", {q for _, q in pairs})
            task = partial(
                _stratum,
                self.store,
                self.tiles,
                kernel,
                pairs,
                (users, items),
                (new_users, new_items),
            )
            totals += self.runner.run(len(pairs), task, f"stratum {name}.{s}")
            # What this round replaced is of no more use, unless a resumed epoch starts from it.
            kept = first | {*new_users.references, *new_items.references}
            self.store.discard({*users.references, *items.references} - kept)
            users, items = new_users, new_items
        return users, items, _summed(totals)

    def all_pairs(
        self, side: Side, name: str, kernel: PairKernel, rows: Blocks | None = None
    ) -> Blocks:
        """Give every block of `side` its own strip and all strips; return the new blocks."""
        blocks = self._named(side, name)
        task = partial(_all_pairs, self.store, self.tiles, blocks, kernel, rows)
        self.runner.run(len(blocks), task, f"all pairs {name}")
        return blocks

    def meetings(
        self, name: str, kernel: MeetingKernel, blocks: Blocks
    ) -> tuple[Blocks, tuple[tuple[str, ...], ...]]:
        """Let every two blocks of a side meet once, each in the task of one of them.

            5 blocks: 0 meets 1 and 2, 1 meets 2 and 3, 2 meets 3 and 4, 3 meets 4 and 0, ...

        Returns the new blocks and, for each block, references of what those it met left for it.
        """
        new = self._named(blocks.side, name)
        met = _halves(len(blocks))
        left = [
            tuple(f"{name}/left/{b:04d}/{other:04d}" for other in others)
            for b, others in enumerate(met)
        ]
        task = partial(_meet, self.store, kernel, blocks, new, met, left)
        self.runner.run(len(blocks), task, f"meetings {name}")
        received: list[list[str]] = [[] for _ in met]
        for others, references in zip(met, left, strict=True):
            for other_block, reference in zip(others, references, strict=True):
                received[other_block].append(reference)
        return new, tuple(tuple(references) for references in received)

    def _named(self, side: Side, name: str) -> Blocks:
        return Blocks.named(side, name, self.layout.blocks(side))


def _create(
    store: Store, layout: Layout, blocks: Blocks, make: Callable[[Array], Arrays], block: int
) -> Numbers:
    store.put(blocks.references[block], make(layout.indices(blocks.side, block)))
    return {}


def _sweep(
    store: Store,
    tiles: TileSet,
    blocks: Blocks,
    kernel: SweepKernel,
    rows: Blocks | None,
    columns: Blocks | None,
    block: int,
) -> Numbers:
    old = store.get(rows.references[block]) if rows else {}
    new, numbers = kernel(old, RowTiles(blocks.side, block, tiles, store, columns))
    store.put(blocks.references[block], new)
    return numbers


def _reduce(store: Store, kernel: ReduceKernel, blocks: Blocks, name: str, _: int) -> Numbers:
    store.put(name, kernel((store.get(reference) for reference in blocks.references), store))
    return {}


def _stratum(
    store: Store,
    tiles: TileSet,
    kernel: StratumKernel,
    pairs: list[tuple[int, int]],
    old: tuple[Blocks, Blocks],
    new: tuple[Blocks, Blocks],
    number: int,
) -> Numbers:
    p, q = pairs[number]
    tile = Tile.from_arrays(store.get(tiles.strip("user", p), q))
    users, items, numbers = kernel(
        store.get(old[0].references[p]), store.get(old[1].references[q]), tile, (p, q)
    )
    store.put(new[0].references[p], users)
    store.put(new[1].references[q], items)
    return numbers


def _all_pairs(
    store: Store,
    tiles: TileSet,
    blocks: Blocks,
    kernel: PairKernel,
    rows: Blocks | None,
    block: int,
) -> Numbers:
    old = store.get(rows.references[block]) if rows else {}
    store.put(blocks.references[block], kernel(old, Strips(blocks.side, block, tiles, store)))
    return {}


def _meet(
    store: Store,
    kernel: MeetingKernel,
    blocks: Blocks,
    new: Blocks,
    met: list[list[int]],
    left: list[tuple[str, ...]],
    block: int,
) -> Numbers:
    others = (store.get(blocks.references[other]) for other in met[block])
    made = kernel(store.get(blocks.references[block]), others)
    for reference, arrays in zip((*left[block], new.references[block]), made, strict=True):
        store.put(reference, arrays)
    return {}


def _halves(n: int) -> list[list[int]]:
    """Return which blocks each of n meets: every two meet once, and no block much more often."""
    halves = [[(b + s) % n for s in range(1, (n + 1) // 2)] for b in range(n)]
    if n % 2 == 0:
        for b in range(n // 2):
            halves[b].append(b + n // 2)
    return halves


def _replaced(blocks: Blocks, name: str, met: set[int]) -> Blocks:
    """Return new references for the blocks that are met, and the old ones for the others."""
    new = [
        f"{name}/{blocks.side}/{b:04d}" if b in met else old
        for b, old in enumerate(blocks.references)
    ]
    return Blocks(blocks.side, tuple(new))


def _summed(numbers: list[Numbers]) -> Numbers:
    total: Numbers = {}
    for part in numbers:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total
