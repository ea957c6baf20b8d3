from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mfspark.errors import MfsparkError
from mfspark.grid.block_format import read_group, write_arrays
from mfspark.kernels.arrays.tile import Arrays
from mfspark.storage.posix import PosixStorage

GROUPS: list[Arrays] = [
    {
        "number": np.asarray(0.1),
        "negative zero": np.asarray([-0.0, np.nan, -np.inf]),
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "view": np.arange(20)[::3],
        "empty": np.empty(0, np.int32),
        "no rows": np.empty((0, 4), np.float32),
        "no columns": np.empty((4, 0), np.float32),
        "zero-d count": np.asarray(2**62),
        "mask": np.array([True, False]),
    },
    {},
    {
        f"of {kind}": np.arange(3).astype(kind)
        for kind in ("i1", "u2", "i4", "i8", "u8", "f2", "f8")
    },
]


def _write(path: Path, groups: Iterable[tuple[int, Arrays]]) -> None:
    with PosixStorage(str(path.parent)).writing(path.name) as sink:
        write_arrays(sink, groups)


def same(one: Arrays, other: Arrays) -> bool:
    return list(one) == list(other) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(one.values(), other.values(), strict=True)
    )


def test_groups_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "block.parquet"
    _write(path, enumerate(GROUPS))
    for key in (2, 0, 1):
        assert same(read_group(path, key), GROUPS[key])


def test_what_was_read_can_be_written_to(tmp_path: Path) -> None:
    _write(tmp_path / "block", [(0, {"x": np.zeros(3)})])
    first = read_group(tmp_path / "block")
    assert first["x"].flags.owndata  # aligned, and not a part of the mapped file
    first["x"] += 1
    assert read_group(tmp_path / "block")["x"].tolist() == [0.0, 0.0, 0.0]


def test_the_file_is_plain_parquet(tmp_path: Path) -> None:
    """A row an array, as drawn in the module."""
    _write(tmp_path / "block", [(0, {"indptr": np.array([0, 2, 5])}), (1, GROUPS[0])])
    table = pq.read_table(tmp_path / "block")
    row = table.slice(0, 1).to_pylist()[0]
    assert np.frombuffer(row.pop("data"), "<i8").tolist() == [0, 2, 5]
    assert row == {"key": 0, "name": "indptr", "dtype": "<i8", "shape": [3]}
    assert table.num_rows == 1 + len(GROUPS[0])


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    """So that a task that ran twice does no harm."""
    for name in ("once", "again"):
        _write(tmp_path / name, enumerate(GROUPS))
    assert (tmp_path / "once").read_bytes() == (tmp_path / "again").read_bytes()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def breaks_off() -> object:
        yield 0, {"x": np.ones(3)}
        raise OSError("disk full")

    path = tmp_path / "block"
    _write(path, [(0, {"x": np.zeros(3)})])
    with pytest.raises(MfsparkError, match="disk full"):
        _write(path, breaks_off())  # type: ignore[arg-type]
    assert read_group(path)["x"].tolist() == [0.0, 0.0, 0.0]
    assert [p.name for p in tmp_path.iterdir()] == ["block"]
