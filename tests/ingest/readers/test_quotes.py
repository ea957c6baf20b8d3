"""Quotes in text: a quote too many costs its own line, and no line is lost or glued to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfspark.config.config import IngestOptions
from mfspark.ingest.readers import lines as lines_module
from mfspark.ingest.readers.quotes import Mender, irregular_lines, shapes_of
from mfspark.ingest.side_tables.items import read_items
from tests.support.rounds import rounds

Read = Callable[..., list[dict[str, Any]]]
Found = tuple[str, str, float] | str | None

HEADER = "user,item,rating,note"
PIECES: list[tuple[str, list[Found]]] = [  # lines, and what becomes of each; None: no row
    ("1,10,4,fine", [("1", "10", 4.0)]),
    ('"2","20",3,"a, b"', [("2", "20", 3.0)]),
    ('3,"The ""Best""",3,', [("3", 'The "Best"', 3.0)]),
    ('4,5" disc,2,x', [("4", '5" disc', 2.0)]),
    ('5,50,5,"one\ntwo, three"', [("5", "50", 5.0), None]),
    ('6,60,5,"one\n\n""two"" and\nthree"', [("6", "60", 5.0), None, None, None]),
    ('6,61,5,"one ""two"".\nthree"', [("6", "61", 5.0), None]),
    ('17,62,5,"one ""two"""', [("17", "62", 5.0)]),
    (' "7" , "x" ,2, y', [("7", "x", 2.0)]),
    ('8,"a \\"b\\"",3,z', [("8", 'a "b"', 3.0)]),
    ('9,90,1,"open', ["9,90,1,\"open"]),
    ('"10,100,1,x', ['"10,100,1,x']),
    ('11,"110,1,x', ['11,"110,1,x']),
    ('12,120,"1,x', ['12,120,"1,x']),
    ('13,"130"x,1,y', ['13,"130"x,1,y']),
    ('14,x"y,1,"z', ['14,x"y,1,"z']),
    ('15,"a\nb",4,split id', ['15,"a\nb",4,split id', None]),
    ("16,16", ["16,16"]),
    ("", [None]),
]  # fmt: skip


def outcome(rows: list[dict[str, Any]]) -> dict[int, Found]:
    """Return by line what became of it."""
    found = {
        row["line"]: row["raw"] or (row["user_id"], row["item_id"], row["rating"]) for row in rows
    }
    assert len(found) == len(rows)
    return found


def expected(pieces: list[tuple[str, list[Found]]]) -> dict[int, Found]:
    """Say what should become of each line, the header being the first."""
    found = [one for _, outcomes in pieces for one in outcomes]
    return {line: one for line, one in enumerate(found, 2) if one is not None}


@pytest.mark.faults
@settings(max_examples=rounds(2000, 20_000), deadline=None)
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=14),
    ended=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    split_bytes=st.sampled_from([5, 40, 1 << 20]),
    chunk=st.sampled_from([7, 64, 4 << 20]),
)
def test_each_line_is_a_row_or_rejected_or_blank(
    read: Read,
    place: Callable[[str], Path],
    pieces: list[tuple[str, list[Found]]],
    ended: bool,
    end: str,
    split_bytes: int,
    chunk: int,
) -> None:
    known = [PIECES[0]] * 3  # what the columns hold is told from most rows
    text = "\n".join([HEADER, *(lines for lines, _ in [*known, *pieces, *known])])
    text += "\n" if ended else ""
    path = place("r.csv")
    path.write_text(text, newline=end)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lines_module, "CHUNK", chunk)
        rows = read(path, split_bytes=split_bytes)
    assert outcome(rows) == expected([*known, *pieces, *known])


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("at", [2, 3, 500, 1001])
@pytest.mark.parametrize("second", [None, 700, 1001])
def test_stray_quote_in_any_column_costs_its_own_line(
    read: Read, file: Any, column: int, at: int, second: int | None
) -> None:
    lines = [f"{n},{n % 7},{n % 5},fine" for n in range(2, 1002)]
    for line in {at, second} - {None}:
        fields = lines[line - 2].split(",")
        fields[column] = '"' + fields[column]
        lines[line - 2] = ",".join(fields)
    rows = read(file("r.csv", "\n".join([HEADER, *lines])), split_bytes=1000)
    bad = {row["line"] for row in rows if row["reason"]}
    assert len(rows) == 1000
    assert bad == {at, second} - {None}


def test_stray_quote_in_a_wide_sheet_costs_its_own_line(read: Read, file: Any) -> None:
    people = [f"p{n},4,,{n % 5},3,2" for n in range(50)]
    people[20] = 'p20,"4,,1,3,2'
    rows = read(file("w.csv", "\n".join(["name,A,B,C,D,E", *people])))
    assert [(r["line"], r["reason"]) for r in rows if r["reason"]] == [(22, "malformed_line")]
    assert len({r["user_id"] for r in rows if not r["reason"]}) == 49


