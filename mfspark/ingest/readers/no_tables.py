"""What looks like a file of rows and columns and is none, told by its first bytes."""

import re

from mfspark.errors import InputError

_KNOWN = "known formats: CSV and other delimited text, packed or not, Excel, Parquet"
_UTF16_SHARE = 0.3  # of the bytes at even, or at odd places are NUL where texts are mostly ASCII
_KINDS: tuple[tuple[str, bytes, str], ...] = (
    ("JSON", rb'\{\s*["}]|\[\s*["{\[]', "write it as CSV"),
    ("HTML or XML", rb"<(\?xml|!doctype|html|table)|<[a-z][^<>]*>\s*<", "save it as CSV"),
    ("a dump of SQL", rb"(insert into|create table|-- \w*sql) ", "export the table as CSV"),
    ("an ARFF file", rb"(%[^\n]*\n)*@relation\b", "take off the lines down to @data"),
    ("a Matrix Market file", rb"%%MatrixMarket", "take off its first lines, that of sizes, too"),
    ("a PDF file", rb"%PDF-", "export the table behind it as CSV"),
    ("a pointer of Git LFS", rb"version https://git-lfs", "fetch the file itself: git lfs pull"),
)
"""Each kind with how it begins and what to do."""


def refuse_no_table(path: str, head: bytes) -> None:
    """Raise InputError where the first bytes of a text show that it is no table."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _is_utf16(head):
        raise InputError(f"{path} is UTF-16 text", "save it again as UTF-8 (in Excel: CSV UTF-8)")
    if b"\0" in head:
        raise InputError(f"{path} is a binary file (it has NUL bytes), not a table of text", _KNOWN)
    text = head.removeprefix(b"\xef\xbb\xbf")
    for kind, begins, remedy in _KINDS:
        if re.match(rb"\s*(?:" + begins + rb")", text, re.IGNORECASE):
            raise InputError(f"{path} is {kind}, not a table of text", f"{remedy}; {_KNOWN}")


def _is_utf16(head: bytes) -> bool:
    """Return whether every other byte, as of UTF-16 without a mark, is mostly NUL."""
    nulls = head[0::2].count(0), head[1::2].count(0)
    return min(nulls) == 0 and max(nulls) >= _UTF16_SHARE * len(head) / 2 > 0
