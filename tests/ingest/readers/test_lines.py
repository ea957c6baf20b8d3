from __future__ import annotations

import gzip

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mfspark.errors import InputError
from mfspark.ingest.readers import lines
from mfspark.ingest.readers.lines import Facts, bytes_above_ascii, examine, line_chunks
from mfspark.ingest.readers.quotes import count_lines


@given(
    st.lists(st.sampled_from([b"a", b"bcd", b"", b"\r", b"efghij"]), max_size=12),
    st.booleans(),
    st.integers(1, 9),
)
def test_every_line_is_owned_by_exactly_one_range(tmp_path_factory, parts, ended, size):
    data = b"\n".join(parts) + (b"\n" if ended else b"")
    path = tmp_path_factory.mktemp("lines") / "f"
    path.write_bytes(data)
    ranges = [(s, min(s + size, len(data))) for s in range(0, len(data), size)]
    owned = [b"".join(line_chunks(str(path), *r)) for r in ranges]
    assert b"".join(owned) == data
    n_lines = data.count(b"\n") + (data[-1:] not in (b"", b"\n"))
    assert sum(examine(str(path), *r).lines for r in ranges) == n_lines


def test_small_reads_give_whole_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK", 4)
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbf" + b"abc\ndefghijkl\nm\n")
    chunks = list(line_chunks(str(path), 0, 19))
    assert chunks == [b"abc\n", b"defghijkl\nm\n"]  # the mark is gone, no line is cut


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b"a,b\nc,d", Facts(2)),
        (b'"a","b"\n"c",d\n', Facts(2)),
        (b'"a\nb",c\n', Facts(2, odd_quotes=True, open_quotes=True)),
        (b'5" disc,c\n', Facts(1, odd_quotes=True)),
        (b'x"y,"z\n', Facts(1, odd_quotes=True, open_quotes=True)),
        (b'"a\\"b",c\n', Facts(1, odd_quotes=True)),
        ("Amélie\n".encode(), Facts(1, utf8_bytes=1)),
        ("Amélie\n".encode("iso-8859-1"), Facts(1, other_bytes=1)),
        ("Čížek\n".encode("cp1250"), Facts(1, other_bytes=3, beside_bytes=3)),
        (b"a\x81b\xe9c\n", Facts(1, other_bytes=2, undefined_bytes=1)),
        ("Zoë\n".encode() + b"\x96\n", Facts(2, utf8_bytes=1, other_bytes=1)),
        (b"", Facts(0)),
    ],
)
def test_facts(tmp_path, data, facts):
    plain, packed = tmp_path / "f", tmp_path / "f.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    assert examine(str(plain), 0, len(data)) == facts
    assert examine(str(packed), 0, 99, packing="gzip") == facts


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"]), max_size=9).map(b"".join))
def test_lines_end_as_those_of_bytes(chunk):
    assert count_lines(chunk) == len(chunk.splitlines())


_PIECES = "a", "\n", "é", "ß", "€", "利", "😀", "\u0301"
_BYTES = b"\xe9", b"\xfc", b"\x80", b"\xbf", b"\xc0", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf5"


@given(st.lists(st.sampled_from([*(p.encode() for p in _PIECES), *_BYTES]), max_size=9))
@example([b"\xe2\x82", b"a", b"\xac\x80"])
def test_bytes_above_ascii_are_those_of_characters_and_others(pieces):
    chunk = b"".join(pieces)
    text = chunk.decode("utf-8", "surrogateescape")
    others = sum("\udc80" <= character <= "\udcff" for character in text)
    further = len(chunk) - len(text)
    found = bytes_above_ascii(chunk)
    assert (found.utf8_bytes, found.other_bytes) == (further, others)
    assert found.beside_bytes <= others
    assert found.undefined_bytes <= others


def test_endless_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 100)
    path = tmp_path / "f"
    path.write_bytes(b"x" * 300)
    with pytest.raises(InputError, match="line longer than"):
        examine(str(path), 0, 300)
    with pytest.raises(InputError, match="line longer than"):
        examine(str(path), 10, 20)


def test_cut_gzip_is_named(tmp_path):
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"1,2,3\n" * 1000)[:-12])
    with pytest.raises(InputError, match=r"f\.gz is a broken gzip file.*\n.*cut off"):
        examine(str(path), 0, 99, packing="gzip")


@pytest.mark.parametrize("separator", [",", "::", "\t", " "])
@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("u\r1,i3,4,x", ["u\n1,i3,4,x"]),  # never a user called 1
        ("u1,i\r3,4,x", ["u1,i\n3,4,x"]),
        ("u1,i3,4\r,x", ["u1,i3,4\n,x"]),
        ("u\r\r1,i3,4,x", ["u\n\n1,i3,4,x"]),
        ("u1,i3,4,a\rb", [("u1", "i3", 4.0)]),  # in a column that is not used
        ("u1,i3,4,x\ru2,i3,5,y", [("u1", "i3", 4.0), ("u2", "i3", 5.0)]),  # ends lines
        ("u1,i3,4,x\r", [("u1", "i3", 4.0)]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lone_carriage_return_tears_no_record(read, file, separator, line, becomes, end):
    around = [f"v{n},j{n % 7},{1 + n % 5},z" for n in range(30)]
    text = end.join([*around, line, *around[:3], ""]).replace(",", separator)
    rows = read(file("r.txt", text), split_bytes=100, header=False)
    here = [row for row in rows if not str(row["user_id"]).startswith("v")]
    found = [row["raw"] or (row["user_id"], row["item_id"], row["rating"]) for row in here]
    assert found == [b.replace(",", separator) if isinstance(b, str) else b for b in becomes]
    n_lines = len((line + end).splitlines())
    assert sorted(r["line"] for r in rows)[-3:] == [31 + n_lines + n for n in range(3)]
    assert len(rows) == 33 + len(becomes)
