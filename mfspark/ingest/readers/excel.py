"""Excel sheets as records of text, through calamine, with the checks it does not make itself.

Before a workbook is opened its zip archive is read through once within a size limit, and the
cells of the sheet are bounded: one stray cell in the last corner would otherwise ask for terabytes.
What calamine would show as blank is found in the same pass (`excel_archive`).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import SAMPLE_RECORDS, FileColumns, file_columns
from mfspark.ingest.readers.excel_archive import (
    OLD_BINARY,
    Cells,
    bounded_cells,
    too_many_cells,
)
from mfspark.ingest.readers.files import open_input, size_of
from mfspark.ingest.readers.melt import cleaned
from mfspark.ingest.readers.packings import DAMAGED_ZIP, damage_of_zip, packing_of
from mfspark.ingest.readers.source import Split, TableFormat, TextTable, text_columns
from mfspark.ingest.readers.text import Records
from mfspark.ingest.readers.times import times_in_words
from mfspark.ingest.readers.validate import Rules, rules_of

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.shapes.long import LongColumns
    from mfspark.ingest.readers.shapes.wide import WideColumns

MAX_FILE_BYTES = 256 << 20
_CELLS_A_BATCH = 500_000


@dataclass(frozen=True)
class SheetSource:
    """An Excel sheet and its columns; always read as one."""

    path: str
    sheet: str
    max_cells: int
    columns: FileColumns
    header_line: int
    rules: Rules

    @property
    def reading(self) -> LongColumns | WideColumns:
        """Which column plays which part."""
        return self.columns.columns

    def read(self, _split: Split) -> Iterator[pa.RecordBatch]:
        """Yield the cleaned rows of the sheet, those below the header."""
        for records in read_sheet(self.path, self.sheet, self.max_cells, self.columns.n_columns):
            below = records.below(self.header_line)
            yield from cleaned(below, self.columns.columns, self.rules)


def read_sheet(path: str, sheet: str, max_cells: int, n_columns: int = 0) -> Iterator[Records]:
    """Yield the rows of a sheet as text, blank rows left out; "" is the first that is not hidden.

    Whole numbers lose their ".0", dates become ISO 8601, a formula without a result keeps its text.
    All rows have `n_columns` fields where it is given (more raise no error: they are blank).
    Raises InputError for a broken workbook, an unknown sheet, or one larger than the limits.
    """
    content = _content(path)
    with _workbook(path, content) as book:
        name = _sheet_name(path, book, sheet)
        hidden = bounded_cells(path, content, book.sheet_names.index(name), max_cells)
        rows = book.get_sheet_by_name(name)
        last_row, last_column = rows.end or (-1, -1)
        if (last_row + 1) * (last_column + 1) > max_cells:
            raise too_many_cells(path, last_row + 1, last_column + 1, max_cells)
        last_hidden = max((column for _, column in hidden), default=-1)
        width = n_columns or max(last_column, last_hidden) + 1
        yield from _batches(_texts(rows, hidden, width), width)


def _content(path: str) -> bytes:
    if size_of(path) > MAX_FILE_BYTES:
        raise InputError(
            f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB", "save the sheet as CSV instead"
        )
    with open_input(path) as stream:
        return stream.read()


@contextmanager
def _workbook(path: str, content: bytes) -> Generator[CalamineWorkbook]:
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            yield book
    except (CalamineError, OSError, *DAMAGED_ZIP) as error:
        raise InputError(
            f"{path} is not a readable Excel workbook: {error}",
            "open it and save it again as .xlsx",
        ) from None


def _sheet_name(path: str, book: CalamineWorkbook, wanted: str) -> str:
    if not book.sheet_names:
        raise InputError(f"{path} holds no sheet")
    if wanted and wanted not in book.sheet_names:
        raise InputError(
            f'{path} has no sheet "{wanted}" (found: {", ".join(book.sheet_names)})',
            "correct ingest.sheet",
        )
    return wanted or next(iter(_visible(book)), book.sheet_names[0])


def _visible(book: CalamineWorkbook) -> list[str]:
    """Return the sheets of cells that are not hidden; charts are sheets, too."""
    return [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.visible == SheetVisibleEnum.Visible and sheet.typ == SheetTypeEnum.WorkSheet
    ]


def _which_sheet(path: str, wanted: str) -> tuple[str, str]:
    """Say which of several sheets is read and which are not, and how another one is named."""
    with _workbook(path, _content(path)) as book:
        name, visible = _sheet_name(path, book, wanted), _visible(book)
        rest = [
            f"'{sheet}'" + ("" if sheet in visible else " (hidden)")
            for sheet in book.sheet_names
            if sheet != name
        ]
    if not rest:
        return "", ""
    others = ", ".join(rest)
    return (
        f" sheet '{name}', sheets left out: {others}",
        f"sheet '{name}' was looked at; for another, --set ingest.sheet=\"NAME\" ({others})",
    )


def _texts(rows: Any, hidden: Cells, width: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cell texts) of the rows that are not blank."""
    by_row: dict[int, dict[int, str]] = {}
    for (row, column), text in hidden.items():
        by_row.setdefault(row, {})[column] = text
    left = [""] * (rows.start or (0, 0))[
        1
    ]  # calamine gives all rows, but columns from the first used
    last = max(by_row, default=-1)
    seen = rows.iter_rows() if rows.end else ()
    for number, cells in enumerate(chain(seen, repeat([]))):
        if number > last and not cells:
            return
        texts = left + [cell if isinstance(cell, str) else _text(cell) for cell in cells]
        texts += [""] * (width - len(texts))
        for column, text in by_row.get(number, {}).items():
            texts[column : column + 1] = [texts[column] or text]
        if any(texts):
            yield number + 1, texts[:width]


