from __future__ import annotations

import pytest

from mfspark.errors import InputError
from mfspark.ingest.readers import text
from mfspark.ingest.readers.text import TextFile, read_records


def records(path, used=(0, 1, 2), delimiter=",", n_columns=3, first_line=1, **more):
    """Read a whole file and return its (line, fields) and its malformed (line, text)."""
    file = TextFile(str(path), delimiter, n_columns, **more)
    good, bad = [], []
    for part in read_records(file, 0, path.stat().st_size, first_line, used):
        rows = zip(*(c.to_pylist() for c in part.columns), strict=True)
        good += zip(part.lines.tolist(), rows, strict=True)
        bad += part.malformed
    return sorted(good), sorted(bad)


def test_malformed_lines_keep_their_number_and_text(file):
    path = file("f.csv", "u,i,r\n1,2,3\n4,5\n6,7,8\n9,9,9,9\n\n1,1,1")
    good, bad = records(path, skip=1)
    assert good == [
        (2, ("1", "2", "3")),
        (4, ("6", "7", "8")),
        (6, ("", "", "")),
        (7, ("1", "1", "1")),
    ]
    assert bad == [(3, "4,5"), (5, "9,9,9,9")]


@pytest.mark.parametrize("content", ["1,2\n", "1,2\n3\n", "u,i,r\n1\n2"])
def test_only_malformed_lines(file, content):
    good, bad = records(file("f.csv", content), skip=content.count("u,"))
    assert good == []
    assert [line for _, line in bad] == content.removeprefix("u,i,r\n").splitlines()


@pytest.mark.parametrize("block", [8, 16, 64, 4096])
def test_numbers_do_not_depend_on_the_blocks(file, monkeypatch, block):
    lines = ["1,2,3", "4,5", "6,7,8", "", "9,9,9,9", "x"] * 7
    path = file("f.csv", "\n".join(lines))
    monkeypatch.setattr(text, "BLOCK", block)
    good, bad = records(path)
    assert good == [
        (n, tuple((line or ",,").split(",")))
        for n, line in enumerate(lines, 1)
        if line in ("1,2,3", "6,7,8", "")
    ]
    assert bad == [(n, line) for n, line in enumerate(lines, 1) if line in ("4,5", "9,9,9,9", "x")]


def test_quoted_line_ends_count_as_lines(file):
    path = file("f.csv", 'u,"the\nnote",r\n1,"a\nb\nc",3\n2,x,4\n"y\nz",5\n3,w,5\n')
    good, bad = records(path, skip=1, odd_quotes=True, multiline=True, used=(0, 2))
    assert good == [
        (3, ("1", "a\nb\nc", "3")),
        (6, ("2", "x", "4")),
        (9, ("3", "w", "5")),
    ]
    assert bad == [(7, '"y'), (8, 'z",5')]


def test_stray_quote_costs_its_own_line_only(file):
    path = file("f.csv", '1,"2,3\n4,5,6\n7,8,9\n1,"b",3\n')
    good, bad = records(path, odd_quotes=True, multiline=True)
    assert good == [(2, ("4", "5", "6")), (3, ("7", "8", "9")), (4, ("1", "b", "3"))]
    assert bad == [(1, '1,"2,3')]
    path = file("g.csv", '1,"2,3\n4,5,6\n7,5" disc,9\n8,8,8')
    good, bad = records(path, odd_quotes=True, multiline=True)
    assert good == [(2, ("4", "5", "6")), (3, ("7", '5" disc', "9")), (4, ("8", "8", "8"))]
    assert bad == [(1, '1,"2,3')]


def test_quote_that_is_never_closed_costs_its_own_line_only(file, monkeypatch):
    monkeypatch.setattr(text, "BLOCK", 64)
    path = file("f.csv", '1,2,3\n1,"2,3\n' + "4,5,6\n" * 100)
    good, bad = records(path, odd_quotes=True, multiline=True)
    assert [line for line, _ in good] == [1, *range(3, 103)]
    assert bad == [(2, '1,"2,3')]


def test_line_longer_than_a_block_is_named(file, monkeypatch):
    monkeypatch.setattr(text, "BLOCK", 64)
    with pytest.raises(InputError, match="a line is longer than"):
        records(file("f.csv", "1,2,3\n1," + "2" * 200 + ",3\n"))


def test_double_colon_and_latin_1(file):
    path = file("f.dat", 'Amélie::"Le" 5" disc::3:\nb::c::4\n'.encode("iso-8859-1"))
    good, bad = records(path, delimiter="::", encoding="windows-1252")
    assert good == [(1, ("Amélie", '"Le" 5" disc', "3:")), (2, ("b", "c", "4"))]
    assert bad == []
    _, bad = records(file("g.dat", "a::b\n"), delimiter="::")
    assert bad == [(1, "a::b")]
