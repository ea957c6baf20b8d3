"""What stands between two fields of a text: one character for the parser, whatever it is in a file.

The parser takes one ASCII character. Where a file has another delimiter (`::`, runs of blanks, a
character beyond ASCII) it is replaced by one that texts do not hold.
"""

import re

UNIT_SEPARATOR = "\x1f"
BLANKS = "blanks"
"""Any run of spaces and tabs; those at the ends of a line do not count."""

_RUN = re.compile(rb'"[^"\r\n]*"|[ \t]+')
_AT_ENDS = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)


def separator_of(delimiter: str) -> str:
    """Return the one character that stands for a delimiter after `separated`."""
    return delimiter if len(delimiter) == 1 and delimiter.isascii() else UNIT_SEPARATOR


def is_quoted(delimiter: str) -> bool:
    """Return whether double quotes enclose fields; in '::' files they are ordinary characters."""
    return delimiter != "::"


def separated(chunk: bytes, delimiter: str) -> bytes:
    """Replace the delimiter in whole lines of UTF-8 by its one character."""
    if delimiter == separator_of(delimiter):
        return chunk
    separator = UNIT_SEPARATOR.encode()
    if delimiter != BLANKS:
        return chunk.replace(delimiter.encode(), separator)
    chunk = _AT_ENDS.sub(b"", chunk)
    return _RUN.sub(lambda run: run[0] if run[0][:1] == b'"' else separator, chunk)


def as_written(text: str, delimiter: str) -> str:
    """Put the delimiter back where `separated` replaced it."""
    if delimiter == separator_of(delimiter):
        return text
    return text.replace(UNIT_SEPARATOR, written(delimiter))


def written(delimiter: str) -> str:
    """Return the characters that join fields again."""
    return " " if delimiter == BLANKS else delimiter
