"""Bytes as text: UTF-8, Windows-1252, or UTF-8 with some bytes that are none."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mfspark.ingest.readers.lines import Facts

Encoding = Literal["utf-8", "windows-1252", "mixed"]
"""`mixed`: UTF-8, and what is not UTF-8 is Windows-1252."""

_WINDOWS = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(256))
_HANDLER = "mfspark.windows_1252"
_FEW = 0.1  # of the bytes above ASCII: Windows-1252 hardly ever looks like UTF-8


def encoding_of(facts: Facts) -> Encoding:
    """Tell the encoding from what the lines of a file hold.

    A few bad lines do not make a file Windows-1252: only where hardly any line beyond ASCII is
    valid UTF-8 it is.
    """
    if not facts.other_lines:
        return "utf-8"
    few = facts.utf8_bytes < _FEW * (facts.utf8_bytes + facts.other_bytes)
    return "windows-1252" if few else "mixed"


def windows_1252(content: bytes) -> str:
    """Decode Windows-1252, as what is called ISO-8859-1 mostly is; no byte is refused."""
    return codecs.charmap_decode(content, "strict", _WINDOWS)[0]


def decoded(content: bytes, encoding: Encoding) -> str:
    """Decode bytes. Raises UnicodeDecodeError only for "utf-8"."""
    if encoding == "windows-1252":
        return windows_1252(content)
    return content.decode("utf-8", "strict" if encoding == "utf-8" else _HANDLER)


def _by_windows_1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return windows_1252(error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _by_windows_1252)
