"""Quotes in text, made so that the parser can lose no line to them.

The parser opens a field where it begins with a quote and reads on to the next quote, over as many
lines as it takes. So a quote too many would swallow lines. Here the lines whose quotes are not
plainly in order are looked at one by one, and each becomes a record of its own for the parser:

    1,"a, b",3          in order: nothing is done
    1, "a" ,3           blanks around quotes, or backslashes before them (as Spark writes): mended
    1,5" disc,3         a quote inside a field that does not begin with one is a character
    1,"best film        never closed, or closed inside another record: rejected, alone
    1,"one line         closed where a field ends: one record of several lines
    another",3

A record of several lines comes on its first line, with a character no text holds for its line ends;
its other lines are left blank, so that lines keep their numbers. So does a record that a carriage
return without a line feed tears apart, which the parser takes for the end of a line.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

LINE_END = "\ufdd0"
"""Stands for a line end inside a field; Unicode keeps it free for such uses."""
LONGEST_RECORD = 1 << 20  # bytes; a quote that is not closed by then is a stray one
_INSIDE = LINE_END.encode()
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_STILL_OPEN = re.compile(rb'[^"]*(?:""[^"]*)*')
_NUMBER = re.compile(rb"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
_ESCAPE = re.compile(rb'\\(["\\])')
_MOSTLY = 0.9


@dataclass(frozen=True)
class Grammar:
    """How fields stand in a line."""

    quoted: re.Pattern[bytes]
    """A quoted field and the blanks around it."""
    escaped: re.Pattern[bytes]
    """The same where a backslash makes a quote a character."""
    opening: re.Pattern[bytes]
    """The beginning of a quoted field."""
    separator: bytes


@cache
def grammar(separator: str) -> Grammar:
    """Return the grammar of fields between a one-character separator.

    Two quotes are always a character, nothing is matched again as the end of a field and one more.
    """
    blank = {" ": rb"\t*", "\t": rb" *"}.get(separator, rb"[ \t]*")
    return Grammar(
        re.compile(blank + rb'"([^"]*+(?:""[^"]*+)*+)"' + blank),
        re.compile(blank + rb'"([^"\\]*+(?:(?:""|\\.)[^"\\]*+)*+)"' + blank, re.DOTALL),
        re.compile(blank + rb'"'),
        separator.encode(),
    )


def irregular_lines(chunk: bytes, separator: str) -> np.ndarray:
    """Return the numbers, from 0, of the lines whose quotes are not plainly in order.

    In order: quotes come in pairs, the first where a field begins and the second where one ends,
    or next to another quote. A few vector operations over the quotes.
    """
    if b'"' not in chunk:
        return np.empty(0, np.int64)
    data = np.frombuffer(chunk, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    ends = _line_ends(chunk, data)
    plain = np.zeros(256, bool)
    plain[[_QUOTE, ord("\n"), ord("\r"), ord(separator)]] = True
    even = not (np.searchsorted(quotes, ends) & 1).any() and len(quotes) % 2 == 0
    backslashes = _has_escapes(chunk)
    if even and not backslashes and _in_order(data, quotes, plain):
        return np.empty(0, np.int64)
    line = np.searchsorted(ends, quotes)
    closing = (np.arange(len(quotes)) - np.searchsorted(line, line)) % 2 == 1
    beside = quotes + np.where(closing, 1, -1)
    inside = (beside >= 0) & (beside < len(data))
    last = np.append(line[1:] != line[:-1], True)
    odd = (inside & ~plain[data.take(beside, mode="clip")]) | (last & ~closing)
    if backslashes:
        odd |= (quotes > 0) & (data.take(quotes - 1, mode="clip") == _BACKSLASH)
    return np.unique(line[odd])


def _has_escapes(chunk: bytes) -> bool:
    return b"\\" in chunk and b'\\"' in chunk  # one byte is found many times as fast as two


def _in_order(data: np.ndarray, quotes: np.ndarray, plain: np.ndarray) -> bool:
    """Return whether quotes, an even number a line, stand where fields begin and end in turn."""
    before, after = quotes[0::2] - 1, quotes[1::2] + 1
    before = before[1:] if before[0] < 0 else before
    after = after[:-1] if after[-1] == len(data) else after
    return bool(plain[data[before]].all() and plain[data[after]].all())


def fields_of(line: bytes, by: Grammar) -> list[bytes] | None:
    """Split a line into fields, without their quotes.

    None where text follows a closing quote, or a quote is not closed (see `is_open`). A line that
    only makes sense with backslashes before quotes is read with them.
    """
    if b'"' not in line:
        return line.split(by.separator)
    fields = _split(line, by, by.quoted)
    return _split(line, by, by.escaped) if fields is None and b'\\"' in line else fields


def is_open(line: bytes, by: Grammar) -> bool:
    """Return whether a line that cannot be split has a quoted field that goes on below it."""
    if fields_of(line, by) is not None:
        return False
    return _ends_open(line, by, by.quoted) or (b'\\"' in line and _ends_open(line, by, by.escaped))


def _split(line: bytes, by: Grammar, quoted: re.Pattern[bytes]) -> list[bytes] | None:
    fields: list[bytes] = []
    at, n = 0, len(line)
    while True:
        if by.opening.match(line, at):
            found = quoted.match(line, at)
            if not found or (found.end() < n and not line.startswith(by.separator, found.end())):
                return None
            text, end = found[1].replace(b'""', b'"'), found.end()
            if quoted is by.escaped:
                text = _ESCAPE.sub(rb"\1", text)
        else:
            end = line.find(by.separator, at)
            end = n if end < 0 else end
            text = line[at:end]
        fields.append(text)
        if end >= n:
            return fields
        at = end + 1


def _ends_open(line: bytes, by: Grammar, quoted: re.Pattern[bytes]) -> bool:
    at, n = 0, len(line)
    while at <= n:
        if by.opening.match(line, at):
            found = quoted.match(line, at)
            if not found:
                return True
            if found.end() < n and not line.startswith(by.separator, found.end()):
                return False
            at = found.end() + 1
        else:
            end = line.find(by.separator, at)
            if end < 0:
                return False
            at = end + 1
    return False


def shapes_of(columns: Iterable[Sequence[str]]) -> str:
    """Return a letter a column: what nearly all its cells are, so that a record can be told.

    `N` a number, `T` text without blanks, lower case where some are blank, `-` anything.
    """
    return "".join(_shape(cells) for cells in columns)


def _shape(cells: Sequence[str]) -> str:
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled:
        return "-"
    some_blank = len(filled) < len(cells)
    enough = _MOSTLY * len(filled)
    if sum(_NUMBER.fullmatch(cell.encode()) is not None for cell in filled) >= enough:
        return "n" if some_blank else "N"
    if sum(not re.search(r"\s", cell) for cell in filled) >= enough:
        return "t" if some_blank else "T"
    return "-"


@dataclass
class Mender:
    """Makes each line of a text a record of its own; see the module."""

    separator: str
    n_columns: int
    shapes: str = ""
    used: Sequence[int] = ()
    """Columns in which a line end makes a record malformed."""
    quoted: bool = True
    """Whether quotes enclose fields."""
    line: int = 1
    """The number of the next line."""
    malformed: list[tuple[int, str]] = field(default_factory=list)
    """Line and text of what was taken out."""
    blanked: list[int] = field(default_factory=list)
    """Lines that were left blank, and are no blank lines."""
    _rest: bytes = b""

    def mend(self, chunk: bytes, *, last: bool = False) -> bytes:
        """Return whole lines as the parser may have them; `last` where none follow.

        What may go on in the next chunk is kept for it.
        """
        chunk, self._rest = self._rest + chunk, b""
        if lone_returns(chunk):
            chunk = self._with_torn_records(chunk)
        odd = irregular_lines(chunk, self.separator) if self.quoted else ()
        if not len(odd):
            self.line += count_lines(chunk)
            return chunk
        lines = chunk.splitlines()
        done = 0
        for n in odd.tolist():
            if n < done:
                continue
            end = self._settle(lines, n, last=last)
            if end is None:
                self._rest = b"\n".join(lines[n:]) + b"\n"
                del lines[n:]
                break
            done = end
        self.line += len(lines)
        return b"\n".join(lines) + b"\n" if lines else b""

    def _with_torn_records(self, chunk: bytes) -> bytes:
        """Make one record each of what lone carriage returns tear apart: too few fields alone.

        Where quotes enclose it, it is settled as they are.
        """
        lines, number = chunk.split(b"\n"), self.line
        for n, line in enumerate(lines):
            parts = line.removesuffix(b"\r").split(b"\r")
            if len(parts) > 1 and self._is_torn(line, parts):
                lines[n] = self._as_one(parts, number)
            number += len(parts)
        return b"\n".join(lines)

    def _is_torn(self, line: bytes, parts: Sequence[bytes]) -> bool:
        """Return whether a line is one record, and not each of its parts."""
        if not self._is_whole(line) or (self.quoted and b'"' in line):
            return False
        return any(part.strip() and not self._is_whole(part) for part in parts)

    def _as_one(self, parts: Sequence[bytes], number: int) -> bytes:
        """Return the lines of a torn record, the first of which has the number given."""
        record = _INSIDE.join(parts)
        fields = record.split(self.separator.encode())
        rejected = any(_INSIDE in fields[i] for i in self.used)
        if rejected:
            self.malformed.append((number, b"\n".join(parts).decode()))
        self.blanked += range(number + (not rejected), number + len(parts))
        return (b"" if rejected else record) + b"\n" * (len(parts) - 1)

    def _settle(self, lines: list[bytes], n: int, *, last: bool) -> int | None:
        """Make line n one that the parser reads rightly; return the number of the next one.

        None where that cannot be told from these lines.
        """
        by, line = grammar(self.separator), lines[n]
        fields = fields_of(line, by)
        if fields is not None:
            if len(fields) == self.n_columns:
                lines[n] = _written(fields, by)
            elif line:
                self._reject(lines, n)
            return n + 1
        if not is_open(line, by):
            self._reject(lines, n)
            return n + 1
        end, fields = self._join(lines, n, last=last)
        if end is None:
            return None
        if fields is None:
            self._reject(lines, n)
            return n + 1
        several = all(map(self._is_whole, lines[n : end + 1]))
        if several or len(fields) != self.n_columns:  # both ends have a quote too many
            self._reject(lines, n)
            self._reject(lines, end)
            return n + 1
        if any(_INSIDE in fields[i] for i in self.used):
            self._reject(lines, n, end)
        else:
            lines[n] = _written(fields, by)
            self._blank(lines, n + 1, end)
        return end + 1

    def _join(
        self, lines: list[bytes], n: int, *, last: bool
    ) -> tuple[int | None, list[bytes] | None]:
        """Find the line on which the field that line n leaves open is closed, and all fields.

        No fields where the quote is a stray one; no line where it cannot be told.
        """
        by, parts, size = grammar(self.separator), [lines[n]], len(lines[n])
        backslashes = b'\\"' in lines[n]
        for end in range(n + 1, len(lines)):
            line = lines[end]
            if self._is_record(line):
                return n, None
            parts.append(line)
            size += len(line) + 1
            if size > LONGEST_RECORD:
                return n, None
            backslashes = backslashes or b'\\"' in line
            if b'"' not in line or (not backslashes and _STILL_OPEN.fullmatch(line)):
                continue
            joined = _INSIDE.join(parts)
            fields = fields_of(joined, by)
            if fields is None and is_open(joined, by):
                continue
            return end, fields
        return (n if last else None), None

    def _is_record(self, line: bytes) -> bool:
        """Return whether a line is surely a record: its quotes in order, its fields as others'."""
        by = grammar(self.separator)
        fields = fields_of(line, by)
        if fields is None or len(fields) != self.n_columns or not any(map(bytes.strip, fields)):
            return False
        if any(b'"' in text for text in fields) and len(irregular_lines(line, self.separator)):
            return False
        return all(map(_fits, fields, self.shapes or "-" * self.n_columns))

    def _is_whole(self, line: bytes) -> bool:
        """Return whether a line has all fields if quotes are characters."""
        return line.count(self.separator.encode()) == self.n_columns - 1

    def _reject(self, lines: list[bytes], first: int, last: int | None = None) -> None:
        last = first if last is None else last
        text = b"\n".join(lines[first : last + 1]).decode()
        self.malformed.append((self.line + first, text))
        self._blank(lines, first, last)

    def _blank(self, lines: list[bytes], first: int, last: int) -> None:
        lines[first : last + 1] = [b""] * (last + 1 - first)
        self.blanked += range(self.line + first, self.line + last + 1)


