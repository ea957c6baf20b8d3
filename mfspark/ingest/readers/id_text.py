"""Ids as text, so that one id is written in one way only.

Surrounding blanks go, Unicode is in its composed form (NFC), and what exports write for "nothing"
is blank. Where a number lost digits on its way (1.23457E+11) nobody knows the id any more.
"""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULLS = pa.array(
    [
        *("NULL", "null", "\\N", "NaN", "nan", "None", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>"),
        *("NaT", "nil", "-", "--"),
        *("(null)", "(NULL)", "<null>", "<NULL>", "[null]", "[NULL]"),
        *("#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#DIV/0!"),
    ]
)
"""What databases, pandas, R and Excel write for a missing value, in exactly these spellings."""
_LONGEST_SHORT_NULL = 4
_IN_LONG_NULLS = b"#(<["
"""Those of more than four bytes have one of these characters."""
_NO_NUMBERS = pa.array(
    [
        *("null", "none", "nil", "nan", "nat", "na", "n/a", "\\n", "?", ".", "(blank)"),
        *("undefined", "unknown", "missing", "anonymous"),
    ]
)
"""What stands for nothing in a column of numbers, in lower case."""
_NOTHING = {null.lower() for null in (*NULLS.to_pylist(), *_NO_NUMBERS.to_pylist())}

_SCIENTIFIC = r"^-?\d(\.\d+)?[eE]\+\d{1,3}$|^-?\d\.\d+[eE]\d{1,3}$"
_LONG_WHOLE = r"^-?\d{16,}\.0+$"
_SCIENTIFIC_WHOLE = r"^\d+[eE]\+?\d{1,3}$"  # a name, where ids are names
_WHOLE = r"^-?(0|[1-9]\d*)\.0+$"
_WHOLE_WITH_COMMA = r"^(0|[1-9]\d*),(0+)$"
_DIGITS = re.compile(r"[0-9]+([.,]0+)?")
_PLAIN = r"^(0|[1-9][0-9]{0,18})$"
_NEARLY_ALL = 0.9
_EXACT = 2**53  # up to here floats hold every whole number
_ZERO, _NINE = ord("0"), ord("9")
_PLUS, _COMMA, _POINT = ord("+"), ord(","), ord(".")
_CACHED = 1 << 16  # bytes looked at together: they and what is made of them stay in the cache
_NOT_COMPOSED = (0xCC, 0xCE), (0xD2, 0xD2), (0xD6, 0xE3), (0xEA, 0xEA), (0xEF, 0xF4)
"""First bytes in UTF-8, from and to, of all characters that the composed form may change."""
_THREE_BYTES, _FOUR_BYTES = 0xE0, 0xF0
"""First bytes in UTF-8 from which on a character has as many."""
_JAMO = (0x1161, 0x1176), (0x11A8, 0x11C3)
"""Vowels and finals that make a syllable with what comes before, from and to."""


def clean_ids(
    values: pa.Array, *, numbers: bool = False, comma: bool = False
) -> tuple[pa.Array, pa.Array | None]:
    """Return ids as text, and a mask of those whose digits are lost; None where none are.

    Missing ids are "". Columns of digits alone, as most are, cost one look at their bytes.
    `numbers`: nearly all ids of the column are, so that more words say that there is none.
    `comma`: 7,0 is 7.0, as numbers are written beside it.
    """
    text = stripped(values)
    content = bytes_of(text)
    lowest, highest = (content.min(), content.max()) if len(content) else (_ZERO, _NINE)
    if lowest >= _ZERO and highest <= _NINE:
        return text, None
    if highest >= _NOT_COMPOSED[0][0] and _may_be_apart(content):
        text = pc.utf8_normalize(text, form="NFC")
    text = _without_nulls(text)
    if lowest <= _IN_LONG_NULLS[-1] and _has_any(content, [(c, c) for c in _IN_LONG_NULLS]):
        text = pc.if_else(pc.is_in(text, NULLS), "", text)
    if numbers:
        text = pc.if_else(pc.is_in(pc.utf8_lower(text), _NO_NUMBERS), "", text)
    if comma and lowest <= _COMMA:
        text = pc.replace_substring_regex(text, _WHOLE_WITH_COMMA, r"\1.\2")
    points = lowest <= _POINT and _has_any(content, ((_POINT, _POINT), (_PLUS, _PLUS)))
    return _from_floats(text, numbers=numbers) if numbers or points else (text, None)


def without_point_zero(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take the .0 off whole numbers where at least half of the ids are numbers."""
    whole = pc.match_substring_regex(ids, _WHOLE)
    n_whole = pc.sum(whole).as_py() or 0
    plain = pc.sum(pc.match_substring_regex(ids, _PLAIN)).as_py() or 0
    n = pc.sum(pc.not_equal(ids, "")).as_py() or 0
    if not n_whole or 2 * (n_whole + plain) < n:
        return ids
    return pc.if_else(whole, pc.replace_substring_regex(ids, r"\.0+$", ""), ids)


def plain_integers(ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return which ids are plain integers: digits, no leading zeros, within int64."""
    digits = pc.match_substring_regex(ids, _PLAIN)
    fits = pc.or_(pc.less(pc.utf8_length(ids), 19), pc.less_equal(ids, str(2**63 - 1)))
    return pc.and_(digits, fits)


def stripped(values: pa.Array) -> pa.Array:
    """Return text without surrounding blanks; null becomes empty."""
    filled = pc.fill_null(values, "") if values.null_count else values
    return pc.utf8_trim_whitespace(filled)


def bytes_of(text: pa.Array) -> np.ndarray:
    """Return the bytes of all texts; those of an array that is a slice may have more."""
    content = text.buffers()[2]
    return np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)


def _has_any(content: np.ndarray, ranges: Sequence[tuple[int, int]]) -> bool:
    """Return whether some bytes lie in one of the ranges, both ends included."""
    for start in range(0, len(content), _CACHED):
        block = content[start : start + _CACHED]
        if any((block - low <= high - low).any() for low, high in ranges):  # below low: wraps
            return True
    return False


def _may_be_apart(content: np.ndarray) -> bool:
    """Return whether the composed form may change some text; composing takes far longer."""
    for start in range(0, len(content), _CACHED):
        block = content[start : start + _CACHED]
        suspect = np.zeros(len(block), bool)
        for low, high in _NOT_COMPOSED:
            suspect |= block - low <= high - low  # below low: wraps
        at = np.flatnonzero(suspect) + start
        if len(at) and _any_apart(content, at):
            return True
    return False


def _any_apart(content: np.ndarray, at: np.ndarray) -> bool:
    """Return whether one of the characters that begin at some bytes may change."""
    first = content[at].astype(np.int32)
    if first.max() >= _FOUR_BYTES:
        return True
    long = first >= _THREE_BYTES
    second, third = (content.take(at + n, mode="clip").astype(np.int32) & 0x3F for n in (1, 2))
    short_code = (first & 0x1F) << 6 | second
    long_code = (first & 0x0F) << 12 | second << 6 | third
    return bool(_changing()[np.where(long, long_code, short_code)].any())


@cache
def _changing() -> np.ndarray:
    """bool (65536,): the characters that the composed form changes, moves or joins with others."""
    changes = np.zeros(1 << 16, bool)
    for code in range(0x80, 1 << 16):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            changes[int(parts[1], 16)] = True
        if unicodedata.combining(chr(code)) or not unicodedata.is_normalized("NFC", chr(code)):
            changes[code] = True
    for low, end in _JAMO:
        changes[low:end] = True
    return changes


def _without_nulls(text: pa.Array) -> pa.Array:
    """Return "" for NULLS; only short texts are compared."""
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset :][: len(text) + 1]
    short = np.diff(offsets) <= _LONGEST_SHORT_NULL
    if not short.any():
        return text
    null = pc.is_in(pc.if_else(pa.array(short), text, None), NULLS)
    return pc.if_else(null, "", text) if pc.any(null).as_py() else text


