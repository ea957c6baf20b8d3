"""Where everything is: how rows are dealt out to blocks, and what tiles and blocks are called.

4 users x 3 items in 2 x 2 tiles (user u in block u mod 2, item i in block i mod 2):

            item block 0      item block 1
            items 0, 2        item 1
users 0, 2  tile (0, 0)       tile (0, 1)      strip 0 of the users
users 1, 3  tile (1, 0)       tile (1, 1)      strip 1 of the users
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.kernels.arrays.tile import Array, Arrays, Tile

if TYPE_CHECKING:
    from mfspark.grid.block_store import BlockStore
    from mfspark.schemas import Side


@dataclass(frozen=True)
class GridLayout:
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
        return len(range(block, self.n(side), self.blocks(side)))

    def indices(self, side: Side, block: int) -> Array:
        """Global indices of the rows of one block, int64."""
        return np.arange(block, self.n(side), self.blocks(side), dtype=np.int64)


@dataclass(frozen=True)
class TileSet:
    """Ratings that were cut: where their tiles lie, and what is known of them as a whole."""

    name: str
    layout: GridLayout
    n_ratings: int
    mean: float
    variance: float
    low: float
    high: float
    timed: bool = False
    """Whether `times` were cut too."""
    exact: bool = False
    """Whether `exact_values` were kept too."""
    least: float | None = None
    """Passes over them see only ratings from here on; all other facts are of all ratings."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> TileSet:
        """Read back what `dataclasses.asdict` gave."""
        facts: dict[str, Any] = record | {"layout": GridLayout(**record["layout"])}
        return cls(**facts)

    @property
    def std(self) -> float:
        """Standard deviation of the ratings, as a unit: 1 where all are equal."""
        return self.variance**0.5 or 1.0

    @property
    def unit(self) -> float:
        """Root mean square of the ratings, as a unit of what is not centered: 1 if all are 0."""
        return (self.variance + self.mean**2) ** 0.5 or 1.0

    def at_least(self, least: float | None) -> TileSet:
        """Return tiles of the ratings from `least` on alone; nothing is cut anew. None: of all."""
        return self if least is None else replace(self, least=least, low=max(self.low, least))

    def with_facts_of(self, fitted: TileSet) -> TileSet:
        """Return tiles of new users with the facts of the ratings that a model was fitted on."""
        facts = {name: getattr(fitted, name) for name in ("n_ratings", "mean", "variance")}
        return replace(self, **facts)

    @property
    def times(self) -> TileSet:
        """Tiles of the same ratings that hold when they were made instead of their values.

        In minutes after grid.cut.EPOCH; NaN where it is not known.
        """
        return replace(self, name=f"{self.name}/times", timed=False, exact=False)

    def exact_values(self, store: BlockStore, block: int) -> Array:
        """Return the ratings of a user block as they came, where tiles round to float32.

        float64 (n), in the order of the block's strip: by row, then by global column. `least` does
        not matter here. Raises ValueError where they were not kept.
        """
        if not self.exact:
            raise ValueError(f"of {self.name} only tiles were kept")
        return store.get(exact_strip(self.name, block))["values"]

    def tile(self, store: BlockStore, side: Side, block: int, across: int) -> Tile:
        """Return the tile of a block of one side and a block of the other."""
        tile = Tile.from_arrays(store.get(self.strip(side, block), across))
        return tile.at_least(self.least)

    def strip(self, side: Side, block: int) -> str:
        """Return the reference of the tiles of one row block: one group a column block."""
        return f"{self.name}/{side}/{block:04d}"


def exact_strip(name: str, block: int) -> str:
    """Return the reference of the exact ratings of a user block."""
    return f"{name}/exact/user/{block:04d}"


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

    def read(self, store: BlockStore, block: int = 0) -> Arrays:
        """Return the arrays of one block; of the only one where a reduce made it."""
        return store.get(self.references[block])

    def gathered(self, store: BlockStore, layout: GridLayout, name: str) -> Array:
        """Return one array of all blocks, rows by their global index."""
        parts = [store.get(reference)[name] for reference in self.references]
        whole = np.empty((layout.n(self.side), *parts[0].shape[1:]), parts[0].dtype)
        for block, part in enumerate(parts):
            whole[layout.indices(self.side, block)] = part
        return whole


BySide = dict["Side", Blocks]
"""Blocks of both sides."""
