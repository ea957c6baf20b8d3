from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from mfspark.grid import packed_rows
from mfspark.grid.packed_rows import RowsOfTasks, packed_by_block, unpacked

TYPES = {"idx": "<i4", "value": "<f8", "flag": "?"}


def table(n: int, n_ids: int) -> pa.Table:
    rng = np.random.default_rng(1)
    values = pa.array(rng.normal(size=n), mask=rng.random(n) < 0.2)
    ids = rng.integers(0, n_ids, n).astype(np.int32)
    return pa.table({"idx": ids, "value": values, "flag": rng.random(n) < 0.5, "more": ids})


@pytest.mark.parametrize(("n", "n_blocks"), [(5_000, 3), (40, 300)])
def test_every_row_comes_to_its_block(spark: SparkSession, n: int, n_blocks: int) -> None:
    """However many batches and tasks they come from; also where blocks stay empty."""
    rows = table(n, 99)
    frame = spark.createDataFrame(rows).repartition(4)
    packed = packed_by_block(frame, lambda rows: rows["idx"] % n_blocks, n_blocks, TYPES)

    def shown(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        arrays = unpacked(batches, TYPES)
        assert [array.dtype.str for array in arrays.values()] == ["<i4", "<f8", "|b1"]
        block = np.full(len(arrays["idx"]), context.partitionId(), np.int32)
        yield pa.RecordBatch.from_pydict({**arrays, "block": block})

    schema = "idx int, value double, flag boolean, block int"
    found = packed.mapInArrow(shown, schema).toPandas()
    assert packed.rdd.getNumPartitions() == n_blocks
    assert (found.idx % n_blocks == found.block).all()
    keys = ["idx", "value", "flag"]
    expected = rows.to_pandas()[keys].sort_values(keys, ignore_index=True)
    assert found[keys].sort_values(keys, ignore_index=True).equals(expected)


def test_batches_are_packed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_rows, "_ROWS", 250)
    batches = table(1_000, 99).to_batches(max_chunksize=100)
    sizes = [len(arrays["idx"]) for arrays in packed_rows._gathered(TYPES, batches)]
    assert sizes == [300, 300, 300, 100]


def test_no_rows() -> None:
    arrays: dict[str, Any] = unpacked([], TYPES)
    assert {name: (len(a), a.dtype.str) for name, a in arrays.items()} == {
        "idx": (0, "<i4"),
        "value": (0, "<f8"),
        "flag": (0, "|b1"),
    }


def test_arrays_of_tasks_are_packed_as_they_are_declared(spark: SparkSession) -> None:
    """Wider numbers would be read as twice as many; tasks come in any order."""
    wide = {"idx": np.arange(3), "value": np.array([1, 2, 3]), "flag": np.array([1, 0, 1])}
    rows = RowsOfTasks(spark, 2, lambda _: wide)
    packed = packed_by_block(rows, lambda rows: rows["idx"] % 1, 1, TYPES)

    def shown(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict(unpacked(batches, TYPES))

    found = packed.mapInArrow(shown, "idx int, value double, flag boolean").toPandas()
    assert found.idx.tolist() == [0, 1, 2] * 2
    assert found.value.tolist() == [1.0, 2.0, 3.0] * 2
    assert found.flag.tolist() == [True, False, True] * 2
