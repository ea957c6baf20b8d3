"""Whatever bytes come in: no crash, no row lost, no row counted twice."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfspark.errors import InputError
from tests.rounds import rounds

_GOOD = [b"1,10,4,964982703", b"2,20,3.5,964982704", b"ann,Dangal,5,", b'3,"a, b",1,2020-01-01']
_ODD = [
    b"",
    b",,,",
    b"1,2",
    b"x",
    b"1,2,3,4,5",
    b'4,"open,3,',
    b"5,6,nan,0",
    b"7,8,1e999,",
    b",,3,",
    b'"',
    b"\xff\xfe,1,2,3",
]
_LINES = st.lists(st.sampled_from(_GOOD + _ODD), min_size=1, max_size=12)
_EDITS = st.lists(
    st.tuples(
        st.integers(0, 400), st.sampled_from([b'"', b",", b"\n", b"\r", b"\xe9", b"", b"=", b"-"])
    ),
    max_size=3,
)


@pytest.mark.faults
@settings(
    max_examples=rounds(1000, 10_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    lines=_LINES, edits=_EDITS, split_bytes=st.sampled_from([3, 17, 1 << 20]), scaled=st.booleans()
)
def test_rows_in_are_rows_accepted_and_rejected(
    read, tmp_path_factory, lines, edits, split_bytes, scaled
):
    data = b"user,item,rating,timestamp\n" + b"\n".join(lines)
    for at, what in edits:  # never in the header, which must stay readable
        at = max(at % (len(data) + 1), 27)
        data = data[:at] + what + data[at + 1 :]
    path = tmp_path_factory.mktemp("mutated") / "r.csv"
    path.write_bytes(data)
    rows = read(path, split_bytes=split_bytes, rating_scale=(0.5, 5) if scaled else None)
    for row in rows:
        if row["reason"] is None:
            assert row["user_id"]
            assert row["item_id"]
            assert row["raw"] is None
            assert -1e308 < row["rating"] < 1e308
        else:
            assert row["raw"] is not None
            assert row["rating"] is None
    places = [row["line"] for row in rows]
    assert len(set(places)) == len(places)
    if b'"' not in data and b"\r" not in data:  # then records are lines and can be counted plainly
        filled = [
            n
            for n, line in enumerate(data.split(b"\n"), 1)
            if line.replace(b",", b"").strip() and n > 1
        ]
        assert sorted(places) == filled


@pytest.mark.faults
@settings(max_examples=rounds(200, 4_000), deadline=None)
@given(
    st.lists(
        st.tuples(
            *[
                st.text(
                    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6
                )
            ]
            * 3
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_record_of_a_well_formed_csv_is_accounted_for(read, tmp_path_factory, records):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["user", "item", "rating"])
    writer.writerows(records)
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    rows = read(path)
    plain = [r for r in records if not any(c in "\r\n\x85\u2028" for field in r for c in field)]
    expected = [r for r in plain if any(field.strip() for field in r)]
    if len(plain) == len(records):
        assert len(rows) == len(expected)
        accepted = [(r["user_id"], r["item_id"]) for r in rows if r["reason"] is None]
        assert all(
            any(u == a.strip() and i == b.strip() for a, b, _ in records) for u, i in accepted
        )
    else:
        assert len(rows) >= len(expected)


def _as_text(rows: list[tuple[str, str, float]], delimiter: str) -> bytes:
    return "\n".join(delimiter.join(map(str, row)) for row in rows).encode()


def _as_excel(rows: list[tuple[str, str, float]]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    for row in (("user", "item", "rating"), *rows):
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def _as_parquet(rows: list[tuple[str, str, float]]) -> bytes:
    users, items, ratings = zip(*rows, strict=True)
    content = io.BytesIO()
    pq.write_table(pa.table({"user": users, "item": items, "rating": ratings}), content)
    return content.getvalue()


_ROWS = [(f"u{n % 7}", f"i{n % 5}", 1.0 + n % 5) for n in range(35)]
_FILES = {
    "r.dat": _as_text(_ROWS, "::"),
    "r.tsv": _as_text(_ROWS, "\t"),
    "r.csv.gz": gzip.compress(_as_text(_ROWS, ","), mtime=0),
    "r.xlsx": _as_excel(_ROWS),
    "r.parquet": _as_parquet(_ROWS),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", _FILES)
@settings(max_examples=rounds(160, 1_200), deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    cut=st.none() | st.integers(0, 10**6),
)
def test_damaged_files_are_read_or_refused(
    read: Callable[..., list[dict[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[int, int]],
    cut: int | None,
) -> None:
    """Bytes changed anywhere, the file perhaps cut: rows, whole or with a reason, or a refusal."""
    data = bytearray(_FILES[name])
    for at, value in changes:
        data[at % len(data)] = value
    content = bytes(data if cut is None else data[: cut % len(data)])
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content)
    refusal = ""
    try:
        rows = read(path)
    except InputError as error:
        rows, refusal = [], str(error)
    if refusal:
        assert path.name in refusal
        assert content != _FILES[name]
    for row in rows:
        whole = row["reason"] is None
        assert (bool(row["user_id"]) and bool(row["item_id"]) and row["raw"] is None) == whole
        assert (row["rating"] is not None) == whole
    if content == _FILES[name]:
        assert not refusal
        assert [(r["user_id"], r["item_id"], r["rating"]) for r in rows] == _ROWS
