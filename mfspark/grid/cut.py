"""Cutting ratings into tiles, by Spark or from arrays in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout, TileSet
from mfspark.grid.packed_rows import RowsOfTasks, at_blocks, partition_number, split
from mfspark.grid.runners import Runner
from mfspark.grid.strips import Selection, StripWriter
from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.schemas import Side

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EPOCH = datetime(2010, 1, 1, tzinfo=UTC)
"""Times are cut as minutes after this, which float32 holds exactly from 1978 to 2041."""

_TYPES = {"user_idx": "<i4", "item_idx": "<i4", "rating": "<f8"}
_SPARK_TYPES = {"user_idx": "int", "item_idx": "int", "rating": "double"}


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
    see `TileSet.exact_values`. Runs and holds what `cut_together` does.
    """
    selections = [Selection(name, exact=exact)]
    return cut_together(ratings, layout, selections, store, runner, timed=timed)[0]


def cut_together(
    ratings: DataFrame | RowsOfTasks,
    layout: GridLayout,
    selections: Sequence[Selection],
    store: BlockStore,
    runner: Runner,
    *,
    timed: bool = False,
) -> list[TileSet]:
    """Cut rows (user_idx, item_idx, rating, is_test) once into several sets of tiles.

    Tasks that read arrays give minutes after EPOCH (`minute`), a DataFrame gives `rated_at`;
    is_test (bool) is needed where a selection asks for it. Reads the ratings once and shuffles them
    once, by user block, packed. A task holds one strip (n_ratings / P ratings of 16 bytes, 24 with
    times, about three times over).
    """
    n_blocks = layout.user_blocks
    writer, types = StripWriter(selections, layout, store, timed), dict(_TYPES)
    if timed:
        types["minute"] = "<f8"
    if any(selection.is_test is not None for selection in selections):
        types["is_test"] = "?"

    if not isinstance(ratings, RowsOfTasks):
        ratings = _numbers_of(ratings, timed=timed)

    def block_of(rows: Arrays) -> Array:
        return rows["user_idx"] % n_blocks

    return writer.finished(at_blocks(ratings, block_of, n_blocks, types, writer.write), runner)


def _numbers_of(ratings: DataFrame, *, timed: bool) -> DataFrame:
    """Return ratings with the columns that are cut, as they are packed."""
    from pyspark.sql import functions as F

    numbers = ratings.withColumns(
        {name: F.col(name).cast(kind) for name, kind in _SPARK_TYPES.items()}
    )
    if not timed:
        return numbers
    minute = (F.unix_seconds("rated_at") - int(EPOCH.timestamp())) / 60
    return numbers.withColumn("minute", F.floor(minute).cast("double"))


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
    columns = {"user_idx": users, "item_idx": items, "rating": values}
    if minutes is not None:
        columns["minute"] = minutes
    selections = [Selection(name, exact=exact)]
    writer = StripWriter(selections, layout, store, timed=minutes is not None)
    strips = split(columns, users % layout.user_blocks, layout.user_blocks)
    return writer.finished([writer.write(p, strip) for p, strip in enumerate(strips)], runner)[0]


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
        block = partition_number()  # which is exactly one block
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


def _no_factors(n: int, rank: int) -> Arrays:
    factors, bias = np.zeros((n, rank), np.float32), np.zeros(n, np.float32)
    return {"factors": factors, "bias": bias, "known": np.zeros(n, bool)}
