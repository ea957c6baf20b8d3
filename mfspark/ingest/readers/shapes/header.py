"""Which record of a table names its columns, and which records above it are titles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from mfspark.ingest.readers.shapes.cells import Cells, is_number
from mfspark.ingest.readers.shapes.names import HEADER_NAMES, parts_named, plain_name

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

Record = list[str]
_TITLES = 20  # records at the top that may be titles
_COMMENT = ("#", "%")
_FEWEST = 4  # titles, and rows below them, that tell numbers apart
_MOSTLY = 0.8


def find_header(records: Sequence[Record], options: IngestOptions) -> tuple[Record, int]:
    """Return the names of the columns, none if there is no header, and how many records to skip.

    A record that names two parts is the header, wherever it stands above the data. Otherwise it is
    the first one below the titles, if it has a name we know, or if none of its cells is a number
    while later ones are. A title fills at most half of its cells, and holds no number. Comments
    above, lines that begin with # or %, are no records.
    """
    if options.header is not None:
        return (records[0], 1) if options.header else ([], 0)
    width = Counter(len(record) for record in records if any(record)).most_common(1)[0][0]
    if comments := _n_comments(records, width):
        names, skip = find_header(records[comments:], options)
        return names, comments + skip
    for n, record in enumerate(records[:_TITLES]):
        if len(parts_named(record)) > 1:
            return record, n + 1
        if len(record) == width and all(record) and any(map(is_number, record)):
            break
    titles = 0
    while titles < min(_TITLES, len(records)) and _may_be_title(records[titles], width):
        titles += 1
    if titles < len(records) and _names_columns(records[titles:]):
        titles += _titles_of_groups(records[titles:])
        above = records[titles - 1] if titles else []
        return _named_above(records[titles], above), titles + 1
    if _names_columns(records) and not _stand_above_data(records, titles, width):
        return records[0], 1
    if options.format == "wide_csv":
        return records[0], 1
    return [], titles if _stand_above_data(records, titles, width) else 0


def _n_comments(records: Sequence[Record], width: int) -> int:
    """Count the comments at the top; none where records below begin like them, or nothing is."""
    n = 0
    while n < min(_TITLES, len(records)) and _is_comment(records[n], width):
        n += 1
    marks = {record[0][0] for record in records[:n]}
    below = [record for record in records[n:] if any(record)]
    return 0 if not below or any(record[0][:1] in marks for record in below) else n


def _is_comment(record: Record, width: int) -> bool:
    """Return whether a record begins as a comment does, and can be neither header nor data."""
    if not record or record[0][:1] not in _COMMENT or len(parts_named(record)) > 1:
        return False
    return len(record) != width or (len(record[0]) < 3 and any(map(is_number, record[1:])))


def _may_be_title(record: Record, width: int) -> bool:
    filled = [cell for cell in record if cell]
    return len(filled) <= max(1, width // 2) and not any(map(is_number, filled))


def _stand_above_data(records: Sequence[Record], titles: int, width: int) -> bool:
    """Return whether the titles are lines of one cell, right above rows of data."""
    if not 0 < titles < len(records) or width < 3 or parts_named(records[0]):
        return False
    return all(sum(map(bool, title)) <= 1 for title in records[:titles]) and all(records[titles])


def _names_columns(records: Sequence[Record]) -> bool:
    if any(plain_name(cell) in HEADER_NAMES for cell in records[0]):
        return True
    later_number = any(is_number(cell) for record in records[1:] for cell in record)
    if later_number and not any(map(is_number, records[0])):
        return True
    return _has_numbers_as_titles(records)


def _has_numbers_as_titles(records: Sequence[Record]) -> bool:
    """Return whether numbers beside a corner that is none are ids of items: ",101,102,107".

    They ascend, or are hardly ever within what stands below.
    """
    corner, *titles = records[0]
    body = [record for record in records[1:] if len(record) == len(records[0])]
    if is_number(corner) or len(titles) < _FEWEST or len(body) < _FEWEST:
        return False
    if len(set(titles)) < len(titles) or not all(title.isdecimal() for title in titles):
        return False
    if not all(record[0] for record in body):
        return False
    numbers = [int(title) for title in titles]
    if all(a < b for a, b in pairwise(numbers)):
        return True
    below = [Cells([record[i] for record in body]).values for i in range(1, len(titles) + 1)]
    apart = [n < v.min() or n > v.max() for n, v in zip(numbers, below, strict=True) if len(v)]
    return sum(apart) > _MOSTLY * len(titles)


def _titles_of_groups(records: Sequence[Record]) -> int:
    """Return how many records at the top name groups of columns, which the next one names each.

    Genre  Drama  Drama  Comedy        a title differs from all others, and stands above numbers
    Name   Heat   Up     Big
    Ann    4      5      3
    """
    n = 0
    while n + 2 < min(_TITLES, len(records)) and len(records[n + 1]) == len(records[n]):
        if parts_named(records[n]) and not parts_named(records[n + 1]):
            return n
        body = [record for record in records[n + 2 :] if len(record) == len(records[n])]
        columns = [Cells(cells) for cells in zip(*body, strict=True)]
        numeric = [i for i, c in enumerate(columns) if c.filled and c.mostly_numbers]
        titles = [records[n + 1][i] for i in numeric]
        named = all(titles) and not any(map(is_number, titles))
        if len(titles) < 2 or not named or len(set(titles)) < len(titles):
            return n
        n += 1
    return n


def _named_above(names: Record, above: Record) -> Record:
    """Give columns without a name the one right above, as cells that were merged leave it."""
    if sum(map(bool, above)) < 2 or len(above) != len(names):
        return names
    return [name or title for name, title in zip(names, above, strict=True)]
