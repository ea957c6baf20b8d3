"""Validation of ratings over whole Arrow columns; no Spark.

Each check first tries the whole column at once, which is all that happens in a clean file. Only
where that fails are the bad values looked for. A row has one reason, the first of: missing user,
missing item, the rating, the timestamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.id_text import bytes_of, clean_ids, mostly_numbers, stripped
from mfspark.ingest.readers.times import DECIMAL, TimeForm, form_of, parse_timestamps
from mfspark.schemas import TIMESTAMP

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.shapes.long import LongColumns
    from mfspark.ingest.readers.shapes.wide import WideColumns

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

_DECIMAL_COMMA = r"^([+-]?\d+),(\d{1,2})$"
NOT_RATED = "not_rated"
"""The reason of a row whose rating is one of `ingest.missing_ratings`."""

TOTALS_ROW = "totals_row"
"""The reason of a row of a wide sheet that sums up others."""


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
    """Joins the fields of `raw`; 3,5 is 3.5 where it is no comma."""
    blank_item: str = "missing_item"
    """The reason for a row without an item."""
    times: TimeForm = "epoch"
    """What numbers in the column of times are."""
    missing: tuple[float, ...] = ()
    """Numbers that stand for "not rated"."""
    number_ids: tuple[bool, bool] = (False, False)
    """Whether nearly all ids of users, and of items, are numbers."""


def rules_of(
    options: IngestOptions,
    delimiter: str,
    columns: LongColumns | WideColumns,
    sample: Sequence[Sequence[str]],
) -> Rules:
    """Return the rules of a file; `sample` are the texts of its columns."""
    user, item, timestamp = columns.user, getattr(columns, "item", -1), columns.timestamp
    times = form_of(sample[timestamp]) if 0 <= timestamp < len(sample) else "epoch"
    ids = [0 <= i < len(sample) and mostly_numbers(sample[i]) for i in (user, item)]
    missing = options.missing_ratings or columns.not_rated
    return Rules(
        options.rating_scale, delimiter, times=times, missing=missing, number_ids=(ids[0], ids[1])
    )


def clean(fields: Fields, rules: Rules) -> pa.RecordBatch:
    """Check all rows and give them the columns of CLEANED.

    Rows whose fields are all blank are dropped: a blank line is no row.
    """
    (user, lost_user), (item, lost_item) = (
        clean_ids(ids, numbers=are_numbers, comma=rules.delimiter == ";")
        for ids, are_numbers in zip((fields.user, fields.item), rules.number_ids, strict=True)
    )
    rating, bad_rating = parse_ratings(fields.rating, rules)
    n = len(user)
    rated_at, bad_time = pa.nulls(n, TIMESTAMP), None
    if fields.timestamp is not None:
        rated_at, bad_time = parse_timestamps(fields.timestamp, rules.times)
    reason = _first_reason(
        [
            (_with_nul(user), pa.scalar("malformed_line")),
            (_with_nul(item), pa.scalar("malformed_line")),
            (_blank(user), pa.scalar("missing_user")),
            (lost_user, pa.scalar("inexact_id")),
            (_blank(item), pa.scalar(rules.blank_item)),
            (lost_item, pa.scalar("inexact_id")),
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
    if rules.missing:
        unrated = pc.is_in(numbers, pa.array(rules.missing, pa.float64()))
        if pc.any(unrated).as_py():
            known = None if reason is None else pc.is_valid(reason)
            reason = _first_reason([(unrated, pa.scalar(NOT_RATED)), (known, reason)])
    return numbers, reason


def _parse_each_rating(values: pa.Array, rules: Rules) -> tuple[pa.Array, pa.Array]:
    text = stripped(values)
    decimal = _with_points(text, rules.delimiter)
    is_number = pc.match_substring_regex(decimal, DECIMAL)
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


def _with_points(text: pa.Array, delimiter: str) -> pa.Array:
    """Return numbers with decimal points, where a comma separates no fields.

    With a semicolon as delimiter it is always one, otherwise if one or two digits follow it.
    """
    if delimiter == ";":
        return pc.replace_substring(text, ",", ".")
    if delimiter == ",":
        return text
    return pc.replace_substring_regex(text, _DECIMAL_COMMA, r"\1.\2")


def _blank(values: pa.Array) -> pa.Array | None:
    blank = pc.equal(values, "")
    return blank if pc.any(blank).as_py() else None


def _with_nul(ids: pa.Array) -> pa.Array | None:
    """Return which ids have a NUL character, as damaged files have; None where none has."""
    content = bytes_of(ids)
    return pc.match_substring(ids, "\0") if len(content) and content.min() == 0 else None


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
    missing = pc.equal(stripped(fields.user), "")
    if not pc.any(missing).as_py():
        return None
    blank = pc.fill_null(missing, fill_value=False)
    for part in parts:
        text = part if pa.types.is_string(part.type) else pc.cast(part, pa.string())
        blank = pc.and_(blank, pc.equal(stripped(text), ""))
    return pc.invert(blank) if len(raw) else None


def _batch(columns: Sequence[pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), schema=CLEANED)
