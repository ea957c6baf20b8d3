"""What kind of file it is, told by its name, its first bytes and its first records."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import SAMPLE_RECORDS
from mfspark.ingest.readers.excel import EXCEL, ZIP
from mfspark.ingest.readers.files import open_input, size_of
from mfspark.ingest.readers.lines import BYTE_ORDER_MARK
from mfspark.ingest.readers.names import HEADER_NAMES, plain_name
from mfspark.ingest.readers.parquet import PARQUET

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.source import TableFormat

HEAD = 256 << 10  # bytes looked at
FORMATS: tuple[TableFormat, ...] = (EXCEL, PARQUET)
"""The formats that first bytes tell; a file that is none of them is text, gzipped or not."""

_TEXT_NAMES = (".csv", ".tsv", ".tab", ".dat", ".txt", ".data", ".item", ".base", ".test", ".psv")
_GZIP = b"\x1f\x8b"
_PACKED = (
    (_GZIP, "a gzip file", "rename it to .csv.gz, or unpack it"),
    (ZIP, "a zip archive", "unpack it first"),
)
DELIMITERS: dict[str, tuple[str, ...]] = {
    "csv": (",", ";"),
    "dat": ("::",),
    "tab": ("\t",),
    "wide_csv": (",", ";", "\t"),
    "auto": ("::", "\t", ";", "|", ","),
}
"""The delimiters that are tried in text, by `ingest.format`."""


@dataclass(frozen=True)
class Recognised:
    """A file's format; for text its first bytes, unpacked, and whether they are all of it."""

    format: TableFormat | None = None
    """None: it is text."""
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
    name, wanted = path.lower(), options.format
    named_text = name.endswith(_TEXT_NAMES) or (wanted != "auto" and wanted in DELIMITERS)
    looks = next((known for known in FORMATS if known.looks_like(path, head)), None)
    if looks and not named_text:
        if wanted not in ("auto", looks.name):
            raise _mismatch(path, looks.article, wanted)
        return Recognised(looks)
    gzipped = head.startswith(_GZIP)
    if gzipped and (name.endswith(".gz") or not named_text):
        unpacked, complete = _unpacked_head(path, head)
        if not unpacked:
            raise InputError(f"{path} unpacks to nothing", "check the job that exports it")
        _refuse_binary(path, unpacked)
        return Recognised(gzipped=True, head=unpacked, complete=complete)
    packed = (found[1:] for found in _PACKED if head.startswith(found[0]))
    article, remedy = (looks.article, looks.remedy) if looks else next(packed, ("", ""))
    if wanted not in DELIMITERS:
        raise _mismatch(path, article or "text", wanted)
    if article:
        message = f"{path} is named or configured as text but looks like {article}"
        raise InputError(message, remedy)
    _refuse_binary(path, head)
    return Recognised(head=head, complete=size_of(path) <= len(head))


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
    for delimiter in DELIMITERS.get(options.format, DELIMITERS["auto"]):
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
        tried = " ".join(DELIMITERS.get(options.format, DELIMITERS["auto"])).replace("\t", "tab")
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


def _mismatch(path: str, article: str, wanted: str) -> InputError:
    remedy = 'set ingest.format = "auto", or name the right file'
    return InputError(f'{path} is {article}, but ingest.format is "{wanted}"', remedy)


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
