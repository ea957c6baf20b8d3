"""What users and items are called in tables, in blocks: tasks name what they write by themselves.

So no table needs a join with `users` or `items` to get its ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.errors import MfsparkError
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.kernels.arrays.tile import Numbers
from mfspark.models.records import Labelled, labels_key
from mfspark.schemas import Side
from mfspark.tables.table_files import TableFiles

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset


@dataclass(frozen=True)
class Labels:
    """The ids of one side, and the titles of items, by block and row."""

    store: BlockStore
    layout: GridLayout
    blocks: Blocks

    def of_block(self, block: int, column: str = "id") -> pa.Array:
        """Return a column (`id`, or `title` of items) of the rows of one block."""
        return _unpacked(self.blocks.read(self.store, block)[column])

    def all(self, column: str = "id") -> pa.Array:
        """Return a column of all rows, by their global index."""
        n, n_blocks = self.layout.n(self.blocks.side), len(self.blocks)
        parts = [self.of_block(block, column) for block in range(n_blocks)]
        if n_blocks == 1:
            return parts[0]
        starts = np.cumsum([0, *map(len, parts)])
        block, row = np.arange(n) % n_blocks, np.arange(n) // n_blocks
        return pa.concat_arrays(parts).take(pa.array(starts[block] + row))


def labels_of(dataset: Dataset, side: Side) -> Labels:
    """Return the labels of a side; they are put into blocks when first asked for.

    A task a block, which reads two or three columns of the table `users` or `items`.
    """
    context, layout = dataset.context, dataset.layout
    blocks = Blocks.named(side, "labels", layout.blocks(side))

    def put() -> Labelled:
        files = context.night.files(f"{side}s")
        task = partial(put_labels, files, context.store, layout, blocks)
        found = context.runner.run(len(blocks), task, f"labels of {side}s")
        return Labelled(sum(int(numbers["rows"]) for numbers in found))

    n = context.once_in_turn(labels_key(side), put).rows
    if n != layout.n(side):
        raise MfsparkError(
            f"table '{side}s' has {n:,} rows for {layout.n(side):,} {side}s",
            "run the same command again",
        )
    return Labels(context.store, layout, blocks)


def put_labels(
    files: TableFiles, store: BlockStore, layout: GridLayout, blocks: Blocks, block: int
) -> Numbers:
    """Put the labels of one block of a side, read from its table; return how many rows it has.

    None where the table has not one row for each of its indices.
    """
    side = blocks.side
    columns = {"id": f"{side}_id", **({"title": "title"} if side == "item" else {})}
    mine: list[pa.RecordBatch] = []
    for batch in files.dataset().to_batches(columns=[f"{side}_idx", *columns.values()]):
        of_block = batch[f"{side}_idx"].to_numpy() % len(blocks) == block
        mine.append(batch.filter(pa.array(of_block)))
    rows = pa.Table.from_batches(mine).sort_by(f"{side}_idx")
    if not np.array_equal(rows[f"{side}_idx"].to_numpy(), layout.indices(side, block)):
        return {"rows": 0}
    store.put(blocks.references[block], {to: _packed(rows[name]) for to, name in columns.items()})
    return {"rows": rows.num_rows}


def _packed(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as bytes, uint8 (n): blocks hold arrays of numbers."""
    whole = pa.table({"column": column.combine_chunks()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    return np.frombuffer(sink.getvalue(), np.uint8)


def _unpacked(content: np.ndarray) -> pa.Array:
    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        column = reader.read_all()["column"]
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
