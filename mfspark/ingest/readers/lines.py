"""Text files as byte ranges aligned to lines, and what a range contains.

A range [start, end) owns the lines that begin in it, so that ranges that touch share no line and
lose none:

    bytes    1,9,4\\n 2,9,5\\n 3,9,1\\n         ranges [0, 8) and [8, 18)
    owned by |------------|  |----|          line 2 begins at byte 6, before 8
"""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from mfspark.errors import InputError
from mfspark.ingest.readers.files import open_input

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

CHUNK = 4 << 20  # bytes read at a time; a few times the processor's cache
LONGEST_LINE = 64 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Facts:
    """What a range of lines contains."""

    lines: int = 0
    odd_quotes: bool = False
    """Whether some line holds an odd number of quotes: then a quoted field may span lines."""
    utf8: bool = True

    def __add__(self, more: Facts) -> Facts:
        return Facts(
            self.lines + more.lines, self.odd_quotes or more.odd_quotes, self.utf8 and more.utf8
        )


def line_chunks(path: str, start: int, end: int, gzipped: bool = False) -> Iterator[bytes]:
    """Yield the lines that begin in [start, end), in chunks of whole lines.

    A byte order mark is taken off. A gzip file is one range; `start` and `end` do not count there.
    """
    with _opened(path, gzipped) as stream:
        position, rest = 0, b""
        if start and not gzipped:
            stream.seek(start - 1)
            position = start - 1 + len(_read_line(stream, path))
        while gzipped or position < end:
            block = stream.read(CHUNK if gzipped else min(CHUNK, end - position))
            if not block:
                break
            block = block.removeprefix(BYTE_ORDER_MARK) if position == 0 else block
            position = position + len(block) if gzipped else stream.tell()
            if not gzipped and position >= end and not block.endswith(b"\n"):
                block += _read_line(stream, path)
            whole, newline, tail = (rest + block).rpartition(b"\n")
            if len(tail) > LONGEST_LINE:
                raise _line_too_long(path)
            rest = tail
            if newline:
                yield whole + newline
        if rest:
            yield rest


def examine(path: str, start: int, end: int, gzipped: bool = False) -> Facts:
    """Count the lines of a range and look at its quotes and its encoding."""
    facts = Facts()
    for chunk in line_chunks(path, start, end, gzipped):
        facts += Facts(count_lines(chunk), _has_odd_line(chunk), _is_utf8(chunk))
    return facts


def count_lines(chunk: bytes) -> int:
    """Count the lines of a chunk as the parser does: a lone carriage return ends one, too."""
    lone = chunk.count(b"\r") - chunk.count(b"\r\n") if b"\r" in chunk else 0
    return chunk.count(b"\n") + lone + (not chunk.endswith((b"\n", b"\r")))


@contextmanager
def _opened(path: str, gzipped: bool) -> Generator[IO[bytes]]:
    with open_input(path) as stream:
        if not gzipped:
            yield stream
            return
        try:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield cast("IO[bytes]", unpacked)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{path} is a broken gzip file: {error}", "it may be cut off; copy it again"
            ) from None


def _read_line(stream: IO[bytes], path: str) -> bytes:
    line = stream.readline(LONGEST_LINE)
    if len(line) >= LONGEST_LINE:
        raise _line_too_long(path)
    return line


def _line_too_long(path: str) -> InputError:
    return InputError(
        f"{path} has a line longer than {LONGEST_LINE >> 20} MiB", "it is probably not a text table"
    )


def _has_odd_line(chunk: bytes) -> bool:
    if b'"' not in chunk:
        return False
    data = np.frombuffer(chunk, dtype=np.uint8)
    quotes = np.flatnonzero(data == ord('"'))
    ends = np.append(np.flatnonzero((data == ord("\n")) | (data == ord("\r"))), len(data))
    return bool((np.searchsorted(quotes, ends) % 2).any())


def _is_utf8(chunk: bytes) -> bool:
    if chunk.isascii():
        return True
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return False
    return True
