"""Validation of ratings over whole Arrow columns; no Spark.

Each check first tries the whole column at once, which is all that happens in a clean file. Only
where that fails are the bad values looked for. A row has one reason, the first of: missing user,
missing item, the rating, the timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.schemas import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

CLEANED = pa.schema(
    [
        ("line", pa.int64()),
        ("cell", pa.int32()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("rating", pa.float64()),
        ("rated_at", TIMESTAMP),
        ("raw", pa.string()),
        ("reason", pa.string()),
    ]
)
"""Cleaned rows; `raw` and `reason` are null where a row is accepted, the rest where it is not."""

_DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_ZONED = r"[T ]\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
_LAST_MICROSECOND = 9_214_646_400_000_000 - 1  # the end of 2261 UTC
_MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass
class Fields:
    """The parts of some rows, as read: equally long arrays of text (Parquet may give numbers)."""

    lines: pa.Array
    user: pa.Array
    item: pa.Array
    rating: pa.Array
    timestamp: pa.Array | None = None
    cell: pa.Array | None = None
    """Position within the line where a line holds several ratings."""
    others: list[pa.Array] = field(default_factory=list)
    """The columns that `raw` shows, in order; empty means the parts above."""


@dataclass(frozen=True)
class Rules:
    """What counts as valid."""

    scale: tuple[float, float] | None = None
    delimiter: str = ","
    """Joins the fields of `raw`; with a semicolon, 3,5 is read as 3.5."""
    blank_item: str = "missing_item"
    """The reason for a row without an item."""


def clean(fields: Fields, rules: Rules) -> pa.RecordBatch:
    """Check all rows and give them the columns of CLEANED.

    Rows whose fields are all blank are dropped: a blank line is no row.
    """
    user, item = _stripped(fields.user), _stripped(fields.item)
    rating, bad_rating = parse_ratings(fields.rating, rules)
    n = len(user)
    rated_at, bad_time = pa.nulls(n, TIMESTAMP), None
    if fields.timestamp is not None:
        rated_at, bad_time = parse_timestamps(fields.timestamp)
    reason = _first_reason(
        [
            (_blank(user), pa.scalar("missing_user")),
            (_blank(item), pa.scalar(rules.blank_item)),
            (None if bad_rating is None else pc.is_valid(bad_rating), bad_rating),
            (bad_time, pa.scalar("bad_timestamp")),
        ]
    )
    cell = fields.cell if fields.cell is not None else pa.array(np.zeros(n, np.int32))
    if reason is None:
        raw = reason = pa.nulls(n, pa.string())
        return _batch([fields.lines, cell, user, item, rating, rated_at, raw, reason])
    rejected = pc.is_valid(reason)
    raw = _raw(fields, rules, rejected)
    values = [pc.if_else(rejected, None, column) for column in (user, item, rating, rated_at)]
    kept = _not_blank(fields, raw)
    columns = [fields.lines, cell, *values, raw, reason]
    return _batch([c.filter(kept) for c in columns] if kept is not None else columns)


def rejected_records(
    malformed: Sequence[tuple[int, str]], delimiter: str, reason: str = "malformed_line"
) -> pa.RecordBatch:
    """Turn (line, text) of whole records, by default such as have other fields, into rejected rows.

    Lines of nothing but blanks and delimiters are dropped: a blank line is no row.
    """
    kept = [(line, text) for line, text in malformed if text.replace(delimiter, "").strip()]
    n = len(kept)
    lines = pa.array([line for line, _ in kept], pa.int64())
    nulls = [pa.nulls(n, CLEANED.field(name).type) for name in CLEANED.names[2:6]]
    raw = pa.array([text for _, text in kept], pa.string())
    cell = pa.array(np.zeros(n, np.int32))
    return _batch([lines, cell, *nulls, raw, pa.array([reason] * n, pa.string())])


def parse_ratings(values: pa.Array, rules: Rules) -> tuple[pa.Array, pa.Array | None]:
    """Return float64 ratings and, where any is bad, a string array with the reason or null."""
    numbers, reason = values, None
    if not pa.types.is_floating(values.type):
        try:
            numbers = pc.cast(values, pa.float64())
        except pa.ArrowInvalid:
            numbers, reason = _parse_each_rating(values, rules)
    numbers = pc.cast(numbers, pa.float64())
    unfit = pc.invert(pc.fill_null(pc.is_finite(numbers), fill_value=False))
    if reason is None and pc.any(unfit).as_py():  # NaN and infinity are numbers to a parser
        missing = pc.and_(pc.is_null(values), unfit)
        reason = _first_reason(
            [(missing, pa.scalar("missing_rating")), (unfit, pa.scalar("rating_not_a_number"))]
        )
    if rules.scale is not None:
        low, high = rules.scale
        outside = pc.fill_null(
            pc.or_(pc.less(numbers, low), pc.greater(numbers, high)), fill_value=False
        )
        known = None if reason is None else pc.is_valid(reason)
        reason = _first_reason([(known, reason), (outside, pa.scalar("rating_out_of_range"))])
    return numbers, reason


def parse_timestamps(values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Return UTC microseconds and, where any is bad, a mask of the bad ones.

    Whole numbers are seconds since 1970, or milli-, micro- or nanoseconds by their size; text is
    ISO 8601, UTC where no zone is given. Blank is null, which is not bad. Dates before 1970 or
    after 2261 are bad.
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = _from_date(values)
    elif pa.types.is_integer(kind):
        times = _from_epoch(_numbers(values), pc.is_valid(values))
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        times = _from_epoch(_numbers(pc.cast(values, pa.float64())), pc.is_valid(values))
    else:
        times = _from_text(values)
        values = pc.if_else(pc.equal(_stripped(values), ""), None, values)
    bad = pc.and_(pc.is_null(times), pc.is_valid(values))
    return times, bad if pc.any(bad).as_py() else None


def looks_like_timestamp(values: Sequence[str]) -> bool:
    """Return whether most of the values that are not blank are dates or epochs after 1990."""
    times, _ = parse_timestamps(pa.array(list(values), pa.string()))
    modern = pc.greater_equal(pc.cast(times, pa.int64()), 20 * 365 * _MICROSECONDS_PER_DAY)
    filled = sum(1 for value in values if value.strip())
    return 2 * (pc.sum(modern).as_py() or 0) > filled


def plain_integers(ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return which ids are plain integers: digits, no leading zeros, within int64."""
    digits = pc.match_substring_regex(ids, r"^(0|[1-9][0-9]{0,18})$")
    fits = pc.or_(pc.less(pc.utf8_length(ids), 19), pc.less_equal(ids, str(2**63 - 1)))
    return pc.and_(digits, fits)


