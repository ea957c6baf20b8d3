"""Text files as byte ranges aligned to lines, and what a range contains.

A range [start, end) owns the lines that begin in it, so that ranges that touch share no line and
lose none:

    bytes    1,9,4\\n 2,9,5\\n 3,9,1\\n         ranges [0, 8) and [8, 18)
    owned by |------------|  |----|          line 2 begins at byte 6, before 8
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from mfspark.errors import InputError
from mfspark.ingest.readers.delimiters import is_quoted, separated, separator_of
from mfspark.ingest.readers.packings import unpacked
from mfspark.ingest.readers.quotes import (
    count_lines,
    fields_of,
    grammar,
    irregular_lines,
    is_open,
    lone_returns,
)

CHUNK = 4 << 20  # bytes read at a time; a few times the processor's cache
LONGEST_LINE = 64 << 20
_NOT_WINDOWS_1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Facts:
    """What a range of lines contains."""

    lines: int = 0
    odd_quotes: bool = False
    """Whether the quotes of some line are not plainly in order."""
    open_quotes: bool = False
    """Whether some line leaves a quoted field open: then one may span lines."""
    lone_returns: bool = False
    """Whether some carriage return has no line feed: it may stand inside a field."""
    utf8_bytes: int = 0
    """Bytes of UTF-8 characters beyond their first."""
    other_bytes: int = 0
    """Bytes that are no UTF-8."""
    beside_bytes: int = 0
    """How many of them stand beside another byte above ASCII."""
    undefined_bytes: int = 0
    """How many of them are no Windows-1252 either."""

    def __add__(self, more: Facts) -> Facts:
        return Facts(
            self.lines + more.lines,
            self.odd_quotes or more.odd_quotes,
            self.open_quotes or more.open_quotes,
            self.lone_returns or more.lone_returns,
            self.utf8_bytes + more.utf8_bytes,
            self.other_bytes + more.other_bytes,
            self.beside_bytes + more.beside_bytes,
            self.undefined_bytes + more.undefined_bytes,
        )


def line_chunks(path: str, start: int, end: int, packing: str = "") -> Iterator[bytes]:
    """Yield the lines that begin in [start, end), in chunks of whole lines.

    Byte order marks at the beginning of lines are taken off (files are glued together with theirs).
    A packed file is one range; `start` and `end` do not count there.
    """
    with unpacked(path, packing) as stream:
        position, rest = 0, b""
        if start and not packing:
            stream.seek(start - 1)
            position = start - 1 + len(_read_line(stream, path))
        while packing or position < end:
            block = stream.read(CHUNK if packing else min(CHUNK, end - position))
            if not block:
                break
            position = position + len(block) if packing else stream.tell()
            if not packing and position >= end and not block.endswith(b"\n"):
                block += _read_line(stream, path)
            whole, newline, tail = (rest + block).rpartition(b"\n")
            if len(tail) > LONGEST_LINE:
                raise _line_too_long(path)
            rest = tail
            if newline:
                yield _without_marks(whole + newline)
        if rest:
            yield _without_marks(rest)


def examine(path: str, start: int, end: int, packing: str = "", delimiter: str = ",") -> Facts:
    """Count the lines of a range and look at its quotes and its encoding."""
    facts = Facts()
    for chunk in line_chunks(path, start, end, packing):
        facts += _facts(chunk, delimiter)
    return facts


def _facts(chunk: bytes, delimiter: str) -> Facts:
    odd, still_open = _quotes(chunk, delimiter) if is_quoted(delimiter) else (False, False)
    n_lone = lone_returns(chunk)
    facts = Facts(count_lines(chunk, n_lone), odd, still_open, n_lone > 0)
    return facts if chunk.isascii() else facts + bytes_above_ascii(chunk)


def _quotes(chunk: bytes, delimiter: str) -> tuple[bool, bool]:
    """Return whether quotes are out of order, and whether a quoted field is left open."""
    if b'"' not in chunk:
        return False, False
    separator = separator_of(delimiter)
    chunk = separated(chunk, delimiter)
    odd = irregular_lines(chunk, separator)
    if not len(odd):
        return False, False
    lines, by = chunk.splitlines(), grammar(separator)
    return True, any(
        fields_of(lines[n], by) is None and is_open(lines[n], by) for n in odd.tolist()
    )


def bytes_above_ascii(chunk: bytes) -> Facts:
    """Count the characters above ASCII that are UTF-8, by their bytes but one, and other bytes."""
    try:
        return Facts(utf8_bytes=len(chunk) - len(chunk.decode()))
    except UnicodeDecodeError:
        n_alone, runs = _runs_above_ascii(chunk)
    text = runs.decode("utf-8", "ignore")
    utf8 = text.encode()
    beside = len(runs) - len(utf8)
    return Facts(
        utf8_bytes=len(utf8) - len(text),
        other_bytes=n_alone + beside,
        beside_bytes=beside,
        undefined_bytes=_count_undefined(chunk) - _count_undefined(utf8),
    )


def _count_undefined(content: bytes) -> int:
    return sum(map(content.count, _NOT_WINDOWS_1252))


def _runs_above_ascii(chunk: bytes) -> tuple[int, bytes]:
    """Count the bytes above ASCII that stand alone, as in no UTF-8; join the others by line ends.

    What is UTF-8 among them stays so: its characters are such bytes and nothing else.
    """
    data = np.frombuffer(chunk, np.uint8)
    above = np.flatnonzero(data >= 0x80)
    beside_next = np.diff(above) == 1
    in_run = np.append(beside_next, False) | np.append(False, beside_next)
    runs = above[in_run]
    begins = np.flatnonzero(np.diff(runs) > 1) + 1
    return len(above) - len(runs), np.insert(data[runs], begins, ord("\n")).tobytes()


def _without_marks(chunk: bytes) -> bytes:
    if chunk.isascii() or BYTE_ORDER_MARK[:1] not in chunk or BYTE_ORDER_MARK not in chunk:
        return chunk  # the first byte alone is found many times as fast
    return re.sub(rb"^(?:\xef\xbb\xbf)+", b"", chunk, flags=re.MULTILINE)


def _read_line(stream: IO[bytes], path: str) -> bytes:
    line = stream.readline(LONGEST_LINE)
    if len(line) >= LONGEST_LINE:
        raise _line_too_long(path)
    return line


def _line_too_long(path: str) -> InputError:
    return InputError(
        f"{path} has a line longer than {LONGEST_LINE >> 20} MiB", "it is probably not a text table"
    )
