"""What kind of file it is, told by its name, its first bytes and its first records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfspark.errors import InputError
from mfspark.ingest.readers.columns import SAMPLE_RECORDS
from mfspark.ingest.readers.delimiters import BLANKS, is_quoted, separated, separator_of
from mfspark.ingest.readers.encodings import MIXED, chosen_encoding, decoded
from mfspark.ingest.readers.excel import EXCEL
from mfspark.ingest.readers.files import open_input, size_of
from mfspark.ingest.readers.lines import BYTE_ORDER_MARK, bytes_above_ascii
from mfspark.ingest.readers.no_tables import refuse_no_table
from mfspark.ingest.readers.packings import SUFFIXES, packing_of, unpacked, unreadable_packing
from mfspark.ingest.readers.parquet import PARQUET
from mfspark.ingest.readers.quotes import mended_sample, shapes_of
from mfspark.ingest.readers.shapes.names import HEADER_NAMES, plain_name
from mfspark.ingest.readers.source import TableFormat

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

_NEARLY_ALL = 0.9
_SMALL = 1 << 10  # bytes; nothing at all, packed, is no more
HEAD = 256 << 10  # bytes looked at
FORMATS: tuple[TableFormat, ...] = (EXCEL, PARQUET)
"""The formats that first bytes tell; a file that is none of them is text, packed or not."""

_TEXT_NAMES = (".csv", ".tsv", ".tab", ".dat", ".txt", ".data", ".item", ".base", ".test", ".psv")
DELIMITERS: dict[str, tuple[str, ...]] = {
    "csv": (",", ";"),
    "dat": ("::",),
    "tab": ("\t",),
    "wide_csv": (",", ";", "\t"),
    "auto": ("::", "\t", ";", "|", ","),
}
"""The delimiters that are tried in text, by `ingest.format`; blanks where none of them splits."""


@dataclass(frozen=True)
class Recognised:
    """A file's format; for text its first bytes, unpacked, and whether they are all of it."""

    format: TableFormat | None = None
    """None: it is text."""
    packing: str = ""
    """One of `packings.SUFFIXES`; "" where it is not packed."""
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
    packing = packing_of(head)
    if packing and (name.endswith(SUFFIXES[packing]) or not named_text):
        content, complete = _unpacked_head(path, packing, head)
        if not content and complete:
            raise InputError(f"{path} unpacks to nothing", "check the job that exports it")
        _refuse_packed(path, packing, content)
        refuse_no_table(path, content)
        return Recognised(packing=packing, head=content, complete=complete)
    article, remedy = (looks.article, looks.remedy) if looks else _packed(packing, head)
    if wanted not in DELIMITERS:
        raise _mismatch(path, article or "text", wanted)
    if article:
        message = f"{path} is named or configured as text but looks like {article}"
        raise InputError(message if named_text else f"{path} is {article}", remedy)
    refuse_no_table(path, head)
    return Recognised(head=head, complete=size_of(path) <= len(head))


def check_readable(files: Sequence[str], options: IngestOptions) -> None:
    """Look at the first bytes of each file. Raises InputError for one that cannot be read.

    Empty files are passed over if others hold something.
    """
    filled = [path for path in files if not holds_nothing(path)]
    for path in filled or files:
        if not (found := recognise(path, options)).format:
            sample_text(found, options, path)


def sample_text(
    found: Recognised, options: IngestOptions, path: str
) -> tuple[str, list[list[str]]]:
    """Return the delimiter and up to 1000 records from the first bytes of a text file."""
    head = found.head.removeprefix(BYTE_ORDER_MARK)
    if not found.complete:
        head = head[: head.rfind(b"\n") + 1] or head
    text = decoded(head, chosen_encoding(options, bytes_above_ascii(head), MIXED), path)
    tried = DELIMITERS.get(options.format, DELIMITERS["auto"])
    if options.delimiter:
        tried = (BLANKS if options.delimiter == " " else options.delimiter,)
    best = _best(text, tried)
    if best is None and options.format == "auto" and not options.delimiter:
        tried = (*tried, BLANKS)
        best = _by_blanks(text)
    if best is None:
        shown = " ".join(tried).replace("\t", "tab")
        raise InputError(
            f"{path} has no rows of several columns (delimiters tried: {shown})",
            'check the file, or name its delimiter: ingest.delimiter = "|"',
        )
    return best


