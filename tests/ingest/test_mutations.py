"""Whatever comes in, to each reader: no crash, no row lost or counted twice, a reason for each.

Rows are changed (odd lines, odd cells), and files are (bytes changed anywhere, or cut off).
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.side_tables.items import read_items
from mfspark.ingest.side_tables.reader import SideTable
from mfspark.ingest.side_tables.users import read_users
from tests.support.rounds import rounds

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
    max_examples=rounds(2000, 20_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    lines=_LINES, edits=_EDITS, split_bytes=st.sampled_from([3, 17, 1 << 20]), scaled=st.booleans()
)
def test_rows_in_are_rows_accepted_and_rejected(read, place, lines, edits, split_bytes, scaled):
    data = b"user,item,rating,timestamp\n" + b"\n".join(lines)
    for at, what in edits:  # never in the header, which must stay readable
        at = max(at % (len(data) + 1), 27)
        data = data[:at] + what + data[at + 1 :]
    path = place("r.csv")
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
@settings(max_examples=rounds(300, 3_000), deadline=None)
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
def test_every_record_of_a_well_formed_csv_is_accounted_for(read, place, records):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["user", "item", "rating"])
    writer.writerows(records)
    path = place("r.csv")
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


def _as_text(rows: list[Row], delimiter: str) -> bytes:
    return "\n".join(delimiter.join(map(str, row)) for row in rows).encode()


def _as_excel(rows: list[Row]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def _as_parquet(rows: list[Row]) -> bytes:
    content, (names, *cells) = io.BytesIO(), rows
    columns = zip(*cells, strict=True)
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), content)
    return content.getvalue()


Row = tuple[Any, ...]
_HEADER = ("user", "item", "rating")
_ROWS: list[Row] = [(f"u{n % 7}", f"i{n % 5}", 1.0 + n % 5) for n in range(35)]
_WIDE: list[Row] = [("user", *(f"i{i}" for i in range(5)))]
_WIDE += [(f"u{u}", *(1.0 + i for i in range(5))) for u in range(7)]


def _as_zip(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("r.csv", content)
    return target.getvalue()


_FILES = {
    "r.dat": _as_text(_ROWS, "::"),
    "r.tsv": _as_text(_ROWS, "\t"),
    "r.csv.gz": gzip.compress(_as_text(_ROWS, ","), mtime=0),
    "r.csv.zip": _as_zip(_as_text(_ROWS, ",")),
    "wide.csv": _as_text(_WIDE, ";"),
    "wide.xlsx": _as_excel(_WIDE),
    "r.xlsx": _as_excel([_HEADER, *_ROWS]),
    "r.parquet": _as_parquet([_HEADER, *_ROWS]),
}
_BYTES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6)
_END = st.none() | st.integers(0, 10**6)


def _damaged(whole: bytes, changes: list[tuple[int, int]], end: int | None) -> bytes:
    data = bytearray(whole)
    for at, value in changes:
        data[at % len(data)] = value
    return bytes(data if end is None else data[: end % len(data)])


@pytest.mark.faults
@pytest.mark.parametrize("name", _FILES)
@settings(max_examples=rounds(2000, 20_000), deadline=None)
@given(changes=_BYTES, end=_END)
@example(changes=[(202, 8), (225, 128)], end=None)  # of a workbook: a name that is no UTF-8
@example(changes=[(224, 157)], end=None)  # of a zip: its content ends too early
def test_damaged_files_are_read_or_refused(
    read: Callable[..., list[dict[str, Any]]],
    place: Callable[[str], Path],
    name: str,
    changes: list[tuple[int, int]],
    end: int | None,
) -> None:
    """Bytes changed anywhere, the file perhaps cut: rows, whole or with a reason, or a refusal."""
    content = _damaged(_FILES[name], changes, end)
    path = place(name)
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
        assert sorted((r["user_id"], r["item_id"], r["rating"]) for r in rows) == sorted(_ROWS)


_WHEN = [date(2020, 1, 2), datetime(2020, 1, 2, 3, 4), time(3, 4)]
_TEXTS = st.sampled_from(["u1", " x ", "", " ", "a,b", 'say "x"', "é\n", "=1+2", "-", "1e999"])
_SHEET_CELLS = st.one_of(
    st.none(), _TEXTS, st.integers(-3, 10**18), st.floats(-9, 9), st.booleans(),
    st.sampled_from(_WHEN),
)  # fmt: skip
_COLUMN_CELLS = [  # each with what else its Parquet column holds
    _TEXTS,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**15), 2**15 - 1),
    st.floats(),
    st.booleans(),
    st.sampled_from(_WHEN[:1]),
    st.sampled_from(_WHEN[1:2]),
    st.decimals(-999, 999, places=2),
    st.binary(max_size=3).map(lambda b: b.hex().encode()),
]
_COLUMNS = st.sampled_from(_COLUMN_CELLS)
_SHEETS = st.lists(st.tuples(*[_SHEET_CELLS] * 3), min_size=1, max_size=8)
_TABLES = st.tuples(*[_COLUMNS] * 3).flatmap(
    lambda cells: st.lists(st.tuples(*(st.none() | c for c in cells)), min_size=1, max_size=8)
)


def _filled(cell: Any) -> bool:
    """Say whether a cell holds anything."""
    text = cell.decode() if isinstance(cell, bytes) else str(cell)
    return cell is not None and text != "nan" and bool(text.strip())


def _any_filled(row: Row) -> bool:
    """Say whether a row holds anything; a rating of NaN is one, and no number."""
    return any(map(_filled, row)) or str(row[2]) == "nan"


def _number(cell: Any) -> float | None:
    """Return the rating that a cell is, by Python's own reading; None where it is none."""
    if isinstance(cell, bool | date | time):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _exact(cell: Any, floats: tuple[type, ...]) -> bool:
    """Say whether an id has all its digits: as a float it has not, from 2**53 on."""
    number = isinstance(cell, floats) and not isinstance(cell, bool)
    return not number or not 2**53 <= abs(cell) < math.inf


