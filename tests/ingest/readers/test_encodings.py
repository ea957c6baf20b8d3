# ruff: noqa: RUF001 - quotation marks and dashes of Windows-1252
from __future__ import annotations

import pytest

from mfspark.errors import InputError
from mfspark.ingest.readers.encodings import windows_1252

LINES = ["user,item,rating", "Zoë,Café – Noir,5", "Zoë,“Heat”,4", "Ann,L’Avventura,3"]
RATINGS = [("Zoë", "Café – Noir", 5.0), ("Zoë", "“Heat”", 4.0), ("Ann", "L’Avventura", 3.0)]
LATIN_1 = "iso-8859-1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_encoding_is_told(read, ratings_of, file, encoding):
    assert ratings_of(read(file("r.csv", "\n".join(LINES).encode(encoding)))) == RATINGS


@pytest.mark.parametrize("option", ["windows-1252", LATIN_1])
def test_configured_latin_1_is_windows_1252(read, ratings_of, file, option):
    path = file("r.csv", "\n".join(LINES).encode("cp1252"))
    assert ratings_of(read(path, encoding=option)) == RATINGS


def test_bad_byte_costs_no_other_value(read, ratings_of, file):
    good = [f"Zoë {n},Amélie {n},4".encode() for n in range(20)]
    lines = [b"user,item,rating", *good, "Zoë 1,José".encode() + b"\xe9,4", *good]
    rows = ratings_of(read(file("r.csv", b"\n".join(lines)), split_bytes=100))
    assert rows[20] == ("Zoë 1", "Joséé", 4.0)
    assert {user for user, _, _ in rows} == {f"Zoë {n}" for n in range(20)}


def test_files_of_two_encodings_glued_together_with_their_marks(read, ratings_of, file):
    mark = "\ufeff".encode()
    first, second = "\n".join(LINES[:3]), "\n".join(LINES[3:])
    content = mark + first.encode() + b"\n" + mark + second.encode("cp1252") + b"\n" + mark
    content += b'"Ann",Ran,2\n'
    assert ratings_of(read(file("r.csv", content))) == [*RATINGS, ("Ann", "Ran", 2.0)]


def test_description_names_the_encoding(file):
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.plan import examine_here, plan_read

    def read_as(content):
        return plan_read([str(file("r.csv", content))], IngestOptions(), 99, examine_here).read_as

    assert "Windows-1252" in read_as("\n".join(LINES).encode("cp1252"))[0]
    assert "UTF-8" not in read_as("\n".join(LINES).encode())[0]
    mixed = "\n".join(LINES).encode() + b"\n\xff,b,3"
    assert read_as(mixed)[0].endswith("UTF-8 but for 1 byte, there Windows-1252")


def test_every_byte_has_a_character():
    text = windows_1252(bytes(range(256)))
    assert len(text) == len(set(text)) == 256
    assert windows_1252(b"\x80\x96\x93\xe9") == "€–“é"
    for n, character in enumerate(text):
        assert windows_1252(b"abc\xa0\xff" + bytes([n])) == f"abc\xa0ÿ{character}"


def test_utf_8_can_be_demanded(read, file):
    with pytest.raises(InputError, match="not valid UTF-8"):
        read(file("r.csv", b"user,item,rating\na,\xe9,3\n"), encoding="utf-8")


FOREIGN = {
    "windows-1251": ["Зеркало", "Сталкер и я"],
    "windows-1253": ["Ο θίασος", "Ζ"],
    "koi8-r": ["Зеркало", "Сталкер"],
    "shift_jis": ["七人の侍", "ゴジラ", "スパイダーマン"],
    "gb18030": ["英雄", "霸王别姬"],
    "euc-kr": ["기생충", "올드보이"],
    "big5": ["花樣年華", "許功蓋"],  # with backslashes and bars as second bytes
}


@pytest.mark.parametrize("encoding", FOREIGN)
def test_other_alphabets_are_asked_for(read, ratings_of, file, encoding):
    titles = FOREIGN[encoding]
    rows = [(f"u{n}", titles[n % len(titles)], 3.0) for n in range(40)]
    text = "".join(f"{user},{title},{rating}\n" for user, title, rating in rows)
    path = file("r.csv", ("user,item,rating\n" + text).encode(encoding))
    with pytest.raises(InputError, match="hardly Windows-1252") as raised:
        read(path)
    assert "--set ingest.encoding=windows-1251" in raised.value.hint
    assert ratings_of(read(path, encoding=encoding, split_bytes=200)) == rows
    assert len(ratings_of(read(path, encoding="windows-1252"))) == 40


def test_western_text_is_not_asked_for(read, ratings_of, file):
    """Letters above ASCII side by side, and a byte that nobody knows, in a file of many others."""
    rows = [(f"Zoë {n}", ["L’été…", "Ça va", "Müller"][n % 3], 3.0) for n in range(60)]
    text = "".join(f"{user},{title},{rating}\n" for user, title, rating in rows)
    content = ("user,item,rating\n" + text).encode("cp1252") + b"a\x81,b,2\n"
    assert ratings_of(read(file("r.csv", content)))[:60] == rows


def test_what_is_not_in_the_encoding_is_named(read, file):
    path = file("r.csv", b"user,item,rating\na,\x83\x41,3\nb,\x83\n,2\n")
    with pytest.raises(InputError, match=r"r\.csv is not shift_jis: it holds the bytes 83 0a"):
        read(path, encoding="shift_jis")
