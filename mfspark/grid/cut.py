"""Cutting ratings into tiles, by Spark or from arrays in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout, TileSet, exact_strip
from mfspark.grid.runners import Runner
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.schemas import Side

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EPOCH = datetime(2010, 1, 1, tzinfo=UTC)
"""Times are cut as minutes after this, which float32 holds exactly from 1978 to 2041."""


def cut_frame(
    ratings: DataFrame,
    layout: GridLayout,
    name: str,
    store: BlockStore,
    runner: Runner,
    *,
    timed: bool = False,
    exact: bool = False,
) -> TileSet:
    """Cut a DataFrame (user_idx, item_idx, rating) into tiles in a store that workers share.

    timed: cut its column rated_at too, see `TileSet.times`; exact: keep the ratings as float64 too,
    see `TileSet.exact_values`. Shuffles the ratings once, by user
    block; a task holds one strip (n_ratings / P ratings of 12 bytes, 20 with times, about three
    times over). The tiles of the other side are transposed from these.
    """
    from pyspark.sql import functions as F

    n_blocks, cut = layout.user_blocks, _Cut(layout, name, store, timed, exact)
    minutes = [(F.unix_seconds("rated_at") - int(EPOCH.timestamp())) / 60] if timed else []
    numbers = (
        ratings.select(
            "user_idx",
            "item_idx",
            F.col("rating").cast("double").alias("rating"),
            *(F.floor(minute).cast("double").alias("minute") for minute in minutes),
            F.pmod("user_idx", F.lit(n_blocks)).alias("block"),
        )
        .repartitionById(n_blocks, "block")
        .mapInArrow(cut.strip_of_partition, "block int, numbers string")
        .collect()
    )
    rows = sorted((row["block"], json.loads(row["numbers"])) for row in numbers)
    if not rows:  # Spark does not run what it knows to be empty, such as a split without test
        none = [np.empty(0, np.int64)] * (3 + timed)
        rows = [(p, cut.strip(p, *none)) for p in range(n_blocks)]
    assert [block for block, _ in rows] == list(range(n_blocks)), "each block is cut exactly once"
    return cut.finished([numbers for _, numbers in rows], runner)


def cut_factors(
    rows: DataFrame, side: Side, layout: GridLayout, rank: int, name: str, store: BlockStore
) -> Blocks:
    """Cut a DataFrame (idx, bias, factors) into blocks in a store that workers share.

    Blocks: factors float32 (rows, rank), bias float32 (rows) and known bool (rows), False where
    there is no row with a list of `rank` factors. Shuffles the rows once, by block.
    """
    from pyspark.sql import functions as F

    n_blocks = layout.blocks(side)
    blocks = Blocks.named(side, name, n_blocks)
    selected = rows.select(
        F.col("idx").cast("int"),
        F.col("bias").cast("float"),
        F.col("factors").cast("array<float>"),
    ).filter(F.size("factors") == rank)
    numbered = selected.withColumn("block", F.pmod("idx", F.lit(n_blocks)))
    shuffled = numbered.repartitionById(n_blocks, "block")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        block = _partition()  # which is exactly one block
        arrays = _no_factors(layout.rows(side, block), rank)
        for batch in batches:
            rows = batch["idx"].to_numpy() // n_blocks
            arrays["factors"][rows] = batch["factors"].flatten().to_numpy().reshape(-1, rank)
            arrays["bias"][rows] = batch["bias"].to_numpy()
            arrays["known"][rows] = True
        store.put(blocks.references[block], arrays)
        yield pa.RecordBatch.from_pydict({"block": pa.array([block], pa.int32())})

    found = {row["block"] for row in shuffled.mapInArrow(write, "block int").collect()}
    for block in set(range(n_blocks)) - found:  # Spark does not run what it knows to be empty
        store.put(blocks.references[block], _no_factors(layout.rows(side, block), rank))
    return blocks


def cut_arrays(
    users: Array,
    items: Array,
    values: Array,
    layout: GridLayout,
    name: str,
    store: BlockStore,
    runner: Runner,
    minutes: Array | None = None,
    *,
    exact: bool = False,
) -> TileSet:
    """Cut ratings given as arrays (n) of user index, item index, rating and, if known, minute.

    exact: keep the ratings as float64 too, see `TileSet.exact_values`.
    """
    columns = [users, items, values, *([] if minutes is None else [minutes])]
    cut = _Cut(layout, name, store, timed=minutes is not None, exact=exact)
    numbers = [
        cut.strip(p, *(column[mask] for column in columns))
        for p in range(layout.user_blocks)
        for mask in [users % layout.user_blocks == p]
    ]
    return cut.finished(numbers, runner)


@dataclass(frozen=True)
class _Cut:
    """Ratings being cut: where their tiles are put, and what is kept beside them."""

    layout: GridLayout
    name: str
    store: BlockStore
    timed: bool
    exact: bool

    def strip_of_partition(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Cut the ratings of this Spark partition, which is exactly one user block."""
        block = _partition()
        names = ["user_idx", "item_idx", "rating", *(["minute"] if self.timed else [])]
        parts = [[batch[c].to_numpy(zero_copy_only=False) for c in names] for batch in batches]
        empty = [np.empty(0, np.int32)] * 2 + [np.empty(0, np.float64)] * (len(names) - 2)
        users, *others = (np.concatenate(c) for c in zip(empty, *parts, strict=True))
        if len(users) and not (users % self.layout.user_blocks == block).all():
            raise AssertionError(f"partition {block} holds ratings of another user block")
        numbers = json.dumps(self.strip(block, users, *others))
        columns = {"block": pa.array([block], pa.int32()), "numbers": [numbers]}
        yield pa.RecordBatch.from_pydict(columns)

    def strip(
        self, p: int, users: Array, items: Array, values: Array, minutes: Array | None = None
    ) -> Numbers:
        """Keep the tiles of one user block and return count, sum and range of its ratings."""
        order = np.lexsort((items, users))  # sums and tiles do not depend on the order of arrival
        users, items, values = users[order], items[order], values[order].astype(np.float64)
        self._put_tiles(self.name, p, users, items, values)
        if self.exact:
            self.store.put(exact_strip(self.name, p), {"values": values})
        if minutes is not None:
            self._put_tiles(f"{self.name}/times", p, users, items, minutes[order])
        return {
            "n": len(values),
            "sum": float(values.sum()),
            "squares": float(np.square(values).sum()),
            "low": float(values.min(initial=np.inf)),
            "high": float(values.max(initial=-np.inf)),
        }

    def _put_tiles(self, name: str, p: int, users: Array, items: Array, values: Array) -> None:
        layout = self.layout
        tiles: list[Arrays] = []
        for q in range(layout.item_blocks):
            mask = items % layout.item_blocks == q
            tile = Tile.from_triples(
                users[mask] // layout.user_blocks,
                items[mask] // layout.item_blocks,
                values[mask],
                layout.rows("user", p),
                layout.rows("item", q),
            )
            tiles.append(tile.arrays())
        self.store.put(f"{name}/user/{p:04d}", *tiles)

    def finished(self, numbers: list[Numbers], runner: Runner) -> TileSet:
        """Add the tiles of the items and sum up."""
        n = int(sum(part["n"] for part in numbers))
        mean = sum(part["sum"] for part in numbers) / max(1, n)
        square = sum(part["squares"] for part in numbers) / max(1, n)
        variance = square - mean**2
        tiles = TileSet(
            self.name,
            self.layout,
            n_ratings=n,
            mean=mean,
            variance=variance if variance > 1e-9 * square else 0.0,  # else: rounding
            low=min(part["low"] for part in numbers),
            high=max(part["high"] for part in numbers),
            timed=self.timed,
            exact=self.exact,
        )
        transpose = partial(_transpose_strip, self.store, tiles)
        runner.run(self.layout.item_blocks, transpose, f"transpose {self.name}")
        return tiles


def _transpose_strip(store: BlockStore, tiles: TileSet, q: int) -> Numbers:
    for each in [tiles, tiles.times] if tiles.timed else [tiles]:
        groups = [
            Tile.from_arrays(store.get(each.strip("user", p), q)).transposed().arrays()
            for p in range(each.layout.user_blocks)
        ]
        store.put(each.strip("item", q), *groups)
    return {}


def _no_factors(n: int, rank: int) -> Arrays:
    factors, bias = np.zeros((n, rank), np.float32), np.zeros(n, np.float32)
    return {"factors": factors, "bias": bias, "known": np.zeros(n, bool)}


def _partition() -> int:
    """Return the number of the Spark partition that this task works on."""
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    return context.partitionId()
