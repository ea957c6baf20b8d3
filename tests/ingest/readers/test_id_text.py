from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest

from mfspark.ingest.readers.id_text import (
    clean_ids,
    mostly_numbers,
    plain_integers,
    without_point_zero,
)


def test_plain_integers():
    ids = [
        "0",
        "7",
        "9223372036854775807",
        "9223372036854775808",
        "007",
        "-1",
        "+1",
        "1.0",
        "",
        "٣",
        "a",
    ]
    assert plain_integers(pa.array(ids)).to_pylist() == [True] * 3 + [False] * 8


@pytest.mark.parametrize(
    "null", ["NULL", "null", "\\N", "NaN", "nan", "None", "NA", "N/A", "#N/A", "<NA>", " NULL "]
)
def test_what_exports_write_for_nothing_is_no_id(null):
    ids, lost = clean_ids(pa.array(["1", null, "x"]))
    assert (ids.to_pylist(), lost) == (["1", "", "x"], None)


def test_names_that_look_like_nothing_are_names():
    names = ["Na", "Nan", "nana", "none", "Null", "NONE", "N", "NA1", "\\n"]
    assert clean_ids(pa.array(names))[0].to_pylist() == names


def test_ids_are_composed_and_without_blanks_around():
    ids = pa.array([" Jose\u0301 ", "José", "\u00a0x", None])
    assert clean_ids(ids)[0].to_pylist() == ["José", "José", "x", ""]


@pytest.mark.parametrize("at", [0, 7_000, 99_999])
def test_one_id_among_many_is_composed_or_written_out(at):
    ids = [f"José-{n:06}" for n in range(100_000)]  # a megabyte
    for odd, whole in (("Jose\u0301", "José"), ("1.500E+3", "1500"), ("NULL", "")):
        ids[at] = odd
        assert clean_ids(pa.array(ids))[0][at].as_py() == whole


def test_every_character_is_composed():
    """Of each character its decomposed form, and marks in the wrong order."""
    for code in range(0x80, 0x30000):
        if 0xD800 <= code < 0xE000:
            continue
        apart = unicodedata.normalize("NFD", chr(code))
        suspect = apart != chr(code) or unicodedata.combining(chr(code))
        if suspect or code % 997 == 0:
            texts = [f"a{apart}b", f"x{chr(code)}y", f"q\u0307{chr(code)}y"]
            composed = [unicodedata.normalize("NFC", text) for text in texts]
            for text, whole in zip(texts, composed, strict=True):
                assert clean_ids(pa.array([text]))[0].to_pylist() == [whole]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("1.0E+5", None),
        ("1.23457E+11", None),
        ("1E+05", None),
        ("1.2345678901234568e+18", None),
        ("9007199254740992.0", None),
        ("12345678901234567890.0", None),
        ("1.2345678E7", "12345678"),
        ("1.23450000E+4", "12345"),
        ("1.00000000005e+10", "10000000000.5"),  # as Arrow writes it, and others do not
        ("1.000000000050E10", "10000000000.5"),
        ("9007199254740991.0", "9007199254740991"),
        ("12345.0", "12345.0"),  # decided by the whole column
        ("1e5", "1e5"),  # no export writes that; it is a code
        ("7E10", "7E10"),
        ("v1.0", "v1.0"),
        ("+49 151", "+49 151"),
    ],
)
def test_ids_that_lost_digits_are_not_known(text, whole):
    ids, lost = clean_ids(pa.array(["a", text]))
    if whole is None:
        assert lost.to_pylist() == [False, True]
    else:
        assert (ids.to_pylist(), lost) == (["a", whole], None)


def test_point_zero_goes_where_ids_are_numbers():
    def without(*ids):
        return without_point_zero(pa.chunked_array([ids])).to_pylist()

    assert without("1.0", "2.0", "3") == ["1", "2", "3"]
    assert without("1.0", "2", "x") == ["1", "2", "x"]
    assert without("2.0", "Heat", "Up") == ["2.0", "Heat", "Up"]
    assert without("1.5", "01.0") == ["1.5", "01.0"]


@pytest.mark.parametrize(
    "null", ["(null)", "<null>", "[NULL]", "#REF!", "#VALUE!", "#DIV/0!", "nil", "-", "--"]
)
def test_what_tools_show_for_nothing_is_no_id_in_any_column(null):
    ids, lost = clean_ids(pa.array(["Ann", null, "Bob (2)"]))
    assert (ids.to_pylist(), lost) == (["Ann", "", "Bob (2)"], None)


@pytest.mark.parametrize(
    "word", ["none", "Null", "NONE", "Nan", "na", "undefined", "Unknown", "?", ".", "anonymous"]
)
def test_words_for_nothing_are_none_among_numbers_and_names_among_names(word):
    values = pa.array(["1", word, "2"])
    assert clean_ids(values, numbers=True)[0].to_pylist() == ["1", "", "2"]
    assert clean_ids(values)[0].to_pylist() == ["1", word, "2"]


def test_numbers_in_short_scientific_notation_lost_digits_among_numbers_alone():
    values = pa.array(["1", "1E5", "2e+05", "12e4"])
    assert clean_ids(values, numbers=True)[1].to_pylist() == [False, True, True, True]
    assert clean_ids(pa.array(["1E5", "12e4"])) == (pa.array(["1E5", "12e4"]), None)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1"] * 9 + ["x"], True),
        (["1"] * 8 + ["x"] * 2, False),
        (["", " 7 ", "7.0"], True),
        (["1", "", "none", "NULL", "-", "Undefined"], True),
        (["none", ""], False),
    ],
)
def test_mostly_numbers(ids, expected):
    assert mostly_numbers(ids) == expected


def test_words_among_numbered_users_are_no_users(read, file):
    rows = [f"{n % 20},{n},4" for n in range(100)] + ["undefined,1,4", "none,2,5", "1E5,3,1"]
    found = read(file("r.csv", "\n".join(["userId,movieId,rating", *rows])))
    assert [row["reason"] for row in found[100:]] == ["missing_user"] * 2 + ["inexact_id"]
    titles = [f"{n % 20},x{n},4" for n in range(100)] + ["1,undefined,4", "2,none,5", "3,1E5,1"]
    found = read(file("r.csv", "\n".join(["userId,movieId,rating", *titles])))
    assert all(row["reason"] is None for row in found)
