from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.grid import table_rows
from mfspark.grid.cut import EPOCH
from mfspark.grid.table_rows import ratings_of_tasks
from mfspark.schemas import IdTypes, table_schema
from mfspark.storage.posix import PosixStorage
from mfspark.tables.table_files import TableFiles

NO_SESSION: Any = None  # none is asked while nothing runs


def files_of(folder: Path, sizes: tuple[int, ...]) -> tuple[pa.Table, TableFiles]:
    """Write ratings to files of these many rows, ten a row group."""
    n = sum(sizes)
    times = [EPOCH + timedelta(seconds=37 * k) if k % 3 else None for k in range(n)]
    columns = [np.arange(n) // 7, [f"i{k % 7}" for k in range(n)], np.arange(n) / 3, times]
    places = [np.arange(n, dtype=np.int32) // 7, np.arange(n, dtype=np.int32) % 7]
    schema = table_schema("ratings", IdTypes("integer", "string"))
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(columns + places, schema, strict=True)], schema=schema
    )
    names, begin = [], 0
    for number, size in enumerate(sizes):
        names.append(f"{number}.parquet")
        pq.write_table(table.slice(begin, size), folder / names[-1], row_group_size=10)
        begin += size
    return table, TableFiles(PosixStorage(str(folder)), tuple(names))


def test_tasks_read_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "_GROUPS", 2)
    table, files = files_of(tmp_path, (45, 0, 7))
    rows = ratings_of_tasks(NO_SESSION, files, timed=True, seed=42, test_share=0.3)
    assert rows.n_tasks == 5  # 20, 20, 5, none and 7 rows
    read = [rows.read(number) for number in range(rows.n_tasks)]
    for name in ("user_idx", "item_idx", "rating"):
        found = np.concatenate([arrays[name] for arrays in read])
        assert found.tolist() == table[name].to_pylist()
    minutes = np.concatenate([arrays["minute"] for arrays in read])
    expected = [None if k % 3 == 0 else 37 * k // 60 for k in range(52)]
    assert [None if np.isnan(m) else m for m in minutes] == expected
    is_test = np.concatenate([arrays["is_test"] for arrays in read])
    assert is_test.dtype == bool
    assert 5 < is_test.sum() < 27


def test_minutes_before_the_epoch_are_whole_too() -> None:
    moments = [datetime(2009, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1969, 12, 31, tzinfo=UTC)]
    minutes = table_rows._minutes(pa.array(moments, pa.timestamp("us", tz="UTC")))
    assert minutes.tolist() == [-1.0, -(40 * 365 + 10 + 1) * 1440.0]


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    _, files = files_of(tmp_path, (12,))
    arrays = ratings_of_tasks(NO_SESSION, files, timed=False).read(0)
    assert list(arrays) == ["user_idx", "item_idx", "rating"]