def _batches(rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[Records]:
    size = max(1, _CELLS_A_BATCH // max(1, width))
    lines: list[int] = []
    texts: list[list[str]] = []
    for line, row in rows:
        lines.append(line)
        texts.append(row)
        if len(lines) == size:
            yield _records(lines, texts)
            lines, texts = [], []
    if lines:
        yield _records(lines, texts)


def _records(lines: list[int], texts: list[list[str]]) -> Records:
    columns = [pa.array(column, pa.string()) for column in zip(*texts, strict=True)]
    return Records(np.array(lines, np.int64), columns)


def _text(cell: float | bool | date | time | timedelta) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, datetime | date | time) else str(cell)


def _source(path: str, options: IngestOptions) -> tuple[SheetSource, str]:
    sample: list[list[str]] = []
    lines: list[int] = []
    for records in read_sheet(path, options.sheet, options.max_sheet_cells):
        sample += [list(row) for row in zip(*(c.to_pylist() for c in records.columns), strict=True)]
        lines += records.lines.tolist()
        if len(sample) >= SAMPLE_RECORDS:
            break
    sheet, remedy = _which_sheet(path, options.sheet)
    try:
        columns = file_columns(sample[:SAMPLE_RECORDS], options, path, lines)
    except InputError as error:
        hint = f"{error.hint}; {remedy}" if remedy else error.hint
        raise InputError(error.message, hint) from None
    header_line = lines[columns.skip - 1] if columns.skip else 0
    limits = options.sheet, options.max_sheet_cells
    cells = list(zip(*sample[columns.skip : SAMPLE_RECORDS], strict=True))
    rules = rules_of(options, ",", columns.columns, cells)
    source = SheetSource(path, *limits, columns, header_line, rules)
    return source, f"excel{sheet}, {columns.description}{times_in_words(rules.times)}"


def _table(path: str, options: IngestOptions) -> TextTable:
    records = [part.columns for part in read_sheet(path, "", options.max_sheet_cells)]
    if not records:
        raise InputError(f"{path} holds no rows", "check how it was exported")
    columns = text_columns(records, len(records[0]))
    return TextTable([str(c[0]).strip() for c in columns], [c.slice(1) for c in columns])


def _looks_like(path: str, head: bytes) -> bool:
    if packing_of(head) != "zip":
        return head.startswith(OLD_BINARY)
    try:
        with open_input(path) as stream, damage_of_zip(), zipfile.ZipFile(stream) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except DAMAGED_ZIP:
        raise InputError(
            f"{path} is a broken zip archive or Excel workbook", "it may be cut off; copy it again"
        ) from None


EXCEL = TableFormat(
    "excel",
    "an Excel workbook",
    "rename it to .xlsx (or .xls), or export it as CSV",
    _looks_like,
    _source,
    lambda _path, _bytes: [(0, 0, 1)],
    _table,
)
