"""Which column plays which part: header, user, item, rating and timestamp, told from a sample.

The sample is a list of records, each a list of cell texts, however the file is stored. A table is
*long* (one row a rating) or *wide* (one row a user, one column an item). `docs/ingest.md` states
the rules in words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfspark.errors import InputError
from mfspark.ingest.readers.times import looks_like_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mfspark.config.config import IngestOptions, InputColumns

_NAMES: dict[str, frozenset[str]] = {
    part: frozenset(names.split())
    for part, names in {
        "user": "user userid uid username useridx customer customerid member memberid reviewer "
        "reviewerid respondent respondentid visitor visitorid account accountid name yourname "
        "fullname",
        "item": "item itemid iid itemidx movie movieid product productid asin isbn book bookid "
        "song songid track trackid artist artistid business businessid game gameid anime "
        "animeid sku",
        "rating": "rating ratings score stars star overall bookrating ratingvalue starrating "
        "userrating",
        "timestamp": "timestamp time ts date datetime ratedat unixreviewtime createdat reviewdate "
        "ratingtimestamp",
    }.items()
}
HEADER_NAMES = frozenset({"id", "title", "genres"}).union(*_NAMES.values())
"""Names that only a header has, of ratings or of items."""
_CONTACT = frozenset({"email", "emailaddress", "mail"})
_REMARKS = _CONTACT | {"comment", "comments", "remark", "remarks", "note", "notes", "feedback"}
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
SAMPLE_RECORDS = 1000
_MOST_LONG_COLUMNS = 5  # a table of more columns whose names say nothing is wide
_NO_TIMESTAMP = "-"


@dataclass(frozen=True)
class LongColumns:
    """Positions (from 0) of the parts in a table with one row a rating; timestamp may be -1."""

    user: int
    item: int
    rating: int
    timestamp: int = -1

    def describe(self, names: Sequence[str]) -> str:
        """Say which columns are read as what."""
        parts = {"user": self.user, "item": self.item, "rating": self.rating}
        parts |= {"timestamp": self.timestamp} if self.timestamp >= 0 else {}
        return "long, " + ", ".join(f"{part} = {_title(names, i)}" for part, i in parts.items())


@dataclass(frozen=True)
class WideColumns:
    """Positions (from 0) in a table with one row a user, and each item column with its title."""

    user: int
    items: tuple[tuple[int, str], ...]
    timestamp: int = -1

    def describe(self, names: Sequence[str]) -> str:
        """Say which columns are read as what, and which are ignored."""
        used = {self.user, self.timestamp, *(i for i, _ in self.items)}
        ignored = [_title(names, i) for i in range(len(names)) if i not in used]
        when = f", timestamp = {_title(names, self.timestamp)}" if self.timestamp >= 0 else ""
        rest = f", ignored: {', '.join(ignored)}" if ignored else ""
        return f"wide, user = {_title(names, self.user)}, {len(self.items)} items{when}{rest}"


@dataclass(frozen=True)
class FileColumns:
    """How the records of one file are read."""

    columns: LongColumns | WideColumns
    skip: int
    """Records before the first rating: blank ones and the header."""
    n_columns: int
    description: str

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all columns that are read."""
        columns = self.columns
        items = (
            [i for i, _ in columns.items]
            if isinstance(columns, WideColumns)
            else [columns.item, columns.rating]
        )
        return tuple(i for i in (columns.user, *items, columns.timestamp) if i >= 0)


def file_columns(sample: Sequence[Sequence[str]], options: IngestOptions, path: str) -> FileColumns:
    """Tell the layout from the first records of a file.

    Raises InputError where the parts cannot be told apart, with the columns found and the setting
    that names them.
    """
    blank = next((n for n, record in enumerate(sample) if any(c.strip() for c in record)), None)
    if blank is None:
        raise InputError(f"{path} holds no rows", "check how it was exported")
    records = [[cell.strip() for cell in record] for record in sample[blank:]]
    header = has_header(records, options)
    body = [record for record in records[header:] if any(record)]
    names = records[0] if header else []
    width = len(names) if header else Counter(map(len, body)).most_common(1)[0][0]
    body = [record for record in body if len(record) == width]
    if header and _is_wide(names, body, options):
        columns: LongColumns | WideColumns = _wide(names, body, options, path)
    else:
        columns = find_long(names, width, body, options.columns, path)
    description = columns.describe(names or [""] * width)
    return FileColumns(columns, blank + header, width, description)


def has_header(records: Sequence[Sequence[str]], options: IngestOptions) -> bool:
    """Return whether the first record names the columns.

    It does if it has a name we know, or if none of its cells is a number while later ones are.
    """
    if options.header is not None:
        return options.header
    if options.format == "wide_csv":
        return True
    if any(plain_name(cell) in HEADER_NAMES for cell in records[0]):
        return True
    later_number = any(_is_number(cell) for record in records[1:] for cell in record)
    return later_number and not any(_is_number(cell) for cell in records[0])


