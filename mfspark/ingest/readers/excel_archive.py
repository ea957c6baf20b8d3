"""The zip archive of a workbook, read through before it is opened: its size, and hidden cells.

Formulas without a stored result and errors such as #N/A are what calamine shows as blank.
"""

import html
import io
import re
import zipfile
from typing import Any

from mfspark.errors import InputError
from mfspark.ingest.readers.packings import damage_of_zip

MAX_UNPACKED_BYTES = 2 << 30
_READ = 4 << 20
OLD_BINARY = b"\xd0\xcf\x11\xe0"
"""How a workbook begins; an .xls always stores results."""
Cells = dict[tuple[int, int], str]
"""Texts by (row, column), both from 0."""


def bounded_cells(path: str, content: bytes, sheet: int, max_cells: int) -> Cells:
    """Check the archive and the extent of a sheet; return what calamine would show as blank."""
    if content.startswith(OLD_BINARY):
        return {}
    with damage_of_zip(), zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
            raise InputError(f"{path} unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
        part = _sheet_part(archive, sheet)
        hidden: Cells = {}
        for member in archive.infolist():
            with archive.open(member) as stream:  # reading to the end checks the stated size
                if member.filename == part:
                    hidden = _scan_sheet(stream, path, max_cells)
                while stream.read(_READ):
                    pass
        return hidden


def _sheet_part(archive: zipfile.ZipFile, sheet: int) -> str:
    """Return the archive member of the sheet at a position, through the workbook's relations."""
    book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    relations = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
    tag = re.findall(r"<(?:\w+:)?sheet\s[^>]*>", book)[sheet]
    relation = re.search(r'\s(?:\w+:)?id="([^"]+)"', tag)
    for found in re.findall(r"<(?:\w+:)?Relationship\s[^>]*>", relations):
        if relation and f'Id="{relation[1]}"' in found:
            target = html.unescape((re.search(r'Target="([^"]+)"', found) or ["", ""])[1])
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return ""


_REFERENCE = re.compile(rb'\sr="([A-Z]{1,3})([0-9]{1,7})"')
_FORMULA = re.compile(rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>(.*?)</)", re.DOTALL)
_VALUE = re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?(?:/>|>(.*?)</)", re.DOTALL)


def _scan_sheet(stream: Any, path: str, max_cells: int) -> Cells:
    """Read the XML of a sheet once, row by row, in pieces."""
    hidden: Cells = {}
    height, columns, rest = 0, set[bytes](), b""
    while block := stream.read(_READ):
        whole, end, rest = (rest + block).rpartition(b"row>")
        references = _REFERENCE.findall(whole + end)
        if references:
            columns.update({column for column, _ in references})
            height = max(height, max(int(row) for _, row in references))
        width = max(map(_column_number, columns), default=-1) + 1
        if height * width > max_cells:
            raise too_many_cells(path, height, width, max_cells)
        if b't="e"' in whole or _FORMULA.search(whole):
            hidden |= _hidden_cells(whole)
    return hidden


def _hidden_cells(xml: bytes) -> Cells:
    """Find formulas without a stored result, and errors such as #N/A."""
    found: Cells = {}
    for piece in re.split(rb"</(?:\w+:)?c>", xml):
        formula, is_error = _FORMULA.search(piece), b't="e"' in piece
        if not formula and not is_error:
            continue
        opening = max(piece.rfind(b"<c "), piece.rfind(b":c "))
        cell = piece[opening:]
        where, value = _REFERENCE.search(cell), _VALUE.search(cell)
        stored = (value[1] or b"") if value else b""
        if not where or (stored and not is_error) or (b't="str"' in cell and value):
            continue
        text = (
            stored
            if is_error and stored
            else b"=" + ((formula[1] if formula else b"") or b"formula")
        )
        at = int(where[2]) - 1, _column_number(where[1])
        found[at] = html.unescape(text.decode("utf-8", "replace"))
    return found


def _column_number(letters: bytes) -> int:
    """Return 0 for A, 25 for Z, 26 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def too_many_cells(path: str, height: int, width: int, max_cells: int) -> InputError:
    """Say that a sheet spans more cells than are allowed."""
    return InputError(
        f"{path}: the sheet spans {height:,} x {width:,} cells, more than {max_cells:,}",
        "delete stray cells far from the table, save it as CSV, or raise ingest.max_sheet_cells",
    )
