"""Text files as records: CSV parsing by pyarrow, with line numbers and with nothing lost."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from mfspark.errors import InputError
from mfspark.ingest.readers.delimiters import as_written, is_quoted, separated, separator_of
from mfspark.ingest.readers.encodings import decoded
from mfspark.ingest.readers.lines import line_chunks
from mfspark.ingest.readers.quotes import LINE_END, Mender

BLOCK = 16 << 20  # bytes parsed at a time; the longest line


@dataclass(frozen=True)
class TextFile:
    """How the bytes of one text file become records of `n_columns` fields."""

    path: str
    delimiter: str
    n_columns: int
    skip: int = 0
    """Lines before the first rating: blank lines and the header."""
    packing: str = ""
    """One of `packings.SUFFIXES`; "" where it is not packed."""
    encoding: str = "utf-8"
    odd_quotes: bool = False
    """Whether some lines have quotes that are not plainly in order."""
    multiline: bool = False
    """Whether quoted fields may hold line ends; such a file is read as one range."""
    lone_returns: bool = False
    """Whether some carriage returns have no line feed."""
    shapes: str = ""
    """What its columns mostly hold, by `quotes.shapes_of`."""

    @property
    def quoted(self) -> bool:
        """Whether double quotes enclose fields."""
        return is_quoted(self.delimiter)


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
    file: TextFile,
    start: int,
    end: int,
    first_line: int,
    used: Sequence[int] = (),
    n_lines: int | None = None,
) -> Iterator[Records]:
    """Parse the lines of a range; `first_line` is the number of the first one in the file.

    A record with a line end in a `used` column is malformed. Raises InputError where not every line
    became a record, rejected or not: `n_lines` of them were counted before.
    """
    lines = _Lines(file, start, end, first_line, used)
    skip = first_line + file.skip if start == 0 else 0  # the first line that counts
    n_read = 0
    try:
        for records in _parse(cast("IO[bytes]", lines), file, first_line):
            n_read += len(records.lines) + len(records.malformed)
            yield _settled(records, lines.mender, file.delimiter, skip)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error) and "out of sync" not in str(error):
            raise
        raise InputError(
            f"{file.path}: a line is longer than {BLOCK >> 20} MiB",
            "it is probably not a text table",
        ) from None
    if n_read != n_lines and n_lines is not None:
        raise InputError(
            f"{file.path}: of {n_lines:,} lines {n_read:,} were read",
            "the file is probably still being written; if it is not, please report this",
        )


def _settled(records: Records, mender: Mender | None, delimiter: str, first_line: int) -> Records:
    """Leave out the lines above the first that counts, and put in what the mender took out."""
    keep = records.lines >= first_line
    columns, malformed = records.columns, records.malformed
    if mender and mender.blanked:
        keep &= ~np.isin(records.lines, mender.blanked)
        columns = [pc.replace_substring(column, LINE_END, "\n") for column in columns]
        done = int(records.lines[-1]) if len(records.lines) else mender.line
        mended = [(line, as_written(text, delimiter)) for line, text in mender.malformed]
        malformed = [*malformed, *mended]
        mender.malformed = []
        mender.blanked = [line for line in mender.blanked if line > done]
    malformed = [(line, text) for line, text in malformed if line >= first_line]
    if keep.all():
        return Records(records.lines, columns, malformed)
    kept = pa.array(keep)
    return Records(records.lines[keep], [c.filter(kept) for c in columns], malformed)


def _parse(stream: IO[bytes], file: TextFile, first_line: int) -> Iterator[Records]:
    bad: list[tuple[int, str]] = []  # line from 1, and text
    reader = _reader(stream, file, bad)
    record = 1
    none = pa.RecordBatch.from_arrays([pa.array([], pa.string())] * file.n_columns, _names(file))
    for batch in chain(_batches(reader), [none]):  # the last one takes the malformed records left
        here = _up_to_batch_end(bad, record, batch.num_rows)
        del bad[: len(here)]
        numbers = _numbers_between(record, batch.num_rows, [n for n, _ in here])
        above = first_line - 1
        malformed = [(n + above, as_written(text, file.delimiter)) for n, text in here]
        record += batch.num_rows + len(here)
        yield Records(numbers + above, batch.columns, malformed)


def _reader(
    stream: IO[bytes], file: TextFile, bad: list[tuple[int, str]]
) -> pacsv.CSVStreamingReader | None:
    """Open a parser that appends malformed records to `bad`; None where there is nothing."""

    def keep(row: pacsv.InvalidRow) -> str:
        bad.append((int(row.number), row.text))
        return "skip"

    names = _names(file)
    try:
        return pacsv.open_csv(
            pa.PythonFile(stream, mode="r"),
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
            pacsv.ParseOptions(
                delimiter=separator_of(file.delimiter),
                quote_char='"' if file.quoted else False,
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


class _Lines(io.RawIOBase):
    """The lines of a range as the parser may have them: UTF-8, and each a record."""

    def __init__(
        self, file: TextFile, start: int, end: int, first_line: int, used: Sequence[int]
    ) -> None:
        self._file = file
        self._chunks = line_chunks(file.path, start, end, file.packing)
        self._buffer = memoryview(b"")
        self.mender: Mender | None = None
        if (file.odd_quotes and file.quoted) or file.lone_returns:
            layout = separator_of(file.delimiter), file.n_columns, file.shapes
            self.mender = Mender(*layout, used, file.quoted, first_line)

    def readable(self) -> bool:
        """Return that bytes can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end."""
        while not self._buffer:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._buffer = memoryview(self.mender.mend(b"", last=True) if self.mender else b"")
                break
            if not chunk:
                continue
            chunk = self._transcoded(chunk)
            self._buffer = memoryview(self.mender.mend(chunk) if self.mender else chunk)
        size = len(self._buffer) if size < 0 else size
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return bytes(taken)

    def _transcoded(self, chunk: bytes) -> bytes:
        file = self._file
        if file.encoding != "utf-8" and not chunk.isascii():
            chunk = decoded(chunk, file.encoding, file.path).encode()
        chunk = separated(chunk, file.delimiter)
        return chunk if chunk.endswith(b"\n") else chunk + b"\n"  # blanks alone are a line, too
