"""Reads files of what is known of items or users beside the ratings; on the driver, as text.

CSV and the like with or without a header, `::`, Excel, Parquet. What the columns mean is the
business of `ingest.side_tables.items` and `ingest.side_tables.users`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import InputError
from mfspark.ingest.readers.detect import recognise, sample_text
from mfspark.ingest.readers.files import size_of
from mfspark.ingest.readers.id_text import clean_ids, without_point_zero
from mfspark.ingest.readers.lines import examine
from mfspark.ingest.readers.plan import examined
from mfspark.ingest.readers.quotes import LINE_END, shapes_of
from mfspark.ingest.readers.shapes.cells import is_number
from mfspark.ingest.readers.shapes.names import plain_name
from mfspark.ingest.readers.source import TextTable, text_columns
from mfspark.ingest.readers.text import TextFile, read_records

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

_TITLES = 20  # rows at the top that may be titles


@dataclass(frozen=True)
class SideTable:
    """What side files hold: a row an id, which is the first column, and what was left out."""

    table: pa.Table
    n_duplicates: int = 0
    """Rows whose id had come before; the first one counts."""
    n_skipped: int = 0
    """Rows without an id, or that could not be split into fields."""

    def keep(self, mask: pa.ChunkedArray) -> SideTable:
        """Keep the rows of a mask and count the others as skipped."""
        kept = self.table.filter(mask)
        if not len(kept):  # Spark cannot read a table without any chunk
            kept = kept.schema.empty_table()
        return replace(self, table=kept, n_skipped=self.n_skipped + len(self.table) - len(kept))


def read_side_files(
    files: Sequence[str],
    options: IngestOptions,
    header_names: Set[str],
    schema: pa.Schema,
    parse: Callable[[str, TextTable], pa.Table],
) -> SideTable:
    """Read files, have `parse(path, columns)` turn each into a table of a schema, and join them.

    `header_names` are plain names that only a header has. Of several rows with one id the first
    counts. Raises InputError for files that cannot be read.
    """
    anything = beside_ratings(options)
    contents = [_read(path, anything, header_names) for path in files]
    parsed = [parse(path, content) for path, content in zip(files, contents, strict=True)]
    table = pa.concat_tables([schema.empty_table(), *parsed])
    name = schema.names[0]
    table = table.set_column(0, name, _ids(table[name]))
    with_id = table.filter(pc.not_equal(table[name], ""))
    position = pa.array(np.arange(len(with_id)))
    first = (
        with_id.append_column("position", position)
        .group_by(name)
        .aggregate([("position", "min")])["position_min"]
    )
    kept = with_id.take(pa.array(np.sort(first.to_numpy())))
    n_malformed = sum(content.n_malformed for content in contents)
    n_skipped = len(table) - len(with_id) + n_malformed
    return SideTable(kept.combine_chunks(), len(with_id) - len(kept), n_skipped)


def beside_ratings(options: IngestOptions) -> IngestOptions:
    """Return the options for files beside the ratings: what is said of those says nothing here."""
    encoding = "auto" if options.encoding == "utf-8" else options.encoding
    update = {"format": "auto", "header": None, "encoding": encoding, "delimiter": ""}
    return options.model_copy(update=update)


def trimmed(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Return text without blanks at its ends; "" for null."""
    return pc.fill_null(pc.utf8_trim_whitespace(values), "")


def known_column(names: Sequence[str], tiers: Sequence[Set[str]], path: str) -> int:
    """Return the position of the column with the best name; -1 where none is known.

    `tiers` are plain names, the most specific first. Raises InputError where two have the same.
    """
    plain = [plain_name(name) for name in names]
    for tier in tiers:
        if found := [i for i, name in enumerate(plain) if name in tier]:
            if plain.count(plain[found[0]]) > 1:
                which = " and ".join(f"column {i + 1} '{names[i]}'" for i in found)
                raise InputError(
                    f"{path}: {which} could both be meant", "rename or remove one of them"
                )
            return found[0]
    return -1


def _ids(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as those of ratings are; "" where nobody knows them."""
    text, lost = clean_ids(values.combine_chunks())
    text = text if lost is None else pc.if_else(lost, "", text)
    return pa.chunked_array([without_point_zero(text)], pa.string())


def _read(path: str, options: IngestOptions, header_names: Set[str]) -> TextTable:
    found = recognise(path, options)
    if found.format:
        return _with_header_below_titles(found.format.table(path, options), header_names)
    delimiter, sample = sample_text(found, options, path)
    records = [[cell.strip() for cell in record] for record in sample]
    at = _header_at(records, header_names)
    header = [name.replace(LINE_END, " ") for name in records[at]] if at is not None else []
    width = (
        len(header)
        or Counter(len(record) for record in records if any(record)).most_common(1)[0][0]
    )
    skip = at + 1 if at is not None else next((n for n, r in enumerate(records) if any(r)), 0)
    body = [record for record in sample[skip:] if len(record) == width]
    shapes = shapes_of(zip(*body, strict=True)) if body else ""
    file = TextFile(path, delimiter, width, skip, found.packing, shapes=shapes)
    facts = examine(path, 0, size_of(path), found.packing, delimiter)
    file = examined(file, [facts], options)
    parts = list(read_records(file, 0, size_of(path), 1, (), facts.lines))
    columns = text_columns([part.columns for part in parts], width)
    n_malformed = sum(1 for part in parts for _, text in part.malformed if text.strip())
    kept = pc.not_equal(columns[0], "")
    for column in columns[1:]:
        kept = pc.or_(kept, pc.not_equal(column, ""))
    return TextTable(header, [c.filter(kept) for c in columns], n_malformed)


def _header_at(records: Sequence[Sequence[str]], header_names: Set[str]) -> int | None:
    """Return which record names the columns, below lines that are blank or titles; None: none does.

    Names that nobody knows are a header where ids are numbers and what stands above them is none.
    """
    filled = [n for n, record in enumerate(records) if any(record)]
    for n in filled[:_TITLES]:
        if any(plain_name(cell) in header_names for cell in records[n]):
            return n
        if sum(map(bool, records[n])) > max(1, len(records[n]) // 2):
            break
    if len(filled) > 1 and not is_number(records[filled[0]][0]):
        ids = [records[n][0] for n in filled[1:]]
        return filled[0] if all(map(is_number, ids)) else None
    return None


def _with_header_below_titles(table: TextTable, header_names: Set[str]) -> TextTable:
    """Take the header of a sheet from below its titles, where its first row is one of them."""
    columns = [c for c in table.columns if pa.types.is_string(c.type)]
    if len(columns) < len(table.columns):
        return table
    top = [[(cell or "").strip() for cell in c.slice(0, _TITLES).to_pylist()] for c in columns]
    at = _header_at([table.names, *(list(row) for row in zip(*top, strict=True))], header_names)
    if not at:
        return table
    return TextTable([column[at - 1] for column in top], [c.slice(at) for c in columns])
