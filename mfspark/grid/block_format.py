"""Named numpy arrays in Parquet: one row an array, readable by any Parquet reader.

    key   name     dtype  shape   data
    0     indptr   <i8    [3]     16 + 8 bytes
    0     indices  <i4    [5]     ...

A file may hold several groups of arrays under integer keys, each in a row group of its own, so that
one group is read without the others. Nothing is pickled.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.kernels.arrays.tile import Arrays

_SCHEMA = pa.schema(
    [
        ("key", pa.int32()),
        ("name", pa.string()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("data", pa.large_binary()),
    ]
)


def write_arrays(sink: BinaryIO, groups: Iterable[tuple[int, Arrays]]) -> None:
    """Write groups of arrays to one file."""
    with pq.ParquetWriter(
        sink, _SCHEMA, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        for key, arrays in groups:
            writer.write_table(_to_table(key, arrays))


def read_group(source: Path | pa.NativeFile, key: int = 0) -> Arrays:
    """Read one group of arrays by its position in the file."""
    with pq.ParquetFile(source, memory_map=True) as file:
        return _from_table(file.read_row_group(key, use_threads=False))


def _to_table(key: int, arrays: Arrays) -> pa.Table:
    names = list(arrays)
    values = [np.asarray(arrays[name], order="C") for name in names]
    return pa.table(
        {
            "key": pa.array([key] * len(names), pa.int32()),
            "name": names,
            "dtype": [value.dtype.str for value in values],
            "shape": pa.array([list(value.shape) for value in values], pa.list_(pa.int64())),
            "data": pa.array([value.tobytes() for value in values], pa.large_binary()),
        },
        schema=_SCHEMA,
    )


def _from_table(table: pa.Table) -> Arrays:
    data = table["data"].combine_chunks()
    columns = zip(
        table["name"].to_pylist(),
        table["dtype"].to_pylist(),
        table["shape"].to_pylist(),
        data,
        strict=True,
    )
    return {
        name: np.frombuffer(value.as_buffer(), dtype=dtype).reshape(shape).copy()  # writable
        for name, dtype, shape, value in columns
    }
