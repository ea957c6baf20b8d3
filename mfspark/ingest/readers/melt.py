"""From the records of a file to its ratings: long tables as they are, wide ones melted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.shapes.long import LongColumns
from mfspark.ingest.readers.shapes.totals import say_totals
from mfspark.ingest.readers.shapes.wide import WideColumns
from mfspark.ingest.readers.validate import (
    TOTALS_ROW,
    Fields,
    Rules,
    clean,
    rejected_records,
)

if TYPE_CHECKING:
    from mfspark.ingest.readers.text import Records


def cleaned(
    records: Records,
    columns: LongColumns | WideColumns,
    rules: Rules,
) -> Iterator[pa.RecordBatch]:
    """Yield the cleaned ratings of some records, and the records that are malformed."""
    if len(records.lines):
        if isinstance(columns, WideColumns):
            records, totals = _without_totals(records, columns, rules.delimiter)
            if totals:
                yield rejected_records(totals, rules.delimiter, TOTALS_ROW)
            wide = replace(rules, blank_item="blank_item_header")
            yield clean(_melted(records, columns), wide)
        else:
            yield clean(_long(records, columns), rules)
    if records.malformed:
        yield rejected_records(records.malformed, rules.delimiter)


def _long(records: Records, columns: LongColumns) -> Fields:
    fields = records.columns
    found = {i: fields[i] for i in columns.used}
    return replace(parts_of(found, columns, pa.array(records.lines)), others=fields)


def parts_of(found: Mapping[int, pa.Array], columns: LongColumns, lines: pa.Array) -> Fields:
    """Return the parts of some rows of a long table, whose columns are given by their position.

    Where there are no ratings each row is a choice, and counts 1; where no column says who, all
    rows are one person's.
    """
    n = len(lines)
    person = pa.scalar(columns.person, pa.string())
    timestamp = found.get(columns.timestamp)
    if timestamp is not None and columns.other_time >= 0:
        other = found[columns.other_time]
        timestamp = pc.if_else(_is_blank(timestamp), other, timestamp)
    return Fields(
        lines=lines,
        user=found[columns.user] if columns.user >= 0 else pa.repeat(person, n),
        item=found[columns.item],
        rating=found[columns.rating] if columns.rating >= 0 else pa.array(np.ones(n)),
        timestamp=timestamp,
    )


def _is_blank(values: pa.Array) -> pa.Array:
    if not pa.types.is_string(values.type):
        return pc.is_null(values)
    return pc.equal(pc.fill_null(pc.utf8_trim_whitespace(values), ""), "")


def _without_totals(
    records: Records, columns: WideColumns, delimiter: str
) -> tuple[Records, list[tuple[int, str]]]:
    """Take out the rows that sum up others, by their place or their label; return them as text."""
    totals = pa.array(np.isin(records.lines, [line for line, _ in columns.totals]))
    if columns.user >= 0:
        totals = pc.or_(totals, _called_totals(records, columns))
    if not pc.any(totals).as_py():
        return records, []
    rows = zip(*(c.filter(totals).to_pylist() for c in records.columns), strict=True)
    lines = records.lines[totals.to_numpy(zero_copy_only=False)].tolist()
    kept = records.filter(pc.invert(totals))
    texts = (delimiter.join(cell or "" for cell in row) for row in rows)
    return kept, list(zip(lines, texts, strict=True))


def _called_totals(records: Records, columns: WideColumns) -> pa.Array:
    """Return which rows are called Total or so: the user, or any other text where that is blank."""
    users = records.columns[columns.user]
    called = say_totals(users)
    blank = pc.equal(pc.fill_null(pc.utf8_trim_whitespace(users), ""), "")
    if not pc.any(blank).as_py():
        return called
    items = {i for i, _ in columns.items}
    for i in range(len(records.columns)):
        if i not in items and i != columns.user:
            called = pc.or_(called, pc.and_(blank, say_totals(records.columns[i])))
    return called


def _melted(records: Records, columns: WideColumns) -> Fields:
    """Give each filled cell of an item column a row of its own; blank cells are not ratings.

    name  Sholay  Dangal          user  item    rating
    Asha  4                  ->   Asha  Sholay  4
    Ravi  5       3               Ravi  Sholay  5
                                  Ravi  Dangal  3
    """
    cells = [pc.utf8_trim_whitespace(records.columns[i]) for i, _ in columns.items]
    blank = _blank_pattern(columns.not_rated)
    filled = [
        np.flatnonzero(~pc.match_substring_regex(c, blank).to_numpy(zero_copy_only=False))
        if columns.not_rated
        else np.flatnonzero(pc.not_equal(c, "").to_numpy(zero_copy_only=False))
        for c in cells
    ]
    row = np.concatenate(filled)
    item = np.repeat(np.arange(len(cells)), [len(f) for f in filled])
    order = np.argsort(row, kind="stable")  # by row, then by column
    rows, items = pa.array(row[order]), pa.array(item[order])
    values = pa.concat_arrays([c.take(pa.array(f)) for c, f in zip(cells, filled, strict=True)])
    positions = pa.array([i for i, _ in columns.items], pa.int32())
    has_time = columns.timestamp >= 0
    users = records.columns[columns.user] if columns.user >= 0 else None
    return Fields(
        lines=pa.array(records.lines).take(rows),
        user=(pc.cast(pa.array(records.lines), pa.string()) if users is None else users).take(rows),
        item=pa.array([title for _, title in columns.items], pa.string()).take(items),
        rating=values.take(pa.array(order)),
        timestamp=records.columns[columns.timestamp].take(rows) if has_time else None,
        cell=positions.take(items),
    )


def _blank_pattern(not_rated: tuple[float, ...]) -> str:
    """Return what matches a blank cell, and the numbers that stand for one: 99, 99.0, 99.00."""
    codes = "|".join(
        re.escape(f"{code:g}") + (r"\.?0*" if code % 1 == 0 else "0*") for code in not_rated
    )
    return rf"^(|\+?({codes}))$"
