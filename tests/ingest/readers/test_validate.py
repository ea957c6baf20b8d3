from __future__ import annotations

import pyarrow as pa
import pytest

from mfspark.ingest.readers.validate import (
    Fields,
    Rules,
    clean,
    parse_ratings,
    rejected_records,
)

RULES = Rules()


def fields(rows, **more):
    user, item, rating = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
    return Fields(pa.array(range(1, len(rows) + 1), pa.int64()), user, item, rating, **more)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing_rating"),
        ("   ", "missing_rating"),
        ("great", "rating_not_a_number"),
        ("nan", "rating_not_a_number"),
        ("NaN", "rating_not_a_number"),
        ("inf", "rating_not_a_number"),
        ("-Infinity", "rating_not_a_number"),
        ("1e999", "rating_not_a_number"),
        ("0x5", "rating_not_a_number"),
        ("3,5", "rating_not_a_number"),
        ("1_0", "rating_not_a_number"),
        ("2020-01-02", "rating_not_a_number"),
        ("#N/A", "rating_not_a_number"),
        ("=B2+1", "formula_without_value"),
    ],
)
def test_bad_rating_has_its_reason_alone_and_among_good_ones(text, reason):
    for others in ([], ["4", "3.5"]):
        _, reasons = parse_ratings(pa.array([*others, text]), RULES)
        assert reasons.to_pylist() == [None] * len(others) + [reason]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4.0),
        (" 4.5 ", 4.5),
        ("+3", 3.0),
        ("-1", -1.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("1e1", 10.0),
    ],
)
def test_good_rating_is_read_with_and_without_bad_ones_beside_it(text, value):
    for others in ([], ["bad"]):
        numbers, reasons = parse_ratings(pa.array([text, *others]), RULES)
        assert numbers[0].as_py() == value
        assert reasons is None or reasons[0].as_py() is None


def test_decimal_comma_goes_with_the_semicolon():
    numbers, reasons = parse_ratings(pa.array(["3,5", "x"]), Rules(delimiter=";"))
    assert numbers[0].as_py() == 3.5
    assert reasons.to_pylist() == [None, "rating_not_a_number"]


def test_scale_is_inclusive_and_does_not_hide_other_reasons():
    _, reasons = parse_ratings(pa.array(["1", "5", "5.1", "0.9", "x"]), Rules(scale=(1, 5)))
    assert reasons.to_pylist() == [
        None,
        None,
        "rating_out_of_range",
        "rating_out_of_range",
        "rating_not_a_number",
    ]
    assert parse_ratings(pa.array(["1", "5"]), Rules(scale=(1, 5)))[1].null_count == 2


def test_float_column_with_null_nan_and_infinity():
    _, reasons = parse_ratings(pa.array([1.0, None, float("nan"), float("inf")]), RULES)
    assert reasons.to_pylist() == [
        None,
        "missing_rating",
        "rating_not_a_number",
        "rating_not_a_number",
    ]


def test_row_has_the_first_of_its_reasons():
    batch = clean(
        fields(
            [("", "i", "x"), ("u", " ", "x"), ("u", "i", "x"), ("u", "i", "3"), ("u", "i", "4")],
            timestamp=pa.array(["x", "x", "x", "x", ""]),
        ),
        RULES,
    )
    assert batch["reason"].to_pylist() == [
        "missing_user",
        "missing_item",
        "rating_not_a_number",
        "bad_timestamp",
        None,
    ]
    assert batch["raw"].to_pylist() == [",i,x,x", "u, ,x,x", "u,i,x,x", "u,i,3,x", None]
    assert batch["rating"].to_pylist() == [None] * 4 + [4.0]


def test_names_are_stripped_and_blank_rows_dropped():
    batch = clean(fields([(" Ann\u00a0", " Dangal ", " 4 "), ("", " ", ""), ("", "", "3")]), RULES)
    assert batch["user_id"].to_pylist() == ["Ann", None]
    assert batch["item_id"].to_pylist() == ["Dangal", None]
    assert batch["line"].to_pylist() == [1, 3]
    assert batch["reason"].to_pylist() == [None, "missing_user"]


def test_blank_malformed_records_are_no_rows():
    batch = rejected_records([(3, "a,b"), (4, "  "), (5, ""), (6, " , ,")], ",")
    assert batch.select(["line", "raw", "reason"]).to_pylist() == [
        {"line": 3, "raw": "a,b", "reason": "malformed_line"}
    ]


@pytest.mark.parametrize("delimiter", ["\t", "|", " ", "::"])
@pytest.mark.parametrize(
    ("text", "value"), [("3,5", 3.5), ("-0,25", -0.25), ("1,200", None), ("3,", None), (",5", None)]
)
def test_comma_is_a_decimal_point_where_it_separates_no_fields(delimiter, text, value):
    numbers, reasons = parse_ratings(pa.array(["4", text]), Rules(delimiter=delimiter))
    assert numbers.to_pylist() == [4.0, value]
    assert reasons is not None
    assert reasons[1].as_py() == (None if value else "rating_not_a_number")


def test_id_with_a_nul_is_damaged():
    rows = [("a", "x", "4"), ("b\0c", "x", "4"), ("a", "\0\0y", "4"), ("", "", "")]
    assert clean(fields(rows), RULES)["reason"].to_pylist() == [None] + ["malformed_line"] * 2
