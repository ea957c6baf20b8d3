"""The grid: ratings in P x Q tiles, and the passes over them.

create               every block of a side is made by itself
sweep                every row block meets all column blocks and becomes a new row block
reduce               one block is made of all blocks of a side
strata               in sub-epoch s user block p meets item block (p + s) mod S; all meet at once,
                     sharing nothing (DSGD, Gemulla et al. 2011)
all pairs            every strip meets every strip of the same side
symmetric all pairs  every two blocks of the same side meet once: what one row is to another is what
                     the other is to it

The trainers are written against this class alone. Where blocks lie (`BlockStore`) and who runs the
tasks (`Runner`) makes it an in-process grid or a Spark grid; the answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mfspark.grid.block_store import BlockStore
from mfspark.grid.kernels import (
    PairKernel,
    ReduceKernel,
    StratumKernel,
    SweepKernel,
    SymmetricPairKernel,
)
from mfspark.grid.layout import Blocks, GridLayout, TileSet
from mfspark.grid.runners import Runner
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.schemas import Side


@dataclass(frozen=True)
class Grid:
    """Tiles of ratings in a store, with a runner for the passes over them."""

    tiles: TileSet
    store: BlockStore
    runner: Runner

    @property
    def layout(self) -> GridLayout:
        """The layout of the tiles."""
        return self.tiles.layout

    def over(self, tiles: TileSet) -> Grid:
        """Return the grid of other tiles, such as pairs to be scored, in the same blocks."""
        return Grid(tiles, self.store, self.runner)

    def create(self, side: Side, name: str, make: Callable[[Array], Arrays]) -> Blocks:
        """Make the blocks of one side; `make` gets the global indices of the block's rows."""
        blocks, store, layout = self._named(side, name), self.store, self.layout

        def task(block: int) -> Numbers:
            store.put(blocks.references[block], make(layout.indices(side, block)))
            return {}

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
        blocks, store, tiles = self._named(side, name), self.store, self.tiles

        def task(block: int) -> Numbers:
            old = rows.read(store, block) if rows else {}
            new, numbers = kernel(old, RowTiles(side, block, tiles, store, columns))
            store.put(blocks.references[block], new)
            return numbers

        return blocks, _summed(self.runner.run(len(blocks), task, f"sweep {name}"))

    def reduce(self, name: str, kernel: ReduceKernel, blocks: Blocks) -> Blocks:
        """Make one block of all blocks of a side, in one task."""
        one, store = Blocks(blocks.side, (f"{name}/{blocks.side}",)), self.store

        def task(block: int) -> Numbers:
            every = (store.get(reference) for reference in blocks.references)
            store.put(one.references[block], kernel(every, store))
            return {}

        self.runner.run(1, task, f"reduce {name}")
        return one

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
            old, new = (users, items), (new_users, new_items)
            task = partial(_stratum, self.store, self.tiles, kernel, pairs, old, new)
            totals += self.runner.run(len(pairs), task, f"stratum {name}.{s}")
            # What this round replaced is of no more use, unless a resumed epoch starts from it.
            kept = first | {*new_users.references, *new_items.references}
            self.store.discard({*users.references, *items.references} - kept)
            users, items = new
        return users, items, _summed(totals)

    def all_pairs(
        self, side: Side, name: str, kernel: PairKernel, rows: Blocks | None = None
    ) -> Blocks:
        """Give every block of `side` its own strip and all strips; return the new blocks."""
        blocks, store, tiles = self._named(side, name), self.store, self.tiles

        def task(block: int) -> Numbers:
            old = rows.read(store, block) if rows else {}
            store.put(blocks.references[block], kernel(old, Strips(side, block, tiles, store)))
            return {}

        self.runner.run(len(blocks), task, f"all pairs {name}")
        return blocks

    def symmetric_all_pairs(
        self, name: str, kernel: SymmetricPairKernel, blocks: Blocks
    ) -> tuple[Blocks, tuple[tuple[str, ...], ...]]:
        """Let every two blocks of a side meet once, each in the task of one of them.

            5 blocks: 0 meets 1 and 2, 1 meets 2 and 3, 2 meets 3 and 4, 3 meets 4 and 0, ...

        Returns the new blocks and, for each block, references of what its partners left for it.
        """
        new, partners = self._named(blocks.side, name), _partners(len(blocks))
        store = self.store

        def task(block: int) -> Numbers:
            others = (blocks.read(store, other) for other in partners[block])
            references = [_left(name, block, other) for other in partners[block]]
            made = kernel(blocks.read(store, block), others)
            for reference, arrays in zip((*references, new.references[block]), made, strict=True):
                store.put(reference, arrays)
            return {}

        self.runner.run(len(blocks), task, f"symmetric all pairs {name}")
        received: list[list[str]] = [[] for _ in partners]
        for block, others in enumerate(partners):
            for other in others:
                received[other].append(_left(name, block, other))
        return new, tuple(map(tuple, received))

    def _named(self, side: Side, name: str) -> Blocks:
        return Blocks.named(side, name, self.layout.blocks(side))


def _stratum(
    store: BlockStore,
    tiles: TileSet,
    kernel: StratumKernel,
    pairs: list[tuple[int, int]],
    old: tuple[Blocks, Blocks],
    new: tuple[Blocks, Blocks],
    number: int,
) -> Numbers:
    p, q = pairs[number]
    tile = tiles.tile(store, "user", p, q)
    users, items, numbers = kernel(old[0].read(store, p), old[1].read(store, q), tile, (p, q))
    store.put(new[0].references[p], users)
    store.put(new[1].references[q], items)
    return numbers


def _left(name: str, block: int, other: int) -> str:
    """Return the reference of what a block leaves for another."""
    return f"{name}/left/{block:04d}/{other:04d}"


def _partners(n: int) -> list[list[int]]:
    """Return which blocks each of n meets: every two meet once, and no block much more often."""
    halves = [[(b + s) % n for s in range(1, (n + 1) // 2)] for b in range(n)]
    if n % 2 == 0:
        for b in range(n // 2):
            halves[b].append(b + n // 2)
    return halves


def _replaced(blocks: Blocks, name: str, chosen: set[int]) -> Blocks:
    """Return new references for the chosen blocks, and the old ones for the others."""
    new = [
        f"{name}/{blocks.side}/{b:04d}" if b in chosen else old
        for b, old in enumerate(blocks.references)
    ]
    return Blocks(blocks.side, tuple(new))


def _summed(numbers: list[Numbers]) -> Numbers:
    total: Numbers = {}
    for part in numbers:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total