def _best(text: str, delimiters: Sequence[str]) -> tuple[str, list[list[str]]] | None:
    """Return the delimiter that splits best, and the records; None where none splits."""
    best: tuple[tuple[bool, float, int], str, list[list[str]]] | None = None
    for delimiter in delimiters:
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
    return None if best is None or best[0][:2] == (False, 0.0) else best[1:]


def _by_blanks(text: str) -> tuple[str, list[list[str]]] | None:
    """Split at blanks where nearly all lines then have as many fields, some of them numbers.

    Any prose has blanks.
    """
    records = split_records(text, BLANKS)
    widths = Counter(len(record) for record in records if any(record))
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    body = [record for record in records[1:] if len(record) == width]
    if width < 2 or count < _NEARLY_ALL * widths.total() or not body:
        return None
    return (BLANKS, records) if "N" in shapes_of(zip(*body, strict=True)) else None


def split_records(text: str, delimiter: str) -> list[list[str]]:
    """Split text into a record a line, at most 1000; quotes are respected except with '::'.

    A record of several lines is followed by empty ones for the others of its lines.
    """
    separator = separator_of(delimiter)
    lines = separated(text.encode(), delimiter).splitlines()[:SAMPLE_RECORDS]
    if not is_quoted(delimiter):
        return [line.decode().split(separator) for line in lines]
    return mended_sample(lines, separator)


def _mismatch(path: str, article: str, wanted: str) -> InputError:
    remedy = 'set ingest.format = "auto", or name the right file'
    return InputError(f'{path} is {article}, but ingest.format is "{wanted}"', remedy)


def _packed(packing: str, head: bytes) -> tuple[str, str]:
    """Return what packed file it is and what to do, or two empty texts."""
    if packing:
        article = "zip archive" if packing == "zip" else f"{packing} file"
        rename = f"rename it to .csv{SUFFIXES[packing]}, or unpack it"
        return f"a {article}", "unpack it first" if packing == "zip" else rename
    other = unreadable_packing(head)
    return other, "unpack it first" if other else ""


def _refuse_packed(path: str, packing: str, content: bytes) -> None:
    """Raise InputError where what is packed is packed itself, or no text."""
    article = _packed(packing_of(content), content)[0]
    looks = (known.article for known in FORMATS if not article and known.looks_like(path, content))
    if article := next(looks, article):
        raise InputError(f"{path} is {article} in a {packing} file", "unpack it first")


def _unpacked_head(path: str, packing: str, head: bytes) -> tuple[bytes, bool]:
    """Return the first bytes of what is packed, and whether they are all."""
    try:
        with unpacked(path, packing) as content:
            data = content.read(HEAD + 1)
    except InputError:
        if len(head) < HEAD or packing == "zip":
            raise
        return b"", False  # the damage may lie further on: the pass over the whole file names it
    return data[:HEAD], len(data) <= HEAD


def holds_nothing(path: str) -> bool:
    """Return whether a file is empty, or holds nothing but blank lines, packed or not."""
    if size_of(path) > _SMALL:
        return False
    with open_input(path) as stream:
        content = stream.read()
    if packing := packing_of(content):
        try:
            with unpacked(path, packing) as stream:
                content = stream.read(_SMALL + 1)
        except InputError:
            return False  # `recognise` says what it is
    return len(content) <= _SMALL and not content.removeprefix(BYTE_ORDER_MARK).strip()
