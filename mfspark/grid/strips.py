"""Writing the strips of ratings that were brought together, user block by user block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import GridLayout, TileSet, exact_strip
from mfspark.grid.runners import Runner
from mfspark.kernels.arrays.ordering import order_of, order_of_pairs
from mfspark.kernels.arrays.tile import Arrays, Numbers, Tile


@dataclass(frozen=True)
class Selection:
    """What is cut of some ratings: the tiles of a name."""

    name: str
    is_test: bool | None = None
    """Only ratings that are, or are not, test ratings; None: all."""
    exact: bool = False
    """Whether ratings are kept as float64 too, see `TileSet.exact_values`."""


@dataclass(frozen=True)
class StripWriter:
    """Writes strips of the users, then those of the items, which are transposed from them."""

    selections: Sequence[Selection]
    layout: GridLayout
    store: BlockStore
    timed: bool

    def write(self, p: int, ratings: Arrays) -> list[Numbers]:
        """Keep the tiles of one user block; return count, sum and range of each selection.

        ratings: user_idx, item_idx, rating and, as asked for, minute and is_test of all ratings of
        the block (n), in any order. Raises ValueError where there are others.
        """
        ratings = self._in_order(p, ratings)
        return [self._write(selection, p, ratings) for selection in self.selections]

    def _in_order(self, p: int, ratings: Arrays) -> Arrays:
        """Return the ratings by row and item, whatever order they came in; row for user_idx."""
        users, items = ratings["user_idx"], ratings["item_idx"]
        rows, blocks = np.divmod(users, self.layout.user_blocks)
        if not (blocks == p).all():
            raise ValueError(f"user block {p} was given ratings of another")
        order = order_of_pairs(rows, items, self.layout.rows("user", p), self.layout.n_items)
        others = {name: array[order] for name, array in ratings.items() if name != "user_idx"}
        return {"row": rows[order], **others}

    def _write(self, selection: Selection, p: int, strip: Arrays) -> Numbers:
        """Keep one selection of a strip that is in order."""
        if selection.is_test is not None:
            mask = strip["is_test"] == selection.is_test
            strip = {name: array[mask] for name, array in strip.items()}
        values = strip["rating"].astype(np.float64, copy=False)
        names = {"rating": selection.name}
        if self.timed:
            names["minute"] = f"{selection.name}/times"
        tiles = self._tiles(p, strip, list(names))
        for column, name in names.items():
            self.store.put(f"{name}/user/{p:04d}", *tiles[column])
            if self._has_all_users:
                for q, tile in enumerate(tiles[column]):
                    turned = Tile.from_arrays(tile).transposed()
                    self.store.put(f"{name}/item/{q:04d}", turned.arrays())
        if selection.exact:
            self.store.put(exact_strip(selection.name, p), {"values": values})
        return {
            "n": len(values),
            "sum": float(values.sum()),
            "squares": float(np.square(values).sum()),
            "low": float(values.min(initial=np.inf)),
            "high": float(values.max(initial=-np.inf)),
        }

    def _tiles(self, p: int, strip: Arrays, columns: list[str]) -> dict[str, list[Arrays]]:
        """Return the tiles of a strip in order, for each column that tiles hold."""
        layout, n_rows = self.layout, self.layout.rows("user", p)
        items = strip["item_idx"]
        blocks = items % layout.item_blocks
        order = order_of(blocks, layout.item_blocks)  # within a block as in the strip
        ends = np.cumsum(np.bincount(blocks, minlength=layout.item_blocks))
        rows, numbers = strip["row"][order], (items // layout.item_blocks)[order]
        found: dict[str, list[Arrays]] = {}
        for column in columns:
            values = strip[column][order]
            found[column] = [
                Tile.from_sorted(
                    rows[begin:end], numbers[begin:end], values[begin:end],
                    n_rows, layout.rows("item", q),
                ).arrays()
                for q, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
            ]  # fmt: skip
        return found

    def finished(self, numbers: Sequence[list[Numbers]], runner: Runner) -> list[TileSet]:
        """Sum up what `write` gave for each user block, and add the tiles of the items."""
        by_selection = zip(*numbers, strict=True)
        sets = [self._summed(*each) for each in zip(self.selections, by_selection, strict=True)]
        if not self._has_all_users:
            transpose = _Transpose(self.store, sets)
            names = " and ".join(tiles.name for tiles in sets)
            runner.run(transpose.n_tasks, transpose, f"transpose {names}")
        return sets

    @property
    def _has_all_users(self) -> bool:
        """Whether the only strip of the users is all ratings, so that its task writes the others.

        Of few ratings a job more takes longer than all the rest.
        """
        return self.layout.user_blocks == 1

    def _summed(self, selection: Selection, numbers: Sequence[Numbers]) -> TileSet:
        n = int(sum(part["n"] for part in numbers))
        mean = sum(part["sum"] for part in numbers) / max(1, n)
        square = sum(part["squares"] for part in numbers) / max(1, n)
        variance = square - mean**2
        return TileSet(
            selection.name,
            self.layout,
            n_ratings=n,
            mean=mean,
            variance=variance if variance > 1e-9 * square else 0.0,  # else: rounding
            low=min(part["low"] for part in numbers),
            high=max(part["high"] for part in numbers),
            timed=self.timed,
            exact=selection.exact,
        )


@dataclass(frozen=True)
class _Transpose:
    """Makes the strips of the items of several sets of tiles; one task a strip and set."""

    store: BlockStore
    sets: list[TileSet]

    @property
    def n_tasks(self) -> int:
        return len(self.sets) * self.sets[0].layout.item_blocks

    def __call__(self, number: int) -> Numbers:
        which, q = divmod(number, self.sets[0].layout.item_blocks)
        tiles = self.sets[which]
        for each in [tiles, tiles.times] if tiles.timed else [tiles]:
            groups = [
                Tile.from_arrays(self.store.get(each.strip("user", p), q)).transposed().arrays()
                for p in range(each.layout.user_blocks)
            ]
            self.store.put(each.strip("item", q), *groups)
        return {}