def _parse_each_rating(values: pa.Array, rules: Rules) -> tuple[pa.Array, pa.Array]:
    text = _stripped(values)
    decimal = pc.replace_substring(text, ",", ".") if rules.delimiter == ";" else text
    is_number = pc.match_substring_regex(decimal, _DECIMAL)
    numbers = pc.cast(pc.if_else(is_number, decimal, None), pa.float64())
    reason = _first_reason(
        [
            (pc.equal(text, ""), pa.scalar("missing_rating")),
            (pc.starts_with(text, "="), pa.scalar("formula_without_value")),
            (
                pc.invert(pc.is_finite(pc.fill_null(numbers, float("nan")))),
                pa.scalar("rating_not_a_number"),
            ),
        ]
    )
    return numbers, reason if reason is not None else pa.nulls(len(text), pa.string())


def _from_text(values: pa.Array) -> pa.Array:
    try:
        whole = pc.cast(values, pa.int64())
        if not pc.any(
            pc.match_substring(values, "x", ignore_case=True)
        ).as_py():  # 0x1f is no epoch
            return _from_epoch(_numbers(whole), pc.is_valid(whole))
    except pa.ArrowInvalid:
        pass
    text = _stripped(values)
    is_number = pc.match_substring_regex(text, _DECIMAL)
    numbers = pc.cast(pc.if_else(is_number, text, None), pa.float64())
    epochs = _from_epoch(_numbers(numbers), is_number)
    if pc.all(pc.or_(is_number, pc.equal(text, ""))).as_py():
        return epochs
    # apart, because pandas gives a time without a zone the zone of the one before it
    zoned = pc.match_substring_regex(text, _ZONED)
    with_zone = _iso_dates(pc.if_else(zoned, text, None))
    without = _iso_dates(pc.if_else(pc.or_(zoned, is_number), None, text))
    return pc.if_else(is_number, epochs, pc.coalesce(with_zone, without))


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


def _from_epoch(values: np.ndarray, valid: pa.Array) -> pa.Array:
    """Scale numbers to microseconds by their size; the ranges of the units do not meet."""
    known = valid.to_numpy(zero_copy_only=False) & (values >= 0) & (values < 9.3e18)
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


def _stripped(values: pa.Array) -> pa.Array:
    """Return text without surrounding blanks; null becomes empty."""
    filled = pc.fill_null(values, "") if values.null_count else values
    return pc.utf8_trim_whitespace(filled)


def _blank(values: pa.Array) -> pa.Array | None:
    blank = pc.equal(values, "")
    return blank if pc.any(blank).as_py() else None


def _first_reason(
    checks: Sequence[tuple[pa.Array | None, pa.Array | pa.Scalar | None]],
) -> pa.Array | None:
    """Return for each row the reason of the first check whose mask is set; None where none is."""
    reason = None
    for mask, why in reversed(checks):
        if mask is not None:
            reason = pc.if_else(
                mask, why, reason if reason is not None else pa.scalar(None, pa.string())
            )
    return reason


def _raw(fields: Fields, rules: Rules, rejected: pa.Array) -> pa.Array:
    """Join the fields of the rejected rows again; null for the others."""
    parts = [fields.user, fields.item, fields.rating, fields.timestamp]
    shown = fields.others or [part for part in parts if part is not None]
    texts = [pc.fill_null(pc.cast(c.filter(rejected), pa.string()), "") for c in shown]
    joined = pc.binary_join_element_wise(*texts, rules.delimiter)
    return pc.replace_with_mask(pa.nulls(len(rejected), pa.string()), rejected, joined)


def _not_blank(fields: Fields, raw: pa.Array) -> pa.Array | None:
    """Return a mask of the rows that are not blank throughout, None where all are kept."""
    parts = fields.others or [fields.user, fields.item, fields.rating]
    missing = pc.equal(_stripped(fields.user), "")
    if not pc.any(missing).as_py():
        return None
    blank = pc.fill_null(missing, fill_value=False)
    for part in parts:
        text = part if pa.types.is_string(part.type) else pc.cast(part, pa.string())
        blank = pc.and_(blank, pc.equal(_stripped(text), ""))
    return pc.invert(blank) if len(raw) else None


def _batch(columns: Sequence[pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), schema=CLEANED)
