"""Ids and titles in blocks, from tables in whatever order their rows are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.grid.block_store import MemoryStore
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.pipeline.publishing.labels import Labels, put_labels
from mfspark.storage.posix import PosixStorage
from mfspark.tables.table_files import TableFiles

LAYOUT = GridLayout(n_users=1, n_items=7, user_blocks=1, item_blocks=3)
PLACES = [6, 0, 3, 2, 5, 1, 4]
TITLES = ["g", None, "d", "c", None, "b", "e"]


def table(folder: Path, places: list[int]) -> TableFiles:
    """Two files of one table of items."""
    rows = pa.table(
        {
            "item_id": pa.array([f"i{place}" for place in places]),
            "item_idx": pa.array(places, pa.int32()),
            "title": pa.array(TITLES[: len(places)], pa.string()),
        }
    )
    for name, part in (("a", rows.slice(0, 3)), ("b", rows.slice(3))):
        pq.write_table(part, folder / f"{name}.parquet")
    return TableFiles(PosixStorage(str(folder)), ("a.parquet", "b.parquet"))


def test_labels_are_those_of_the_table_by_index(tmp_path: Path) -> None:
    files, store, blocks = table(tmp_path, PLACES), MemoryStore(), Blocks.named("item", "labels", 3)
    rows = [put_labels(files, store, LAYOUT, blocks, block)["rows"] for block in range(3)]
    assert rows == [3, 2, 2]
    labels = Labels(store, LAYOUT, blocks)
    assert labels.all().to_pylist() == [f"i{index}" for index in range(7)]
    assert labels.all("title").to_pylist() == [None, "b", "c", "d", "e", None, "g"]
    assert labels.of_block(1).to_pylist() == ["i1", "i4"]
    assert labels.of_block(2, "title").to_pylist() == ["c", None]


def test_a_table_that_lacks_an_index_gives_no_labels(tmp_path: Path) -> None:
    files, blocks = table(tmp_path, PLACES[:-1]), Blocks.named("item", "labels", 3)
    rows = [put_labels(files, MemoryStore(), LAYOUT, blocks, block)["rows"] for block in range(3)]
    assert rows == [3, 0, 2], "index 4, of block 1, is missing"