def test_half_of_an_id_is_never_an_id(read: Read, file: Any) -> None:
    text = 'userId,movieId,rating\n"a\nb",x,4\n' + "c,x,3\n" * 9
    rows = read(file("r.csv", text))
    assert outcome(rows)[2] == '"a\nb",x,4'
    assert {row["user_id"] for row in rows} == {"c", None}


def test_two_lines_that_are_one_record_or_two_are_rejected(read: Read, file: Any) -> None:
    text = "user,item,rating\n" + "1,2,3\n" * 9 + '105,"Film,4\n106,Film",5\n'
    bad = {row["line"]: row["raw"] for row in read(file("r.csv", text)) if row["reason"]}
    assert bad == {11: '105,"Film,4', 12: '106,Film",5'}


def test_side_files_lose_no_line_either(file: Any) -> None:
    movies = [f"{n},Film {n},Drama" for n in range(101, 131)]
    movies[4], movies[24] = '105,"Film 105,Drama', '125,12" Film 125,Drama'
    found = read_items(
        [str(file("m.csv", "\n".join(["movieId,title,genres", *movies])))], IngestOptions()
    )
    assert found.n_skipped == 1
    titles = dict(zip(*(found.table[c].to_pylist() for c in ("item_id", "title")), strict=True))
    assert len(titles) == 29
    assert titles["125"] == '12" Film 125'


def test_title_of_two_lines_is_one_title(file: Any) -> None:
    text = 'movieId,title,genres\n1,"One\nand, two",Drama\n2,Three,Comedy\n'
    table = read_items([str(file("m.csv", text))], IngestOptions()).table
    assert table["title"].to_pylist() == ["One\nand, two", "Three"]


@pytest.mark.parametrize(
    ("chunk", "numbers"),
    [
        (b"", []),
        (b'a,"b"\n"c",d', []),
        (b'"a ""b""",c\n"",""\n', []),
        (b'x,"a"\r\n"b",y\r"c",z', []),
        (b'a\n5" disc\n"b"', [1]),
        (b'"a\nb"', [0, 1]),
        (b'x"y,"z', [0]),
        (b'"a"b,c', [0]),
        (b'a, "b"', [0]),
        (b'"a\\"","b\\""', [0]),
    ],
)
def test_irregular_lines(chunk: bytes, numbers: list[int]) -> None:
    assert irregular_lines(chunk, ",").tolist() == numbers


def test_records_of_several_lines_are_found_over_chunks() -> None:
    mender = Mender(",", 2, "NT")
    chunks = [b'1,"a\n', b"b\n", b'c"\n2,x\n3,"y\n', b"4,z\n"]
    text = b"".join(map(mender.mend, chunks)) + mender.mend(b"", last=True)
    assert text.decode().splitlines() == ["1,a\ufdd0b\ufdd0c", "", "", "2,x", "", "4,z"]
    assert mender.malformed == [(5, '3,"y')]
    assert mender.blanked == [2, 3, 5]


def test_endless_record_costs_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfspark.ingest.readers.quotes.LONGEST_RECORD", 20)
    mender = Mender(",", 2, "NT")
    text = mender.mend(b'1,"a\n' + b"some words\n" * 9 + b'b"\n', last=True)
    assert text.count(b"\n") == 11
    assert mender.malformed == [(1, '1,"a'), (11, 'b"')]


def test_shapes() -> None:
    columns = [["1", "2.5"], ["1", ""], ["a", "b"], ["a", " "], ["a b", "c"], ["", ""]]
    assert shapes_of(columns) == "NnTt--"


def test_file_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    from mfspark.errors import InputError
    from mfspark.ingest.readers.text import TextFile, read_records

    path = tmp_path / "r.csv"
    path.write_text("1,2,3\n" * 4)
    with pytest.raises(InputError, match=r"r\.csv: of 5 lines 4 were read"):
        list(read_records(TextFile(str(path), ",", 3), 0, 24, 1, n_lines=5))


@pytest.mark.parametrize(
    "header", ['"item,user,rating,note', 'item,user,rating,"note', 'item,"user",rating",note"']
)
def test_stray_quote_in_the_header_swaps_no_columns(read: Read, file: Any, header: str) -> None:
    lines = [f"{n % 7},u{n},{n % 5},fine" for n in range(50)]
    rows = read(file("r.csv", "\n".join([header, *lines])))
    assert [row["user_id"] for row in rows] == [f"u{n}" for n in range(50)]


def test_stray_quote_in_a_first_line_that_is_no_header_is_counted(read: Read, file: Any) -> None:
    lines = ['"1,10,4,a', *(f"{n},{n % 7},{n % 5},a" for n in range(50))]
    rows = read(file("r.csv", "\n".join(lines)))
    assert len(rows) == 51
    assert [(row["line"], row["raw"]) for row in rows if row["reason"]] == [(1, '"1,10,4,a')]


def test_stray_quote_in_the_header_of_items_swaps_no_columns(file: Any) -> None:
    text = 'genres,title,"movieId\n' + "".join(f"Drama,Film {n},{n}\n" for n in range(9))
    table = read_items([str(file("m.csv", text))], IngestOptions()).table
    assert table["item_id"].to_pylist() == [str(n) for n in range(9)]