def mended_sample(lines: list[bytes], separator: str) -> list[list[str]]:
    """Split the first lines of a file into fields; lines that cannot be split give none.

    But for the first one that is not blank, which may be a header: there quotes count as nothing.
    """
    by = grammar(separator)
    top = next((n for n, line in enumerate(lines) if line.strip()), 0)
    head = lines[top].replace(b'"', b"") if lines else b""
    if any(b'"' in line for line in lines):
        split = [fields for line in lines if (fields := fields_of(line, by)) and any(fields)]
        width = Counter(map(len, split)).most_common(1)[0][0] if split else 1
        shapes = _shapes_of_records([fields for fields in split if len(fields) == width])
        mended = Mender(separator, width, shapes).mend(b"\n".join(lines) + b"\n", last=True)
        lines = mended.split(b"\n")[:-1]
    found = [fields_of(line, by) if line else None for line in lines]
    if lines and not lines[top]:  # its quotes are not in order
        found[top] = head.split(by.separator)
    return [[text.decode() for text in fields or ()] for fields in found]


def _shapes_of_records(records: list[list[bytes]]) -> str:
    body = [[text.decode() for text in fields] for fields in records[1:]]
    return shapes_of(zip(*body, strict=True)) if body else ""


def lone_returns(chunk: bytes) -> int:
    """Count the carriage returns without a line feed."""
    if b"\r" not in chunk:
        return 0
    data = np.frombuffer(chunk, np.uint8)
    returns = data == ord("\r")
    n_with = np.count_nonzero(returns[:-1] & (data[1:] == ord("\n")))
    return int(np.count_nonzero(returns) - n_with)


