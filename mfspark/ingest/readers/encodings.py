"""Bytes as text: UTF-8, Windows-1252, or UTF-8 with some bytes that are none."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.errors import InputError

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.ingest.readers.lines import Facts

MIXED = "mixed"
"""UTF-8, and what is not UTF-8 is Windows-1252."""
_CODECS = {"shift_jis": "cp932", "big5": "cp950", "euc-kr": "cp949"}
"""What programs write under these names: with the characters that Windows adds."""

_WINDOWS: Any = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(256))
"""The text of all bytes, by which decoding is ten times as fast as by a dict."""
_LAST_OTHER = 0x9F  # from 0x80 to here ISO-8859-1 has controls
_HANDLER = "mfspark.windows_1252"
_ENOUGH = 40  # bytes above ASCII that show more than a slip
_WESTERN = 0.5, 0.01  # of them: those beside one another, and undefined ones, are fewer
_FEW = 0.1  # of the characters above ASCII: Windows-1252 hardly ever looks like UTF-8


def encoding_of(facts: Facts) -> str:
    """Tell the encoding from what the lines of a file hold.

    A few bad bytes do not make a file Windows-1252: only where hardly any character beyond ASCII is
    valid UTF-8 it is.
    """
    if not facts.other_bytes:
        return "utf-8"
    few = facts.utf8_bytes < _FEW * (facts.utf8_bytes + facts.other_bytes)
    return "windows-1252" if few else MIXED


def is_foreign(facts: Facts) -> bool:
    """Return whether what is no UTF-8 is hardly Windows-1252 either.

    Western text has single letters above ASCII. Where most of them stand beside one another they
    are Cyrillic, Greek or half of characters of two bytes.
    """
    beside, undefined = (share * facts.other_bytes for share in _WESTERN)
    many = facts.other_bytes >= max(_ENOUGH, facts.utf8_bytes)
    return many and (facts.beside_bytes > beside or facts.undefined_bytes > undefined)


def chosen_encoding(options: IngestOptions, facts: Facts, utf8: str = "utf-8") -> str:
    """Return the configured encoding, or what the lines show; `utf8` stands for "utf-8"."""
    if options.encoding == "auto":
        return encoding_of(facts)
    named = {"utf-8": utf8, "iso-8859-1": "windows-1252"}
    return named.get(options.encoding, options.encoding)


def windows_1252(content: bytes) -> str:
    """Decode Windows-1252, as what is called ISO-8859-1 mostly is; no byte is refused."""
    lowest = np.frombuffer(content, np.int8).min(initial=0)  # as signed, 0x80 comes first
    if lowest > _LAST_OTHER - 256:
        return content.decode("iso-8859-1")  # many times as fast, and the same
    return codecs.charmap_decode(content, "strict", _WINDOWS)[0]


def decoded(content: bytes, encoding: str, path: str) -> str:
    """Decode bytes of a file.

    Raises UnicodeDecodeError for "utf-8", and InputError for what is none of another encoding.
    """
    if encoding == "windows-1252":
        return windows_1252(content)
    if encoding in ("utf-8", MIXED):
        return content.decode("utf-8", "strict" if encoding == "utf-8" else _HANDLER)
    try:
        return content.decode(_CODECS.get(encoding, encoding))
    except UnicodeDecodeError as error:
        shown = content[error.start : error.start + 4].hex(" ")
        raise InputError(
            f"{path} is not {encoding}: it holds the bytes {shown}", "correct ingest.encoding"
        ) from None


def _by_windows_1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return windows_1252(error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _by_windows_1252)