def _check_cells(
    rows: list[dict[str, Any]], given: list[Row], first_line: int, floats: tuple[type, ...]
) -> None:
    """Every row that holds anything came back once: accepted with its rating, or with a reason."""
    found = {row["line"]: row for row in rows}
    assert len(found) == len(rows)
    filled = {n: row for n, row in enumerate(given, first_line) if _any_filled(row)}
    assert found.keys() == filled.keys()
    for line, (user, item, rating) in filled.items():
        number = _number(rating)
        ids = all(_filled(cell) and _exact(cell, floats) for cell in (user, item))
        ids = ids and "-" not in (user, item)  # what some write for nothing
        valid = ids and number is not None
        assert (found[line]["reason"] is None) == valid, found[line]
        if valid:
            assert found[line]["rating"] == pytest.approx(number, rel=1e-12)
            if isinstance(user, str):
                assert found[line]["user_id"] == user.strip()


@pytest.mark.faults
@settings(max_examples=rounds(2000, 20_000), deadline=None)
@given(rows=_SHEETS)
def test_odd_cells_of_a_sheet(
    read: Callable[..., list[dict[str, Any]]],
    place: Callable[[str], Path],
    rows: list[Row],
) -> None:
    path = place("r.xlsx")
    path.write_bytes(_as_excel([_HEADER, *rows]))
    _check_cells(read(path), rows, 2, (int, float))  # a sheet knows floats only


@pytest.mark.faults
@settings(max_examples=rounds(2000, 20_000), deadline=None)
@given(rows=_TABLES)
def test_odd_cells_of_a_parquet_file(
    read: Callable[..., list[dict[str, Any]]],
    place: Callable[[str], Path],
    rows: list[Row],
) -> None:
    path = place("r.parquet")
    path.write_bytes(_as_parquet([_HEADER, *rows]))
    _check_cells(read(path), rows, 1, (float,))


_SIDES = {"item": (read_items, "title"), "user": (read_users, "age")}
_WRITERS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": lambda rows: _as_text(rows, ","),
    "dat": lambda rows: _as_text(rows[1:], "::"),
    "xlsx": _as_excel,
    "parquet": _as_parquet,
}
each_side_file = pytest.mark.parametrize("side", _SIDES)
each_kind = pytest.mark.parametrize("kind", _WRITERS)


def _side_rows(side: str, path: Path) -> SideTable:
    """Read one file of items or users; check what must hold of every table of them."""
    found = _SIDES[side][0]([str(path)], IngestOptions())
    ids = found.table[f"{side}_id"].to_pylist()
    assert all(ids)
    assert len(set(ids)) == len(ids)
    return found


@pytest.mark.faults
@each_side_file
@each_kind
@settings(max_examples=rounds(250, 2_500), deadline=None)
@given(changes=_BYTES, end=_END)
def test_damaged_files_of_items_and_users(
    place: Callable[[str], Path],
    side: str,
    kind: str,
    changes: list[tuple[int, int]],
    end: int | None,
) -> None:
    good: list[Row] = [(f"{side}_id", _SIDES[side][1]), *((f"k{n}", f"t{n}") for n in range(9))]
    whole = _WRITERS[kind](good)
    content = _damaged(whole, changes, end)
    path = place(f"{side}s.{kind}")
    path.write_bytes(content)
    n_rows, refusal = 0, ""
    try:
        n_rows = len(_side_rows(side, path).table)
    except InputError as error:
        refusal = str(error)
    assert not refusal or path.name in refusal
    assert content != whole or n_rows == 9


@pytest.mark.faults
@each_side_file
@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
@settings(max_examples=rounds(500, 5_000), deadline=None)
@given(data=st.data())
def test_odd_cells_of_items_and_users(
    place: Callable[[str], Path], side: str, kind: str, data: st.DataObject
) -> None:
    """Each row that holds anything is kept, or counted as a duplicate or as skipped."""
    if kind == "xlsx":
        rows = data.draw(st.lists(st.tuples(_SHEET_CELLS, _SHEET_CELLS), min_size=1, max_size=8))
    else:
        rows = [row[:2] for row in data.draw(_TABLES)]
    path = place(f"{side}s.{kind}")
    path.write_bytes(_WRITERS[kind]([(f"{side}_id", _SIDES[side][1]), *rows]))
    found = _side_rows(side, path)
    n = len(found.table) + found.n_duplicates + found.n_skipped
    assert sum(any(map(_filled, row)) for row in rows) <= n <= len(rows)
