from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from mfspark.ingest.readers.times import form_of, looks_like_timestamp, parse_timestamps

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


DAY = datetime(2023, 1, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("texts", "form", "times"),
    [
        (["20230114", "20190505"], "digits", [DAY, datetime(2019, 5, 5, tzinfo=UTC)]),
        (["20230114.0", ""], "digits", [DAY, None]),
        (["202301141030"], "digits", [DAY + timedelta(hours=10, minutes=30)]),
        (["20230114103005"], "digits", [DAY + timedelta(hours=10, minutes=30, seconds=5)]),
        (["44940", "44940.5"], "excel", [DAY, DAY + timedelta(hours=12)]),
        (["1000000000", "1"], "epoch", [WHEN, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]),
        (["2023-01-14", "x"], "epoch", [DAY, None]),
    ],
)
def test_column_shows_what_its_numbers_are(texts, form, times):
    assert form_of(texts) == form
    assert parse_timestamps(pa.array(texts), form)[0].to_pylist() == times


def test_typed_numbers_are_told_too():
    times, bad = parse_timestamps(pa.array([20230114, None, 20230230]), "digits")
    assert times.to_pylist() == [DAY, None, None]
    assert bad.to_pylist() == [False, False, True]


def test_dates_among_digits_are_read_and_other_small_numbers_are_bad():
    texts = ["20230114", "2019-05-05", "1000000000", "20231301", "5"]
    times, bad = parse_timestamps(pa.array(texts), "digits")
    assert times.to_pylist() == [DAY, datetime(2019, 5, 5, tzinfo=UTC), WHEN, None, None]
    assert bad.to_pylist() == [False, False, False, True, True]


def test_years_are_no_times():
    assert form_of(["2019", "2020", ""]) == "year"
    times, bad = parse_timestamps(pa.array(["2019", "", "2020-01-01"]), "year")
    assert times.to_pylist() == [None, None, datetime(2020, 1, 1, tzinfo=UTC)]
    assert bad.to_pylist() == [True, False, False]


@pytest.mark.parametrize("text", ["2023-01-14 00:00:00 UTC", "2023-01-14T00:00:00UTC"])
def test_utc_may_be_written_out(text):
    assert parse_timestamps(pa.array([text, "2023-01-14"]))[0].to_pylist() == [DAY, DAY]


@pytest.mark.parametrize("text", ["NULL", "\\N", "NaN", "None", "NaT"])
def test_what_exports_write_for_nothing_is_no_time_and_not_bad(text):
    times, bad = parse_timestamps(pa.array([text, "2023-01-14", "1000000000"]))
    assert times.to_pylist() == [None, DAY, WHEN]
    assert bad is None


def test_days_written_as_digits_look_like_times_and_years_do_not():
    assert looks_like_timestamp(["20230114", "20230115"])
    assert not looks_like_timestamp(["2019", "2020"])


EPOCH = "1600000000", datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
def test_digits_of_a_date_among_epochs_are_a_date(share):
    n = int(100 * share)
    texts = ["20230114"] * n + [EPOCH[0]] * (100 - n)
    times, bad = parse_timestamps(pa.array(texts), form_of(texts))
    assert bad is None
    assert times.to_pylist() == [datetime(2023, 1, 14, tzinfo=UTC)] * n + [EPOCH[1]] * (100 - n)


def test_digits_of_a_date_behind_the_sample_are_one_too():
    texts = [EPOCH[0], "20230114", "202301141030", "20231345", "202301149900", "99"]
    days = datetime(2023, 1, 14, tzinfo=UTC), datetime(2023, 1, 14, 10, 30, tzinfo=UTC)
    for values in (pa.array(texts), pa.array([*map(int, texts)]), pa.array([*map(float, texts)])):
        times, bad = parse_timestamps(values, form_of([EPOCH[0]] * 9))
        assert times.to_pylist()[:5] == [EPOCH[1], *days, None, None]
        assert bad.to_pylist() == [False, False, False, True, True, False]


@pytest.mark.parametrize(
    ("texts", "form", "first"),
    [
        (["202301", "202312"], "digits", datetime(2023, 1, 1, tzinfo=UTC)),
        (["2023011410", "2023123123"], "digits", datetime(2023, 1, 14, 10, tzinfo=UTC)),
        (["230114", "231231"], "early", datetime(1970, 1, 3, 15, 55, 14, tzinfo=UTC)),
        (["0", "86400"], "early", datetime(1970, 1, 1, tzinfo=UTC)),
        (["20200101", "20200102"], "digits", datetime(2020, 1, 1, tzinfo=UTC)),
        (["1970010100", "1600000000"], "epoch", datetime.fromtimestamp(1970010100, UTC)),
    ],
)
def test_form_of_numbers(texts, form, first):
    assert form_of(texts) == form
    assert parse_timestamps(pa.array(texts), form)[0][0].as_py() == first


@pytest.mark.parametrize("ticks", [638_000_000_000_000_000, 133_500_000_000_000_000])
def test_times_of_other_clocks_are_no_nanoseconds(ticks):
    assert parse_timestamps(pa.array([str(ticks)]))[1].to_pylist() == [True]


@pytest.mark.parametrize(
    ("text", "known"),
    [("1.60E+09", False), ("1.6e+12", False), ("1.600000000e+09", True), ("1.6E9", True)],
)
def test_seconds_that_a_sheet_has_rounded_are_no_time(text, known):
    for others in ([], ["1600000001"], ["2020-01-01"]):
        times, bad = parse_timestamps(pa.array([text, *others]))
        assert (bad is None) == known
        assert times[0].as_py() == (EPOCH[1] if known else None)