def count_lines(chunk: bytes, n_lone: int | None = None) -> int:
    """Count the lines of a chunk as the parser does: a lone carriage return ends one, too.

    `n_lone`: how many there are, where that is known.
    """
    lone = lone_returns(chunk) if n_lone is None else n_lone
    # a vector's count costs a tenth of that of bytes
    n = np.count_nonzero(np.frombuffer(chunk, np.uint8) == ord("\n"))
    ended = not chunk or chunk.endswith((b"\n", b"\r"))
    return int(n) + lone + (not ended)


def _fits(text: bytes, shape: str) -> bool:
    if shape == "-":
        return True
    if not text.strip():
        return shape.islower()
    if shape in "nN":
        return _NUMBER.fullmatch(text) is not None
    return len(text.split()) == 1


def _written(fields: list[bytes], by: Grammar) -> bytes:
    """Write fields as a line that the parser reads as they are."""
    return by.separator.join(
        b'"' + text.replace(b'"', b'""') + b'"' if b'"' in text or by.separator in text else text
        for text in fields
    )


def _line_ends(chunk: bytes, data: np.ndarray) -> np.ndarray:
    ends = np.flatnonzero(data == ord("\n"))
    if b"\r" in chunk:
        returns = np.flatnonzero(data == ord("\r"))
        after = data.take(returns + 1, mode="clip")
        lone = returns[(after != ord("\n")) | (returns + 1 == len(data))]
        ends = np.sort(np.concatenate([ends, lone]))
    return ends