def find_long(
    names: Sequence[str],
    width: int,
    body: Sequence[Sequence[str]],
    columns: InputColumns,
    path: str,
) -> LongColumns:
    """Find the parts of a long table: as configured, by known names, then by the usual order.

    `names` is empty where there is no header. Raises InputError where a part stays unknown.
    """
    found: dict[str, int] = {}
    for part in _NAMES:
        wanted: str = getattr(columns, part)
        if wanted and wanted != _NO_TIMESTAMP:
            found[part] = find_column(wanted, names, width, f"ingest.columns.{part}", path)
    for part, known in _NAMES.items():
        free = [
            i
            for i, name in enumerate(names)
            if plain_name(name) in known and i not in found.values()
        ]
        if free and part not in found and getattr(columns, part) != _NO_TIMESTAMP:
            found[part] = free[0]
    missing = [part for part in ("user", "item", "rating") if part not in found]
    rest = [i for i in range(width) if i not in found.values()]
    by_order = len(missing) == 3 and (not names or width <= 4)
    if missing and (len(rest) == len(missing) == 1 or (by_order and len(rest) >= 3)):
        found |= dict(zip(missing, rest, strict=False))
        rest = rest[len(missing) :]
    elif missing:
        shown = ", ".join(names) if names else f"{width} columns without names"
        raise InputError(
            f"{path}: cannot tell which column is the {' or the '.join(missing)} (found: {shown})",
            f'set ingest.columns.{missing[0]} = "NAME", or a position such as "1"; '
            "if the delimiter is at fault, set ingest.format",
        )
    if "timestamp" not in found and not names and rest and columns.timestamp != _NO_TIMESTAMP:
        values = [record[rest[0]] for record in body]
        found |= {"timestamp": rest[0]} if looks_like_timestamp(values) else {}
    return LongColumns(found["user"], found["item"], found["rating"], found.get("timestamp", -1))


def find_column(wanted: str, names: Sequence[str], width: int, setting: str, path: str) -> int:
    """Return the position (from 0) of a column given by its name or its 1-based position."""
    stripped = wanted.strip()
    for same in (
        lambda name: name == stripped,
        lambda name: plain_name(name) == plain_name(stripped),
    ):
        for i, name in enumerate(names):
            if name and same(name):
                return i
    if stripped.isdecimal() and 1 <= int(stripped) <= width:
        return int(stripped) - 1
    shown = ", ".join(names) if names else f"positions 1 to {width}"
    raise InputError(f'{path} has no column "{wanted}" (found: {shown})', f"correct {setting}")


def _is_wide(names: Sequence[str], body: Sequence[Sequence[str]], options: IngestOptions) -> bool:
    if options.format in ("wide_csv", "csv", "dat", "tab"):
        return options.format == "wide_csv"
    if options.columns.item or options.columns.rating:
        return False
    plain = [plain_name(name) for name in names]
    if any(name in _NAMES["rating"] for name in plain):
        return False
    columns = list(zip(*body, strict=True)) or [()] * len(names)
    numeric = [i for i, cells in enumerate(columns) if _mostly_numbers(cells)]
    others = [i for i in numeric if plain[i] not in _NAMES["user"] | _NAMES["timestamp"]]
    if len(others) < 2 or any(name in _NAMES["item"] for name in plain):
        return False
    if len(names) > _MOST_LONG_COLUMNS:
        return True
    first = next((i for i in range(len(names)) if plain[i] not in _NAMES["timestamp"]), 0)
    return len(set(columns[first])) == len(body) > 1


def _wide(
    names: Sequence[str], body: Sequence[Sequence[str]], options: IngestOptions, path: str
) -> WideColumns:
    width, plain = len(names), [plain_name(name) for name in names]
    columns = [list(cells) for cells in zip(*body, strict=True)] or [[] for _ in names]
    given = options.columns
    extra = {
        find_column(name, names, width, "ingest.wide_extra_columns", path)
        for name in options.wide_extra_columns
    }
    texts = {i for i in range(width) if not _mostly_numbers(columns[i])}
    timestamp = -1
    if given.timestamp and given.timestamp != _NO_TIMESTAMP:
        timestamp = find_column(given.timestamp, names, width, "ingest.columns.timestamp", path)
    elif not given.timestamp:
        times = [i for i in range(width) if plain[i] in _NAMES["timestamp"]]
        timestamp = next((i for i in times if looks_like_timestamp(columns[i])), -1)
    named = {i for i in range(width) if plain[i] in _NAMES["timestamp"] | _REMARKS}
    remarks = extra if options.wide_extra_columns else named | texts
    if given.user:
        user = find_column(given.user, names, width, "ingest.columns.user", path)
    else:
        user = _user_column(plain, columns, texts, extra | {timestamp})
    index = (
        {0} if not names[0] and user != 0 else set[int]()
    )  # an unnamed row index, as pandas writes
    left_out = remarks | index | {user, timestamp}
    items = tuple((i, names[i]) for i in range(width) if i not in left_out)
    if not items:
        raise InputError(
            f"{path}: no column looks like an item (found: {', '.join(names)})",
            "a wide sheet has one row a user and one column an item; see docs/ingest.md",
        )
    return WideColumns(user, items, timestamp)


def _user_column(
    plain: Sequence[str],
    columns: Sequence[Sequence[str]],
    texts: set[int],
    taken: set[int],
) -> int:
    """Pick who rated: a name we know, an e-mail address, the first column of text, or the first."""
    free = [i for i in range(len(plain)) if i not in taken]
    by_name = [i for i in free if plain[i] in _NAMES["user"]]
    by_mail = [i for i in free if plain[i] in _CONTACT]
    by_text = [i for i in free if i in texts and plain[i] not in _REMARKS | _NAMES["timestamp"]]
    by_text = [i for i in by_text if any(columns[i])]
    return (by_name or by_mail or by_text or free or [0])[0]


def plain_name(name: str) -> str:
    """Reduce a column name to its letters and digits: "User ID" and user_id are both userid."""
    return "".join(c for c in name.lower() if c.isalnum())


def _title(names: Sequence[str], i: int) -> str:
    return f"'{names[i]}'" if names[i] else f"column {i + 1}"


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _mostly_numbers(cells: Sequence[str]) -> bool:
    """Return whether at least half are; formulas and errors such as #N/A stand for numbers."""
    filled = [cell for cell in cells if cell]
    return 2 * sum(_is_number(c) or c[0] in "=#" for c in filled) >= len(filled)
