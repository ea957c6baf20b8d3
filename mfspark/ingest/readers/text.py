"""Text files as records: CSV parsing by pyarrow, with line numbers and with nothing lost."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from itertools import chain, takewhile
from typing import IO, TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from mfspark.errors import InputError
from mfspark.ingest.readers.lines import line_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK = 16 << 20  # bytes parsed at a time; the longest quoted record
_LINE_END = re.compile(r"\r\n|\r|\n")
UNIT_SEPARATOR = "\x1f"  # stands for "::" while parsing: csv parsers take one character


@dataclass(frozen=True)
class TextFile:
    """How the bytes of one text file become records of `n_columns` fields."""

    path: str
    delimiter: str
    n_columns: int
    skip: int = 0
    """Records before the first rating: blank lines and the header."""
    gzipped: bool = False
    encoding: str = "utf-8"
    multiline: bool = False
    """Whether quoted fields may hold line ends; such a file is read as one range."""

    @property
    def quoted(self) -> bool:
        """Whether double quotes enclose fields; in '::' files they are ordinary characters."""
        return self.delimiter != "::"


@dataclass
class Records:
    """Some records of a file as string columns, and what could not be split into fields."""

    lines: np.ndarray
    """int64 (n,): the line in the file on which each record begins, from 1."""
    columns: list[pa.Array]
    """String arrays (n,), one a field."""
    malformed: list[tuple[int, str]] = field(default_factory=list)
    """Line and text of the records with too few or too many fields."""

    def filter(self, mask: pa.Array) -> Records:
        """Return the records that a mask keeps, and all malformed ones."""
        kept = mask.to_numpy(zero_copy_only=False)
        return Records(self.lines[kept], [c.filter(mask) for c in self.columns], self.malformed)

    def below(self, line: int) -> Records:
        """Return the records that begin below a line."""
        first = int(np.searchsorted(self.lines, line, side="right"))
        return Records(self.lines[first:], [c.slice(first) for c in self.columns], self.malformed)


def read_records(
    file: TextFile, start: int, end: int, first_line: int, used: Sequence[int] = ()
) -> Iterator[Records]:
    """Parse the lines of a range; `first_line` is the number of the first one in the file.

    In a file with quoted line ends, a record that spans lines and is malformed, or has a line end
    in a `used` column, is read again line by line: a stray quote costs its own line, not all the
    lines up to the next quote.
    """
    skip = file.skip if start == 0 else 0
    stream = cast("IO[bytes]", _Transcoded(file, start, end))
    again: list[int] = []
    try:
        for records in _parse(stream, file, first_line, skip, file.multiline):
            yield _without_torn(records, used, again) if file.multiline else records
        if again:
            yield from _line_by_line(file, start, end, first_line, np.array(again))
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error) and "out of sync" not in str(error):
            raise
        raise InputError(
            f"{file.path}: a quoted field is longer than {BLOCK >> 20} MiB",
            "a double quote is probably never closed; mend the file",
        ) from None


def _parse(
    stream: IO[bytes], file: TextFile, first_line: int, skip: int, multiline: bool
) -> Iterator[Records]:
    bad: list[tuple[int, str]] = []  # record number from 1, and text
    reader = _reader(stream, file, multiline, bad)
    record, line = 1, first_line
    none = pa.RecordBatch.from_arrays([pa.array([], pa.string())] * file.n_columns, _names(file))
    for batch in chain(_batches(reader), [none]):  # the last one takes the malformed records left
        here = _up_to_batch_end(bad, record, batch.num_rows)
        del bad[: len(here)]
        numbers = _numbers_between(record, batch.num_rows, [n for n, _ in here])
        begins = _physical_lines(numbers, batch, here, record, line, multiline)
        lines, columns = begins[numbers - record], batch.columns
        texts = [(int(begins[n - record]), text) for n, text in here if n > skip]  # no titles
        malformed = [(at, text.replace(UNIT_SEPARATOR, "::")) for at, text in texts]
        if record <= skip:
            below = pa.array(numbers > skip)
            lines, columns = lines[numbers > skip], [c.filter(below) for c in columns]
        record += batch.num_rows + len(here)
        line = int(begins[-1])
        yield Records(lines, columns, malformed)


def _reader(
    stream: IO[bytes], file: TextFile, multiline: bool, bad: list[tuple[int, str]]
) -> pacsv.CSVStreamingReader | None:
    """Open a parser that appends malformed records to `bad`; None where there is nothing."""

    def keep(row: pacsv.InvalidRow) -> str:
        bad.append((int(row.number), row.text))
        return "skip"

    names = _names(file)
    delimiter = UNIT_SEPARATOR if file.delimiter == "::" else file.delimiter
    try:
        return pacsv.open_csv(
            pa.PythonFile(stream, mode="r"),
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            pacsv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if file.quoted else False,
                newlines_in_values=multiline,
                ignore_empty_lines=False,  # they count as lines
                invalid_row_handler=keep,
            ),
            pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return None
        raise


def _names(file: TextFile) -> list[str]:
    return [f"f{i}" for i in range(file.n_columns)]


def _batches(reader: pacsv.CSVStreamingReader | None) -> Iterator[pa.RecordBatch]:
    while reader is not None:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            return


def _up_to_batch_end(bad: list[tuple[int, str]], record: int, n_rows: int) -> list[tuple[int, str]]:
    """Keep the malformed records among, or right behind, n_rows good ones from `record` on."""
    kept = takewhile(lambda pair: pair[1][0] <= record + n_rows + pair[0], enumerate(bad))
    return [row for _, row in kept]


def _numbers_between(first: int, n_rows: int, taken: Sequence[int]) -> np.ndarray:
    """Number n_rows records upwards from `first`, leaving out the numbers already taken."""
    numbers = np.arange(first, first + n_rows + len(taken), dtype=np.int64)
    return np.delete(numbers, np.asarray(taken, dtype=np.int64) - first) if taken else numbers


def _physical_lines(
    numbers: np.ndarray,
    batch: pa.RecordBatch,
    bad: list[tuple[int, str]],
    record: int,
    line: int,
    multiline: bool,
) -> np.ndarray:
    """Return the line on which each record from number `record` on begins, and the next one's.

    A record takes one line, and one more for each line end inside it.
    """
    height = np.ones(len(numbers) + len(bad), dtype=np.int64)
    if multiline:
        for column in batch.columns:
            height[numbers - record] += _line_ends(column)
        for number, text in bad:
            height[number - record] += len(_LINE_END.findall(text))
    return line + np.concatenate([[0], np.cumsum(height)])


def _without_torn(records: Records, used: Sequence[int], again: list[int]) -> Records:
    """Take out the records that a stray quote made too long; add their lines to `again`."""
    torn = np.zeros(len(records.lines), dtype=bool)
    for i in used:
        torn |= _line_ends(records.columns[i]) > 0
    malformed: list[tuple[int, str]] = []
    for line, text in records.malformed:
        if ends := len(_LINE_END.findall(text)):
            again += range(line, line + ends + 1)
        else:
            malformed.append((line, text))
    if not torn.any():
        return Records(records.lines, records.columns, malformed)
    rows = [column.filter(pa.array(torn)) for column in records.columns]
    heights = np.sum([_line_ends(column) for column in rows], axis=0)
    for line, more in zip(records.lines[torn].tolist(), heights.tolist(), strict=True):
        again += range(line, line + more + 1)
    kept = pa.array(~torn)
    return Records(records.lines[~torn], [c.filter(kept) for c in records.columns], malformed)


def _line_by_line(
    file: TextFile, start: int, end: int, first_line: int, wanted: np.ndarray
) -> Iterator[Records]:
    """Read some lines again, each as a record of its own."""
    line = first_line
    for chunk in line_chunks(file.path, start, end, file.gzipped):
        texts = transcoded(file, chunk).splitlines()
        here = wanted[(wanted >= line) & (wanted < line + len(texts))]
        even = [n for n in here.tolist() if texts[n - line].count(b'"') % 2 == 0]
        odd = [[n] for n in here.tolist() if texts[n - line].count(b'"') % 2]
        for numbers in [even, *odd]:  # an odd quote would run into the lines after it
            block = io.BytesIO(b"\n".join(texts[n - line] for n in numbers))
            for records in _parse(block, file, 1, 0, multiline=False):
                place = np.array([0, *numbers])
                malformed = [(int(place[n]), text) for n, text in records.malformed]
                yield Records(place[records.lines], records.columns, malformed)
        line += len(texts)


def _line_ends(values: pa.Array) -> np.ndarray:
    """Count the line ends inside each text."""
    return pc.count_substring_regex(values, _LINE_END.pattern).to_numpy(zero_copy_only=False)


def transcoded(file: TextFile, chunk: bytes) -> bytes:
    """Return whole lines as UTF-8, with '::' replaced by one character."""
    if file.encoding != "utf-8" and not chunk.isascii():
        chunk = chunk.decode(file.encoding).encode()
    return chunk if file.quoted else chunk.replace(b"::", UNIT_SEPARATOR.encode())


class _Transcoded(io.RawIOBase):
    """The lines of a range as UTF-8, with '::' replaced by one character, as a stream."""

    def __init__(self, file: TextFile, start: int, end: int) -> None:
        self._file = file
        self._chunks = line_chunks(file.path, start, end, file.gzipped)
        self._buffer = memoryview(b"")

    def readable(self) -> bool:
        """Return that bytes can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end."""
        if not self._buffer:
            self._buffer = memoryview(transcoded(self._file, next(self._chunks, b"")))
        size = len(self._buffer) if size < 0 else size
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return bytes(taken)