def mostly_numbers(values: Sequence[str]) -> bool:
    """Return whether nearly all ids of a sample are whole numbers, what may be none aside."""
    texts = map(str.strip, values)
    filled = [text for text in texts if text and text.lower() not in _NOTHING]
    n_whole = sum(_DIGITS.fullmatch(value) is not None for value in filled)
    return n_whole >= max(1, _NEARLY_ALL * len(filled))


def _from_floats(text: pa.Array, *, numbers: bool) -> tuple[pa.Array, pa.Array | None]:
    """Write out numbers in scientific notation; say which lost digits, there or as floats."""
    pattern = f"{_SCIENTIFIC}|{_SCIENTIFIC_WHOLE}" if numbers else _SCIENTIFIC
    scientific = pc.match_substring_regex(text, pattern)
    long = pc.match_substring_regex(text, _LONG_WHOLE)
    suspect = pc.or_(scientific, long)
    if not pc.any(suspect).as_py():
        return text, None
    exact = [_exactly(number) for number in text.filter(suspect).to_pylist()]
    text = pc.replace_with_mask(text, suspect, pa.array(exact, pa.string()))
    lost = pc.is_null(text)
    return pc.fill_null(text, "lost"), lost if pc.any(lost).as_py() else None


def _exactly(text: str) -> str | None:
    """Return all digits of a number, None where not all of them are written.

    Fractions are no better as ids than elsewhere, but one is written in one way only.
    """
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent > 0 or abs(number) >= _EXACT:
        return None
    whole = number == number.to_integral_value()
    return str(int(number)) if whole else f"{number:f}".rstrip("0")
