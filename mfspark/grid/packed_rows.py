"""Rows brought to the task of their block, packed: few rows of bytes instead of many of numbers.

Each task that reads rows gathers them, orders them by block, and gives one row a block, whose
columns hold the bytes of arrays. Spark shuffles those:

    user_idx  rating  block          block  user_idx        rating
    4         3.0     0              0      [4, 2] int32    [3.0, 5.0] float64
    1         4.0     1         ->   1      [1] int32       [4.0] float64
    2         5.0     0
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from mfspark.kernels.arrays.ordering import order_of
from mfspark.kernels.arrays.tile import Arrays

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
_ROWS = 1 << 20
"""Rows packed at once: a task that reads holds so many, some 30 bytes each, twice."""

ColumnTypes = Mapping[str, str]
"""The columns of rows by name, with their numpy types."""


@dataclass(frozen=True)
class RowsOfTasks:
    """Rows that tasks read as arrays by themselves, where Spark need not see them one by one."""

    spark: SparkSession | None
    """Runs the tasks; None: this process does."""
    n_tasks: int
    read: Callable[[int], Arrays]
    """Gives the columns (n) of a task."""

    def all(self, types: ColumnTypes) -> Arrays:
        """Read the rows of all tasks here."""
        parts = [{name: np.empty(0, dtype) for name, dtype in types.items()}]
        parts += map(self.read, range(self.n_tasks))
        return {name: np.concatenate([part[name] for part in parts]) for name in types}


def packed_by_block(
    rows: DataFrame | RowsOfTasks,
    block_of: Callable[[Arrays], np.ndarray],
    n_blocks: int,
    types: ColumnTypes,
) -> DataFrame:
    """Return rows packed by block, in n_blocks partitions: each has the rows of one block.

    block_of: gives the block of each row, from their columns. Shuffles the bytes once. Columns must
    have no nulls, other than of floating point. Read each partition by `unpacked`.
    """
    arrays_of: Callable[[Iterator[pa.RecordBatch]], Iterable[Arrays]]
    if isinstance(rows, RowsOfTasks):
        assert rows.spark is not None, "rows that this process reads need no packing"
        frame = rows.spark.range(0, rows.n_tasks, 1, max(1, rows.n_tasks))
        arrays_of = partial(_read, rows.read)
    else:
        frame, arrays_of = rows.select(*types), partial(_gathered, types)

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for arrays in arrays_of(batches):
            columns = {n: arrays[n].astype(kind, copy=False) for n, kind in types.items()}
            yield _packed(columns, block_of(arrays), n_blocks)

    schema = ", ".join(["block int", *(f"{name} binary" for name in types)])
    return frame.mapInArrow(pack, schema).repartitionById(n_blocks, "block")


def at_blocks(
    rows: DataFrame | RowsOfTasks,
    block_of: Callable[[Arrays], np.ndarray],
    n_blocks: int,
    types: ColumnTypes,
    task: Callable[[int, Arrays], T],
) -> list[T]:
    """Bring the rows of each block together, and return what a task makes of them, by block.

    task: is given the number of a block and the columns (n) of its rows, in any order; what it
    returns is JSON. Otherwise as `packed_by_block`; rows that no Spark reads stay in this process.
    """
    if isinstance(rows, RowsOfTasks) and rows.spark is None:
        columns = rows.all(types)
        return list(map(task, range(n_blocks), split(columns, block_of(columns), n_blocks)))

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        block = partition_number()  # which is exactly one block
        outcome = json.dumps(task(block, unpacked(batches, types)))
        columns = {"block": pa.array([block], pa.int32()), "outcome": [outcome]}
        yield pa.RecordBatch.from_pydict(columns)

    packed = packed_by_block(rows, block_of, n_blocks, types)
    found = packed.mapInArrow(run, "block int, outcome string").collect()
    if not found:  # Spark does not run what it knows to be empty, such as a split without test
        return [task(block, unpacked([], types)) for block in range(n_blocks)]
    outcomes = {row["block"]: json.loads(row["outcome"]) for row in found}
    assert len(outcomes) == len(found) == n_blocks, "each block comes together exactly once"
    return [outcomes[block] for block in range(n_blocks)]


def split(columns: Arrays, blocks: np.ndarray, n_blocks: int) -> Iterator[Arrays]:
    """Yield the rows of each block; blocks int (n): that of each row."""
    for block in range(n_blocks):
        mask = blocks == block
        yield {name: column[mask] for name, column in columns.items()}


def unpacked(batches: Iterable[pa.RecordBatch], types: ColumnTypes) -> Arrays:
    """Return the arrays (n) of one partition of packed rows, one after the other as they come."""
    parts: dict[str, list[np.ndarray]] = {name: [np.empty(0, types[name])] for name in types}
    for batch in batches:
        for name, dtype in types.items():
            # Zero-copy: the arrays keep the batch's memory until they are put together.
            parts[name] += [np.frombuffer(row.as_buffer(), dtype) for row in batch[name]]
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def partition_number() -> int:
    """Return the number of the Spark partition that this task works on: its block."""
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    return context.partitionId()


def _read(read: Callable[[int], Arrays], batches: Iterable[pa.RecordBatch]) -> Iterator[Arrays]:
    """Read what belongs to each number, one number after the other."""
    return map(read, chain.from_iterable(batch["id"].to_pylist() for batch in batches))


def _gathered(types: ColumnTypes, batches: Iterable[pa.RecordBatch]) -> Iterator[Arrays]:
    """Put batches together until they have _ROWS rows."""
    waiting: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        waiting.append(batch)
        n += batch.num_rows
        if n >= _ROWS:
            yield _arrays(waiting, types)
            waiting, n = [], 0
    if n:
        yield _arrays(waiting, types)


def _arrays(batches: list[pa.RecordBatch], types: ColumnTypes) -> Arrays:
    return {
        name: np.concatenate([batch[name].to_numpy(zero_copy_only=False) for batch in batches])
        .astype(dtype, copy=False)
        for name, dtype in types.items()
    }  # fmt: skip


def _packed(arrays: Arrays, blocks: np.ndarray, n_blocks: int) -> pa.RecordBatch:
    """Return one row for each block that has any."""
    order = order_of(blocks, n_blocks)
    counts = np.bincount(blocks, minlength=n_blocks)
    present = np.flatnonzero(counts)
    ends = np.concatenate([[0], np.cumsum(counts[present])])
    columns = {"block": pa.array(present, pa.int32())}
    for name, array in arrays.items():
        offsets = pa.py_buffer((ends * array.itemsize).astype(np.int32))
        data = pa.py_buffer(array[order])
        columns[name] = pa.BinaryArray.from_buffers(
            pa.binary(), len(present), [None, offsets, data]
        )
    return pa.RecordBatch.from_pydict(columns)
