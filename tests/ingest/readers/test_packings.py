"""Compressed files and delimiters: what people have is read, or refused by what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pytest

from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.readers.detect import check_readable
from mfspark.ingest.side_tables.items import read_items

TEXT = "userId,movieId,rating\n1,10,4.0\n1,20,3.5\n2,10,5.0\n"
THREE = [("1", "10", 4.0), ("1", "20", 3.5), ("2", "10", 5.0)]


def zstandard(content):
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(content)
    return packed.getvalue().to_pybytes()


def zipped(content, *names):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("folder/", "folder/ratings.csv", "__MACOSX/._ratings.csv"):
            archive.writestr(name, "" if name.endswith("/") else content)
    return packed.getvalue()


PACKERS = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard,
    "zip": zipped,
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("name", ["r", "r.csv.{}"])
def test_packed_text_is_read(read, ratings_of, tmp_path, kind, name):
    path = tmp_path / name.format({"gzip": "gz"}.get(kind, kind))
    path.write_bytes(PACKERS[kind](TEXT.encode()))
    assert ratings_of(read(path)) == THREE


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_items_are_read(tmp_path, kind):
    path = tmp_path / "movies"
    path.write_bytes(PACKERS[kind](b"movieId,title\n1,One\n"))
    assert read_items([str(path)], IngestOptions()).table["title"].to_pylist() == ["One"]


@pytest.mark.parametrize("kind", PACKERS)
def test_cut_off_file_is_named(read, tmp_path, kind):
    path = tmp_path / "r"
    content = b"".join(b"%d,%d,3\n" % (n * 7919, n) for n in range(50_000))
    path.write_bytes(PACKERS[kind](content)[:-40])
    with pytest.raises(InputError, match=r"r is a broken .*|broken zip archive"):
        read(path)


def test_pieces_packed_one_after_the_other_are_one_file(read, ratings_of, tmp_path):
    head, tail = TEXT[:30].encode(), TEXT[30:].encode()
    for kind in ("gzip", "bz2", "xz", "zst"):
        path = tmp_path / kind
        path.write_bytes(PACKERS[kind](head) + PACKERS[kind](tail))
        assert ratings_of(read(path)) == THREE


def test_zip_of_several_files_is_refused(read, tmp_path):
    path = tmp_path / "r.zip"
    path.write_bytes(zipped(TEXT, "a.csv", "b.csv"))
    with pytest.raises(InputError, match=r"zip archive of 2 files .a.csv, b.csv.\n  unpack"):
        read(path)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!\x1a\x07\x01", "a RAR archive"),
        (b"\x04\x22\x4d\x18", "an LZ4 file"),
        (b"r.csv".ljust(257, b"\0") + b"ustar", "a tar archive"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, head, what):
    path = tmp_path / "r"
    path.write_bytes(head + b"\0\1\2")
    with pytest.raises(InputError, match=f"r is {what}\n  unpack it first"):
        check_readable([str(path)], IngestOptions())


@pytest.mark.parametrize("delimiter", ["^", "~", "#", ":", "\x01", "¬", "|", ";"])
def test_any_character_may_be_the_delimiter(read, ratings_of, file, delimiter):
    text = TEXT.replace("4.0", '"4.0"').replace(",", delimiter)
    assert ratings_of(read(file("r.txt", text), delimiter=delimiter, split_bytes=9)) == THREE


def test_fields_may_hold_other_delimiters(read, ratings_of, file):
    text = "user^item^rating\nann^Up, again; and | again^4\n"
    assert ratings_of(read(file("r.txt", text), delimiter="^")) == [
        ("ann", "Up, again; and | again", 4.0)
    ]


@pytest.mark.parametrize("bad", ["ab", '"', "a", "7", "\n", ".", "-"])
def test_delimiter_is_one_character_that_no_number_has(bad):
    with pytest.raises(ValueError, match="delimiter"):
        IngestOptions(delimiter=bad)


@pytest.mark.parametrize("separator", [" ", "  ", " \t ", "\t "])
@pytest.mark.parametrize("header", ["", "user item rating\n"])
def test_blanks_are_told(read, ratings_of, file, separator, header):
    lines = header + "1 10 4.0\n1 20 3.5\n2 10 5.0\n"
    text = lines.replace(" ", separator).replace("\n", " \r\n ")
    assert ratings_of(read(file("ratings.txt", text), split_bytes=9)) == THREE


def test_blanks_can_be_asked_for(read, ratings_of, file):
    text = '1 "a b" 4\n2  "c" 5\n'
    assert ratings_of(read(file("r.txt", text), delimiter=" ")) == [
        ("1", "a b", 4.0),
        ("2", "c", 5.0),
    ]


def test_hidden_files_in_a_zip_are_passed_over(read, ratings_of, tmp_path):
    path = tmp_path / "r.zip"
    path.write_bytes(zipped(TEXT, "r.csv", ".DS_Store", "folder/._r.csv"))
    assert ratings_of(read(path)) == THREE


@pytest.mark.parametrize("kind", ["gzip", "bz2", "zst", "zip"])
def test_part_file_that_packs_nothing_is_passed_over(read, ratings_of, tmp_path, kind):
    nothing, full = tmp_path / "part-0", tmp_path / "part-1.csv"
    nothing.write_bytes(PACKERS[kind](b""))
    full.write_text(TEXT)
    assert ratings_of(read(nothing, full)) == THREE
    check_readable([str(nothing), str(full)], IngestOptions())
    with pytest.raises(InputError, match="unpacks to nothing"):
        read(nothing)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (gzip.compress(TEXT.encode(), mtime=0), "is a gzip file in a gzip file"),
        (zipped(TEXT), "is a zip archive in a gzip file"),
        (b"PAR1 and so on", "is a Parquet file in a gzip file"),
        (b"r.csv".ljust(257, b"\0") + b"ustar\0", "is a tar archive in a gzip file"),
    ],
)
def test_what_is_packed_twice_is_named(read, tmp_path, content, named):
    path = tmp_path / "r.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=named):
        read(path)


def test_name_that_begins_like_bzip2_is_a_name(read, ratings_of, file):
    text = "BZhou,10,4\nBZh9,20,3\nann,10,5\n"
    assert len(ratings_of(read(file("r.csv", text)))) == 3


@pytest.mark.parametrize("name", ["r.csv.zip", "r.xlsx"])
def test_a_zip_whose_headers_are_damaged_is_refused(read, tmp_path, workbook, name):
    """A name that says it is UTF-8 and is not: zipfile raises something else than BadZipFile."""
    path = tmp_path / name
    if name == "r.xlsx":
        content = bytearray(workbook([["user", "item", "rating"], [1, 2, 3]]).read_bytes())
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("r.csv", "user,item,rating\n1,2,3\n")
        content = bytearray(path.read_bytes())
    content[6:8] = (0x800).to_bytes(2, "little")
    content[30] = 0x80
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken zip file|not a readable Excel workbook"):
        read(path)
