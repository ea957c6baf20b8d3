"""What kind of file it is, told by its name, its first bytes and its first records."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import HEADER_NAMES, plain_name
from mfspark.ingest.readers.excel import DAMAGED_ZIP, OLD_BINARY
from mfspark.ingest.readers.files import open_input, size_of
from mfspark.ingest.readers.lines import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

HEAD = 256 << 10  # bytes looked at
SAMPLE_RECORDS = 1000

_TEXT_NAMES = (".csv", ".tsv", ".tab", ".dat", ".txt", ".data", ".item", ".base", ".test", ".psv")
_ZIP, _GZIP, _PARQUET = b"PK\x03\x04", b"\x1f\x8b", b"PAR1"
_DELIMITERS: dict[str, tuple[str, ...]] = {
    "csv": (",", ";"),
    "dat": ("::",),
    "tab": ("\t",),
    "wide_csv": (",", ";", "\t"),
    "auto": ("::", "\t", ";", "|", ","),
}


@dataclass(frozen=True)
class Recognised:
    """A file's kind; for text also its first bytes, unpacked, and whether they are all of it."""

    kind: Literal["text", "excel", "parquet"]
    gzipped: bool = False
    head: bytes = b""
    complete: bool = True


def recognise(path: str, options: IngestOptions) -> Recognised:
    """Tell the kind of a file.

    Raises InputError for an empty file, and for a binary file that is named or configured as
    something else, saying what it looks like.
    """
    with open_input(path) as stream:
        head = stream.read(HEAD)
    if not head:
        raise InputError(f"{path} is empty (0 bytes)", "check the job that exports it")
    name, looks = path.lower(), _looks_like(path, head)
    named_text = name.endswith(_TEXT_NAMES) or options.format in ("csv", "dat", "tab", "wide_csv")
    if looks == "gzip" and (name.endswith(".gz") or not named_text):
        unpacked, complete = _unpacked_head(path, head)
        if not unpacked:
            raise InputError(f"{path} unpacks to nothing", "check the job that exports it")
        _refuse_binary(path, unpacked)
        return Recognised("text", gzipped=True, head=unpacked, complete=complete)
    if looks in ("excel", "parquet") and not named_text:
        if options.format not in ("auto", looks):
            raise _mismatch(path, looks, options.format)
        return Recognised(looks)
    if options.format in ("excel", "parquet"):
        raise _mismatch(path, looks or "text", options.format)
    if looks:
        raise InputError(
            f"{path} is named or configured as text but looks like {_ARTICLE[looks]}",
            _REMEDY[looks],
        )
    _refuse_binary(path, head)
    return Recognised("text", head=head, complete=size_of(path) <= len(head))


def sample_text(
    found: Recognised, options: IngestOptions, path: str
) -> tuple[str, list[list[str]]]:
    """Return the delimiter and up to 1000 records from the first bytes of a text file."""
    head = found.head.removeprefix(BYTE_ORDER_MARK)
    if not found.complete:
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        text = head.decode("iso-8859-1" if options.encoding == "iso-8859-1" else "utf-8")
    except UnicodeDecodeError:
        text = head.decode("iso-8859-1")
    best: tuple[tuple[bool, float, int], str, list[list[str]]] | None = None
    for delimiter in _DELIMITERS.get(options.format, _DELIMITERS["auto"]):
        records = split_records(text, delimiter)
        widths = Counter(len(record) for record in records if any(record))
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        first = next(record for record in records if any(record))
        has_header = sum(plain_name(cell) in HEADER_NAMES for cell in first) > 1
        regular = round(count / widths.total(), 1) if width > 1 or has_header else 0.0
        score = (has_header, regular, width)
        if best is None or score > best[0]:
            best = score, delimiter, records
    if best is None or best[0][:2] == (False, 0.0):
        tried = " ".join(_DELIMITERS.get(options.format, _DELIMITERS["auto"])).replace("\t", "tab")
        raise InputError(
            f"{path} has no rows of several columns (delimiters tried: {tried})",
            "check the file, or ingest.format",
        )
    return best[1], best[2]


def split_records(text: str, delimiter: str) -> list[list[str]]:
    """Split text into at most 1000 records, quotes respected except with '::'."""
    if delimiter == "::":
        return [line.split("::") for line in text.splitlines()[:SAMPLE_RECORDS]]
    records: list[list[str]] = []
    csv.field_size_limit(HEAD)
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            records.append(record)
            if len(records) == SAMPLE_RECORDS:
                break
    except csv.Error:
        return records
    return records


Looks = Literal["", "excel", "zip", "parquet", "gzip"]
_ARTICLE: dict[str, str] = {
    "excel": "an Excel workbook",
    "zip": "a zip archive",
    "parquet": "a Parquet file",
    "gzip": "a gzip file",
    "text": "text",
}
_REMEDY: dict[str, str] = {
    "excel": "rename it to .xlsx (or .xls), or export it as CSV",
    "zip": "unpack it first",
    "parquet": "rename it to .parquet",
    "gzip": "rename it to .csv.gz, or unpack it",
}


def _looks_like(path: str, head: bytes) -> Looks:
    if head.startswith(OLD_BINARY):
        return "excel"
    if head.startswith(_PARQUET):
        return "parquet"
    if head.startswith(_GZIP):
        return "gzip"
    if not head.startswith(_ZIP):
        return ""
    try:
        with open_input(path) as stream, zipfile.ZipFile(stream) as archive:
            return "excel" if "xl/workbook.xml" in archive.namelist() else "zip"
    except DAMAGED_ZIP:
        raise InputError(
            f"{path} is a broken zip archive or Excel workbook", "it may be cut off; copy it again"
        ) from None


def _mismatch(path: str, looks: str, wanted: str) -> InputError:
    remedy = 'set ingest.format = "auto", or name the right file'
    return InputError(f'{path} is {_ARTICLE[looks]}, but ingest.format is "{wanted}"', remedy)


def _refuse_binary(path: str, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is UTF-16 text", "save it again as UTF-8 (in Excel: CSV UTF-8)")
    if b"\0" in head:
        raise InputError(
            f"{path} is a binary file (it has NUL bytes), not a table of text",
            "known formats: CSV, '::' and tab separated text, gzip of these, Excel, Parquet",
        )


def _unpacked_head(path: str, head: bytes) -> tuple[bytes, bool]:
    try:
        with open_input(path) as stream, gzip.GzipFile(fileobj=stream) as unpacked:
            data = unpacked.read(HEAD + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        if len(head) >= HEAD:  # the damage lies further on: the pass over the whole file names it
            return b"", False
        raise InputError(
            f"{path} is a broken gzip file: {error}", "it may be cut off; copy it again"
        ) from None
    return data[:HEAD], len(data) <= HEAD
