"""From the records of a file to its ratings: long tables as they are, wide ones melted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.columns import LongColumns, WideColumns
from mfspark.ingest.readers.validate import Fields, clean, rejected_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mfspark.ingest.readers.text import Records
    from mfspark.ingest.readers.validate import Rules


def cleaned(
    records: Records,
    columns: LongColumns | WideColumns,
    rules: Rules,
) -> Iterator[pa.RecordBatch]:
    """Yield the cleaned ratings of some records, and the records that are malformed."""
    if len(records.lines):
        if isinstance(columns, WideColumns):
            wide = replace(rules, blank_item="blank_item_header")
            yield clean(_melted(records, columns), wide)
        else:
            yield clean(_long(records, columns), rules)
    if records.malformed:
        yield rejected_records(records.malformed, rules.delimiter)


def _long(records: Records, columns: LongColumns) -> Fields:
    fields = records.columns
    return Fields(
        lines=pa.array(records.lines),
        user=fields[columns.user],
        item=fields[columns.item],
        rating=fields[columns.rating],
        timestamp=fields[columns.timestamp] if columns.timestamp >= 0 else None,
        others=fields,
    )


def _melted(records: Records, columns: WideColumns) -> Fields:
    """Give each filled cell of an item column a row of its own; blank cells are not ratings.

    name  Sholay  Dangal          user  item    rating
    Asha  4                  ->   Asha  Sholay  4
    Ravi  5       3               Ravi  Sholay  5
                                  Ravi  Dangal  3
    """
    cells = [pc.utf8_trim_whitespace(records.columns[i]) for i, _ in columns.items]
    filled = [np.flatnonzero(pc.not_equal(c, "").to_numpy(zero_copy_only=False)) for c in cells]
    row = np.concatenate(filled)
    item = np.repeat(np.arange(len(cells)), [len(f) for f in filled])
    order = np.argsort(row, kind="stable")  # by row, then by column
    rows, items = pa.array(row[order]), pa.array(item[order])
    values = pa.concat_arrays([c.take(pa.array(f)) for c, f in zip(cells, filled, strict=True)])
    positions = pa.array([i for i, _ in columns.items], pa.int32())
    has_time = columns.timestamp >= 0
    return Fields(
        lines=pa.array(records.lines).take(rows),
        user=records.columns[columns.user].take(rows),
        item=pa.array([title for _, title in columns.items], pa.string()).take(items),
        rating=values.take(pa.array(order)),
        timestamp=records.columns[columns.timestamp].take(rows) if has_time else None,
        cell=positions.take(items),
    )
