from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import InputColumns
from mfspark.errors import InputError


@pytest.fixture
def parquet(tmp_path):
    def write(columns, **options):
        pq.write_table(pa.table(columns), tmp_path / "r.parquet", **options)
        return tmp_path / "r.parquet"

    return write


def test_row_groups_are_splits_with_line_numbers(read, parquet):
    path = parquet(
        {"user_id": range(100), "item_id": ["x"] * 100, "rating": [3.0] * 100}, row_group_size=7
    )
    for split_bytes in (1, 500, 1 << 20):
        rows = read(path, split_bytes=split_bytes)
        assert [(row["line"], row["user_id"]) for row in rows] == [
            (n + 1, str(n)) for n in range(100)
        ]


def test_lines_go_on_over_the_batches_of_a_row_group(read, parquet, monkeypatch):
    monkeypatch.setattr("mfspark.ingest.readers.parquet._ROWS_A_BATCH", 7)
    rows = read(parquet({"user": range(20), "item": range(20), "rating": range(20)}))
    assert [row["line"] for row in rows] == list(range(1, 21))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1, 2], pa.int32()), ["1", "2"]),
        (pa.array([2**63 - 1, 5]), ["9223372036854775807", "5"]),
        (pa.array([1.0, 2.0]), ["1", "2"]),
        (pa.array([1.5, 2.0**53]), ["1.5", None]),  # above, floats leave numbers out
        (pa.array([1.5, 2.0**24], pa.float32()), ["1.5", None]),
        (pa.array([2.0**24 - 1, math.nan], pa.float32()), ["16777215", None]),
        (pa.array(np.array([2047, 2048], np.float16)), ["2047", None]),
        (pa.array([" a ", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array([b"caf\xe9", "café".encode()]), ["café", "café"]),  # ISO-8859-1 and UTF-8
        (pa.array([b"caf\xe9", b"b"]).view(pa.string()), ["café", "b"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
    ],
)
def test_id_types(read, parquet, ids, expected):
    rows = read(parquet({"user": ids, "item": ids, "rating": [1, 2]}))
    assert [row["user_id"] for row in rows] == expected
    assert [row["item_id"] for row in rows] == expected


@pytest.mark.parametrize(
    ("ratings", "reasons"),
    [
        (pa.array([4.5, None, float("nan")]), [None, "missing_rating", "rating_not_a_number"]),
        (pa.array([4, None, 2], pa.uint8()), [None, "missing_rating", None]),
        (pa.array([Decimal("4.5"), None, Decimal("2.0")]), [None, "missing_rating", None]),
        (pa.array(["4.5", None, "x"]), [None, "missing_rating", "rating_not_a_number"]),
        (pa.array([datetime(2020, 1, 1)] * 3), ["rating_not_a_number"] * 3),
        (
            pa.array([True, False, None]),
            ["rating_not_a_number", "rating_not_a_number", "missing_rating"],
        ),
    ],
)
def test_rating_types(read, parquet, ratings, reasons):
    rows = read(parquet({"user": ["a", "b", "c"], "item": ["x", "y", "z"], "rating": ratings}))
    assert [row["reason"] for row in rows] == reasons
    if reasons[0] is None:
        assert rows[0]["rating"] in (4.5, 4.0)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([10**9, None]),
        pa.array([datetime(2001, 9, 9, 1, 46, 40), None], pa.timestamp("ns")),
        pa.array(
            [datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), None], pa.timestamp("us", "Asia/Kolkata")
        ),
        pa.array(["2001-09-09 01:46:40", ""]),
        pa.array(["2001-09-09 01:46:40", ""], pa.large_string()),
        pa.array(["2001-09-09 01:46:40", ""]).dictionary_encode(),
    ],
)
def test_timestamp_types(read, parquet, times):
    rows = read(
        parquet({"user": ["a", "b"], "item": ["x", "y"], "rating": [1, 2], "timestamp": times})
    )
    assert [row["rated_at"] for row in rows] == [datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), None]


def test_missing_ids_are_rejected_with_their_fields(read, rejects_of, parquet):
    rows = read(parquet({"user": [1.0, None, 3.0], "item": ["x", "y", None], "rating": [1, 2, 3]}))
    assert rejects_of(rows) == [(2, "missing_user", ",y,2"), (3, "missing_item", "3,,3")]


def test_columns_by_name(read, ratings_of, parquet):
    path = parquet({"who": ["a"], "what": ["x"], "liked": [3], "x": [1], "y": [2]})
    with pytest.raises(InputError, match="cannot tell which column is the user"):
        read(path)
    rows = read(path, columns=InputColumns(user="who", item="what", rating="liked"))
    assert ratings_of(rows) == [("a", "x", 3.0)]


def test_nested_column_is_refused(read, parquet):
    with pytest.raises(InputError, match=r"column 'item' is list<.*not a single value"):
        read(parquet({"user": ["a"], "item": [["x"]], "rating": [3]}))


def test_damage_in_the_middle_is_explained(read, parquet):
    path = parquet({"user": range(1000), "item": range(1000), "rating": [3.5] * 1000})
    data = bytearray(path.read_bytes())
    data[20:400] = b"\xff" * 380
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="broken Parquet file"):
        read(path)


def test_a_column_name_that_is_no_text_is_damage(read, tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"user": ["a"], "item": ["b"], "rating": [1.0]}), path)
    path.write_bytes(path.read_bytes().replace(b"rating", b"\x80ating"))
    with pytest.raises(InputError, match=r"r\.parquet is a broken Parquet file"):
        read(path)


def test_folders_of_hive_are_columns(read, ratings_of, tmp_path):
    pq.write_to_dataset(
        pa.table({"user": ["a", "a", "b"], "item": ["x y", "z=1", "x y"], "rating": [4, 3, 5]}),
        tmp_path / "out",
        partition_cols=["item"],
    )
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    found = sorted(ratings_of(read(*files)))
    assert found == [("a", "x y", 4.0), ("a", "z=1", 3.0), ("b", "x y", 5.0)]


def test_the_null_folder_of_hive_is_a_missing_id(read, rejects_of, tmp_path):
    folder = tmp_path / "user=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir()
    pq.write_table(pa.table({"item": ["x"], "rating": [4]}), folder / "p.parquet")
    assert rejects_of(read(folder / "p.parquet")) == [(1, "missing_user", ",x,4")]


def test_two_columns_of_one_name_are_asked_for(read, ratings_of, tmp_path):
    columns = [["a", "b"], ["x", "y"], [4, 5], [0, 1]]
    names = ["user", "item", "rating", "rating"]
    pq.write_table(
        pa.Table.from_arrays([pa.array(c) for c in columns], names), tmp_path / "d.parquet"
    )
    with pytest.raises(InputError, match="column 3 'rating' and column 4 'rating'") as raised:
        read(tmp_path / "d.parquet")
    assert '--set ingest.columns.rating="3"' in raised.value.hint
    found = read(tmp_path / "d.parquet", columns=InputColumns(rating="4"))
    assert ratings_of(found) == [("a", "x", 0.0), ("b", "y", 1.0)]


def test_wide_parquet(read, ratings_of, parquet):
    """As pandas writes a pivoted table."""
    n = 12
    path = parquet(
        {
            "user": [f"u{k}" for k in range(n)],
            **{
                f"Film {m}": [1.0 + (k * m) % 5 if k % 3 else None for k in range(n)]
                for m in range(6)
            },
        }
    )
    assert sorted(ratings_of(read(path))) == sorted(
        (f"u{k}", f"Film {m}", 1.0 + (k * m) % 5) for k in range(n) if k % 3 for m in range(6)
    )
