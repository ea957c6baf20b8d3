"""Timestamps over whole Arrow columns: numbers and texts to UTC microseconds.

A number by itself does not say what it is: 20230114 is a day, or a second in August 1970. What most
numbers of a column are decides for all of them, see `TimeForm`.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.id_text import NULLS, stripped
from mfspark.schemas import TIMESTAMP

TimeForm = Literal["epoch", "early", "digits", "excel", "year"]
"""What the numbers of a column are: `epoch` seconds since 1970, or milli-, micro- or nanoseconds by
their size; `early` the same, of 1970 to 1973; `digits` such as 20230114, 202301 or 20230114103000;
`excel` days since 1899-12-30; `year`, which is no time. Among those of `epoch`, as exports are
joined, digits of a date are a date."""

DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_ZONED = r"[T ]\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
_SHOWN = r"^\d\.?(?P<digits>\d*)[eE]\+(?P<power>\d{1,3})$"
_UTC = r"(\d) ?(UTC|GMT)$"
_LAST_MICROSECOND = 9_214_646_400_000_000 - 1  # the end of 2261 UTC
_MICROSECONDS_PER_DAY = 86_400_000_000
_MOSTLY = 0.9
_YEARS = 1900, 2100
_EXCEL_DAYS = 25_569, 80_000  # 1970 to 2119
_EXCEL_DAY_OF_1970 = 25_569
_FIRST_EPOCH = 1e8  # seconds, of 1973: what is below is no time in a column of other forms
_DIGITS = (
    (1e5, 10**6, 10**8),  # a month: 202301 times one million, and the first of it
    (1e7, 0, 10**6),
    (1e9, 0, 10**4),
    (1e11, 0, 10**2),
    (1e13, 0, 1),
)
"""Of a month, a day, and one to the hour, the minute and the second: the lowest number, and what is
added and multiplied to have all digits."""
_DATES_AMONG_EPOCHS = (1.9e7, 2.2e7), (1.9e11, 2.2e11)
"""Days, and times to the minute, of 1900 to 2199: seconds of August, or milliseconds of 1976."""
_FIRST_NANOSECOND = 7e17  # of 1992; below lie times of .NET and Windows, which count otherwise
_IN_WORDS: dict[TimeForm, str] = {
    "epoch": "",
    "early": ", times as seconds from 1970 to 1973 at most",
    "digits": ", times such as 20230114",
    "excel": ", times as Excel's numbers of days",
    "year": ", times are years, which are no times",
}


def parse_timestamps(
    values: pa.Array, form: TimeForm = "epoch"
) -> tuple[pa.Array, pa.Array | None]:
    """Return UTC microseconds and, where any is bad, a mask of the bad ones.

    Text that is no number is ISO 8601, UTC where no zone is given. Blank, or what exports write for
    it, is null, which is not bad. Dates before 1970 or after 2261 are bad.
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = _from_date(values)
    elif pa.types.is_integer(kind):
        times = _from_numbers(_numbers(values), pc.is_valid(values), form)
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = pc.cast(values, pa.float64())
        times = _from_numbers(_numbers(numbers), pc.is_valid(values), form)
    else:
        times = _from_text(values, form)
        text = stripped(values)
        blank = pc.or_(pc.equal(text, ""), pc.is_in(text, NULLS)) if times.null_count else None
        values = values if blank is None else pc.if_else(blank, None, values)
    bad = pc.and_(pc.is_null(times), pc.is_valid(values))
    return times, bad if pc.any(bad).as_py() else None


def form_of(values: Sequence[str]) -> TimeForm:
    """Tell what the numbers of a column are from some of its values."""
    text = stripped(pa.array(list(values), pa.string()))
    is_number = pc.match_substring_regex(text, DECIMAL)
    numbers = pc.cast(text.filter(is_number), pa.float64()).to_numpy(zero_copy_only=False)
    if not len(numbers):
        return "epoch"
    enough = _MOSTLY * len(numbers)
    whole = numbers == np.floor(numbers)
    if (whole & (numbers >= _YEARS[0]) & (numbers <= _YEARS[1])).sum() >= enough:
        return "year"
    if ((numbers >= _EXCEL_DAYS[0]) & (numbers < _EXCEL_DAYS[1])).sum() >= enough:
        return "excel"
    if _from_digits(numbers)[1].sum() >= enough:
        return "digits"
    return "early" if (numbers < _FIRST_EPOCH).sum() >= enough else "epoch"


def times_in_words(form: TimeForm) -> str:
    """Say what the numbers of a column of times are, "" for the usual form."""
    return _IN_WORDS[form]


def looks_like_timestamp(values: Sequence[str]) -> bool:
    """Return whether most of the values that are not blank are dates or epochs after 1990."""
    times, _ = parse_timestamps(pa.array(list(values), pa.string()), form_of(values))
    modern = pc.greater_equal(pc.cast(times, pa.int64()), 20 * 365 * _MICROSECONDS_PER_DAY)
    filled = sum(1 for value in values if value.strip())
    return 2 * (pc.sum(modern).as_py() or 0) > filled


