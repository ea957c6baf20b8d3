from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from mfspark.ingest.readers.validate import (
    Fields,
    Rules,
    clean,
    looks_like_timestamp,
    parse_ratings,
    parse_timestamps,
    plain_integers,
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


WHEN = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "1000000000",
        "1000000000.0",
        "1e9",
        " 1000000000",
        "1000000000000",  # milliseconds
        "1000000000000000",
        "1000000000000000000",
        "2001-09-09T01:46:40",
        "2001-09-09 01:46:40",
        "2001-09-09T01:46:40Z",
        "2001-09-09T03:46:40+02:00",
        "2001-09-09T01:46:40.000000",
    ],
)
def test_timestamp_forms_name_the_same_moment(text):
    for others in ([], ["", "never"]):
        times, _ = parse_timestamps(pa.array([text, *others]))
        assert times[0].as_py() == WHEN


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "-5",
        "2021-02-30",
        "1969-12-31",
        "2262-01-01",
        "9300000000",
        "0x1f",
        "inf",
        "04/11/2023",
    ],
)
def test_bad_timestamp(text):
    times, bad = parse_timestamps(pa.array([text, "1000000000", ""]))
    assert bad.to_pylist() == [True, False, False]
    assert times.to_pylist() == [None, WHEN, None]


def test_fraction_of_a_second_is_kept():
    times, bad = parse_timestamps(pa.array(["2023-04-11T10:58:44.990000", "1.5"]))
    assert bad is None
    assert times.to_pylist() == [
        datetime(2023, 4, 11, 10, 58, 44, 990000, UTC),
        datetime(1970, 1, 1, 0, 0, 1, 500000, UTC),
    ]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([10**9, None]),
        pa.array([1e9, None]),
        pa.array([WHEN.replace(tzinfo=None), None], pa.timestamp("ns")),
        pa.array(
            [WHEN.astimezone(timezone(timedelta(hours=5))), None], pa.timestamp("ms", "+05:00")
        ),
        pa.array([10**18, None], pa.int64()),
    ],
)
def test_typed_timestamps(values):
    times, bad = parse_timestamps(values)
    assert times.to_pylist() == [WHEN, None]
    assert bad is None


def test_hexadecimal_is_no_epoch_even_among_whole_numbers():
    times, bad = parse_timestamps(pa.array(["0x1f", "1000000000"]))
    assert (times.to_pylist(), bad.to_pylist()) == ([None, WHEN], [True, False])


def test_zones_may_be_mixed():
    texts = ["2001-09-09T01:46:40Z", "2001-09-09T03:46:40+02:00", "2001-09-09 01:46:40"]
    assert parse_timestamps(pa.array(texts))[0].to_pylist() == [WHEN] * 3


def test_dates_are_midnight_utc_and_early_ones_are_bad():
    times, bad = parse_timestamps(pa.array([date(2020, 1, 2), date(1960, 1, 1)]))
    assert times.to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC), None]
    assert bad.to_pylist() == [False, True]


def test_nanoseconds_beyond_float_precision_are_exact():
    times, _ = parse_timestamps(pa.array([1_000_000_000_123_456_990, None], pa.int64()))
    assert times[0].as_py() == WHEN + timedelta(microseconds=123456)


def test_looks_like_timestamp_wants_most_of_them_recent():
    assert looks_like_timestamp(["964982703", "964981247", ""])
    assert looks_like_timestamp(["2023-04-11", "x", "2023-04-12"])
    assert not looks_like_timestamp(["5", "3"])
    assert not looks_like_timestamp(["", ""])


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