def _from_text(values: pa.Array, form: TimeForm) -> pa.Array:
    try:
        whole = pc.cast(values, pa.int64())
        hexadecimal = pc.match_substring(values, "x", ignore_case=True)  # to Arrow 0x1f is a number
        if not pc.any(hexadecimal).as_py():
            return _from_numbers(_numbers(whole), pc.is_valid(whole), form)
    except pa.ArrowInvalid:
        pass
    text = stripped(values)
    is_number = pc.match_substring_regex(text, DECIMAL)
    numbers = pc.cast(pc.if_else(is_number, text, None), pa.float64())
    is_exact = pc.and_(is_number, pc.invert(_lost_digits(text, is_number)))
    of_numbers = _from_numbers(_numbers(numbers), is_exact, form)
    if pc.all(pc.or_(is_number, pc.equal(text, ""))).as_py():
        return of_numbers
    text = pc.replace_substring_regex(text, _UTC, r"\1Z")
    # apart, because pandas gives a time without a zone the zone of the one before it
    zoned = pc.match_substring_regex(text, _ZONED)
    with_zone = _iso_dates(pc.if_else(zoned, text, None))
    without = _iso_dates(pc.if_else(pc.or_(zoned, is_number), None, text))
    return pc.if_else(is_number, of_numbers, pc.coalesce(with_zone, without))


def _lost_digits(text: pa.Array, is_number: pa.Array) -> pa.Array:
    """Return which numbers have fewer digits than seconds need, as sheets show them: 1.60E+09."""
    suspect = pc.and_(is_number, pc.match_substring(text, "+"))
    if not pc.any(suspect).as_py():
        return suspect
    shown = pc.extract_regex(pc.if_else(suspect, text, None), _SHOWN)
    digits = pc.utf8_length(pc.struct_field(shown, "digits"))
    power = pc.cast(pc.struct_field(shown, "power"), pa.int32())
    return pc.fill_null(pc.less(digits, power), fill_value=False)


def _iso_dates(texts: pa.Array) -> pa.Array:
    parsed = pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    return _from_date(pa.array(parsed))


def _from_date(values: pa.Array) -> pa.Array:
    if pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("ms"))
    micros = pc.cast(pc.cast(values, pa.timestamp("us", values.type.tz), safe=False), pa.int64())
    inside = pc.and_(pc.greater_equal(micros, 0), pc.less_equal(micros, _LAST_MICROSECOND))
    return pc.cast(pc.if_else(inside, micros, None), TIMESTAMP)


def _numbers(values: pa.Array) -> np.ndarray:
    """Return a numpy array of the same type (nulls would turn integers into floats)."""
    return pc.fill_null(values, 0).to_numpy(zero_copy_only=False)


def _from_numbers(values: np.ndarray, valid: pa.Array, form: TimeForm) -> pa.Array:
    known = valid.to_numpy(zero_copy_only=False)
    if form in ("epoch", "early"):
        dates = [(values >= low) & (values < high) for low, high in _DATES_AMONG_EPOCHS]
        as_dates = known & (dates[0] | dates[1])
        if form == "early" or not as_dates.any():
            return _from_epoch(values, known)
        micros, these = _from_digits(values.astype(np.float64))
        joined = pc.cast(pa.array(micros, mask=~(these & as_dates)), TIMESTAMP)
        return pc.coalesce(joined, _from_epoch(values, known & ~as_dates))
    numbers = values.astype(np.float64)
    micros, these = _from_digits(numbers) if form == "digits" else _from_excel(numbers)
    if form == "year":
        these[:] = False
    inside = these & known & (micros >= 0) & (micros <= _LAST_MICROSECOND)
    others = _from_epoch(values, known & ~these & (numbers >= _FIRST_EPOCH))
    return pc.coalesce(pc.cast(pa.array(micros, mask=~inside), TIMESTAMP), others)


def _from_excel(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return microseconds, to the next second, and which numbers are days of Excel."""
    these = (numbers >= _EXCEL_DAYS[0]) & (numbers < _EXCEL_DAYS[1])
    seconds = np.round(np.where(these, numbers - _EXCEL_DAY_OF_1970, 0) * 86_400)
    return (seconds * 1e6).astype(np.int64), these


def _from_digits(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return microseconds, and which numbers are digits of a date, and maybe of a time of day."""
    whole, given = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), bool)
    for low, more, factor in _DIGITS:
        these = (numbers >= low) & (numbers < 10 * low) & (numbers == np.floor(numbers))
        whole[these] = numbers[these].astype(np.int64) * factor + more
        given |= these
    day, rest = whole // 10**6, whole % 10**6
    year, month, of_month = day // 10_000, day // 100 % 100, day % 100
    hour, minute, second = rest // 10_000, rest // 100 % 100, rest % 100
    given &= (year >= 1970) & (year <= 2261) & (month >= 1) & (month <= 12) & (of_month >= 1)
    given &= (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(given, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    last = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    given &= of_month <= last
    days = months.astype("datetime64[D]").astype(np.int64) + np.where(given, of_month - 1, 0)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    return np.where(given, seconds * 1_000_000, 0), given


def _from_epoch(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Scale numbers to microseconds by their size; the ranges of the units do not meet."""
    known = valid & (values >= 0) & (values < 9.3e18)
    known &= (values < 1e17) | (values >= _FIRST_NANOSECOND)
    numbers = np.where(known, values, 0)
    micros = np.zeros(len(numbers), np.int64)
    for low, high, factor, divisor in (
        (0, 1e11, 1_000_000, 1),  # seconds
        (1e11, 1e14, 1_000, 1),
        (1e14, 1e17, 1, 1),
        (1e17, np.inf, 1, 1_000),
    ):
        these = (numbers >= low) & (numbers < high)
        if these.any():
            micros[these] = np.round(numbers[these] * factor).astype(np.int64) // divisor
    known &= micros <= _LAST_MICROSECOND
    return pc.cast(pa.array(micros, mask=~known), TIMESTAMP)
