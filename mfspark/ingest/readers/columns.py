"""Which column plays which part: header, user, item, rating and timestamp, told from a sample.

The sample is a list of records, each a list of cell texts, however the file is stored. A table is
*long* (one row a rating) or *wide* (one row a user, one column an item). `docs/ingest.md` states
the rules in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mfspark.errors import InputError
from mfspark.ingest.readers.quotes import LINE_END
from mfspark.ingest.readers.shapes.cells import Cells, Sample
from mfspark.ingest.readers.shapes.guesses import (
    PARTS,
    as_many_as_missing,
    completed,
    how_often,
    left_over,
    usual_order,
    without_times,
)
from mfspark.ingest.readers.shapes.header import find_header
from mfspark.ingest.readers.shapes.long import LongColumns
from mfspark.ingest.readers.shapes.names import (
    NO_PARTS,
    TIERS,
    UNSURE,
    best_named,
    find_column,
    named_twice,
    plain_name,
)
from mfspark.ingest.readers.shapes.personal import ONE_PERSON, export_of, person_of
from mfspark.ingest.readers.shapes.readings import (
    MOST_LONG_COLUMNS,
    Long,
    is_clearly_long,
    prefers_wide,
)
from mfspark.ingest.readers.shapes.refusal import unclear
from mfspark.ingest.readers.shapes.wide import Wide, WideColumns, read_as_wide
from mfspark.ingest.readers.times import looks_like_timestamp

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions, InputColumns

SAMPLE_RECORDS = 1000
_NONE = "-"


@dataclass(frozen=True)
class FileColumns:
    """How the records of one file are read."""

    columns: LongColumns | WideColumns
    skip: int
    """Records before the first rating: blank ones, titles and the header."""
    n_columns: int
    description: str


def without_ratings(columns: LongColumns | WideColumns) -> bool:
    """Return whether rows are choices without ratings."""
    return isinstance(columns, LongColumns) and (columns.counts or columns.rating < 0)


def file_columns(
    sample: Sequence[Sequence[str]],
    options: IngestOptions,
    path: str,
    lines: Sequence[int] | None = None,
) -> FileColumns:
    """Tell the layout from the first records of a file; None: each line holds one.

    Raises InputError where the parts cannot be told apart, with the columns found and the setting
    that names them.
    """
    blank = next((n for n, record in enumerate(sample) if any(c.strip() for c in record)), None)
    if blank is None:
        raise InputError(f"{path} holds no rows", "check how it was exported")
    records = [[cell.strip() for cell in record] for record in sample[blank:]]
    names, skip = find_header(records, options)
    names = [name.replace(LINE_END, " ") for name in names]
    rows = [n for n in range(skip, len(records)) if any(records[n])]
    width = len(names) or Counter(len(records[n]) for n in rows).most_common(1)[0][0]
    rows = [n for n in rows if len(records[n]) == width]
    columns = list(zip(*(records[n] for n in rows), strict=True)) or [()] * width
    places = [lines[blank + n] if lines else blank + n + 1 for n in rows]
    table = Sample(path, names, [Cells(cells) for cells in columns], places)
    found = table_columns(table, options)
    return FileColumns(found, blank + skip, width, found.describe(names or [""] * width))


def table_columns(sample: Sample, options: IngestOptions) -> LongColumns | WideColumns:
    """Choose the reading of a table: as configured, by known names, else by its values.

    Raises InputError where none is clearly best.
    """
    given = options.columns
    if options.format == "wide_csv":
        wide = read_as_wide(sample, options)
        if wide.columns.items:
            return wide.columns
        raise InputError(
            f"{sample.path}: no column looks like an item (found: {sample.shown})",
            "a wide sheet has one row a user and one column an item; see docs/ingest.md",
        )
    found = _parts(sample, given)
    if (one_persons := _of_one_person(sample, found, options)) is not None:
        return one_persons
    if (choices := _choices(sample, found, options)) is not None:
        return choices
    if options.format in ("csv", "dat", "tab") or given.item or given.rating:
        if any(part not in found for part in PARTS):
            found |= as_many_as_missing(sample, found) or usual_order(sample, found)
        if any(part not in found for part in PARTS):
            raise unclear(sample, found, [])
        return _long(sample, found, given)
    if all(part in found for part in PARTS) and (given.user or not _is_unsure(sample, found)):
        return _long(sample, found, given)
    return _by_values(sample, found, options)


def _of_one_person(
    sample: Sample, found: Mapping[str, int], options: IngestOptions
) -> LongColumns | None:
    """Return the columns of a file that is one user; None where it is not known to be one.

    Raises InputError where it is said to be one, but not what is rated, or how.
    """
    given, names = options.columns, sample.names
    export = None if given.user else export_of(names)
    if not export and given.user != ONE_PERSON:
        return None
    parts = {**found, "user": -1}
    other_time = -1
    if export:
        known = export.parts(names)
        parts |= {part: i for part, i in known.items() if not getattr(given, part)}
        other_time = -1 if given.timestamp else export.other_time(names)
    else:
        parts |= as_many_as_missing(sample, parts)
    if "item" not in parts or "rating" not in parts:
        raise unclear(sample, parts, [])
    return replace(
        _long(sample, parts, given),
        person=person_of(sample.path),
        service=export.service if export else "",
        other_time=other_time,
        not_rated=export.not_rated if export else (),
    )


def _choices(sample: Sample, found: dict[str, int], options: IngestOptions) -> LongColumns | None:
    """Return the columns of a table without ratings; None where it has some, or may have.

    `auto`: there are names of a user and an item, and nothing else but times and how often they
    were chosen. `implicit`: a rating that has a name counts as so many choices, other columns are
    ignored.
    """
    implicit = options.feedback == "implicit"
    if "rating" in found or options.feedback == "explicit":
        return None
    parts = dict(found)
    count = how_often(sample, left_over(sample, parts))
    if implicit and "user" not in found and "item" not in found and not sample.names:
        parts |= {"user": 0, "item": 1}
    elif implicit:
        parts |= as_many_as_missing(sample, found | {"rating": count})
    parts["rating"] = count
    unsure = "user" in found and not options.columns.user and _is_unsure(sample, found)
    rest = left_over(sample, parts)
    if "user" not in parts or "item" not in parts or (not implicit and (rest or unsure)):
        return None
    return replace(_long(sample, parts, options.columns), counts=count >= 0)


def _by_values(
    sample: Sample, found: dict[str, int], options: IngestOptions
) -> LongColumns | WideColumns:
    """Choose between the long reading, if there is one, and the wide one by what they hold."""
    missing = [part for part in PARTS if part not in found]
    guess = completed(sample, found, counts=options.feedback == "explicit")
    long = wide = None
    if all(part in guess for part in PARTS):
        user, item, rating = (sample.columns[guess[part]] for part in PARTS)
        rest = left_over(sample, guess)
        others = without_times(sample, rest)
        rivals = [] if missing else rest
        may_be_ids = [i for i in rivals if i in others and not _is_named(sample.names, i, NO_PARTS)]
        long = Long(
            user,
            item,
            rating,
            *([sample.columns[i] for i in some] for some in (others, rivals, may_be_ids)),
            n_columns=_n_columns(sample),
            guessed=tuple(missing),
        )
    if sample.names or len(sample.columns) > MOST_LONG_COLUMNS:
        wide = read_as_wide(sample, options)
    if wide and prefers_wide(long, wide):
        return wide.columns
    if long and is_clearly_long(long, wide, missing):
        flags = "rating" in missing and set(long.rating.values) == {0.0, 1.0}
        return replace(_long(sample, guess, options.columns), flags=flags)
    names = sample.names or [""] * len(sample.columns)
    readings: list[tuple[Long | Wide, str]] = []
    if long:
        columns = LongColumns(guess["user"], guess["item"], guess["rating"])
        readings.append((long, columns.describe(names)))
    if wide:
        readings.append((wide, replace(wide.columns, left_out=()).describe(names)))
    raise unclear(sample, found, readings)


def _parts(sample: Sample, given: InputColumns) -> dict[str, int]:
    """Find the parts that are configured, or have known names. Raises InputError."""
    found: dict[str, int] = {}
    width, names = len(sample.columns), sample.names
    for part in TIERS:
        wanted: str = getattr(given, part)
        if wanted and wanted != _NONE:
            setting = f"ingest.columns.{part}"
            found[part] = find_column(wanted, names, width, setting, sample.path)
    for part in TIERS:
        free = [i for i in range(width) if i not in found.values()]
        if part not in found and getattr(given, part) != _NONE:
            best = best_named(part, names, free)
            if part == "timestamp":
                times = [i for tier in TIERS[part] for i in free if _is_named(names, i, tier)]
                best = [i for i in times if looks_like_timestamp(sample.columns[i].texts)] or best
            found |= {part: best[0]} if best else {}
    return found


def _is_named(names: Sequence[str], i: int, known: frozenset[str]) -> bool:
    return bool(names) and plain_name(names[i]) in known


def _is_unsure(sample: Sample, found: dict[str, int]) -> bool:
    return _is_named(sample.names, found["user"], UNSURE)


def _n_columns(sample: Sample) -> int:
    """Return the number of columns without names; 3 where the fourth is a time."""
    fourth = sample.columns[len(PARTS) : len(PARTS) + 1]
    is_time = any(looks_like_timestamp(cells.texts) for cells in fourth)
    return len(PARTS) if sample.names or is_time else len(sample.columns)


def _long(sample: Sample, found: dict[str, int], given: InputColumns) -> LongColumns:
    """Return a long table's columns. Raises InputError where two columns could be one part."""
    for part in PARTS:
        if found[part] >= 0:
            _check_alone(sample, part, found, given)
    rest = left_over(sample, found)
    timestamp = found.get("timestamp", -1)
    if timestamp < 0 and not sample.names and rest and given.timestamp != _NONE:
        timestamp = rest[0] if looks_like_timestamp(sample.columns[rest[0]].texts) else -1
    return LongColumns(found["user"], found["item"], found["rating"], timestamp)


def _check_alone(sample: Sample, part: str, found: dict[str, int], given: InputColumns) -> None:
    """Raise InputError where another column is named as well as the one found.

    Two columns with different names, each of whose values stands beside one of the other's, say the
    same: an id and its index.
    """
    names, at = sample.names, found[part]
    if getattr(given, part) or not names:
        return
    free = [i for i in range(len(names)) if i == at or i not in found.values()]
    same = [i for i in free if plain_name(names[i]) == plain_name(names[at])]
    tier = best_named(part, names, free)
    rivals = [i for i in tier if at in tier and i != at and not _says_the_same(sample, i, at)]
    if len(same) > 1 or rivals:
        which = same if len(same) > 1 else [at, *rivals]
        raise named_twice(names, which, f"ingest.columns.{part}", sample.path)


def _says_the_same(sample: Sample, i: int, at: int) -> bool:
    one, other = (sample.columns[n].texts for n in (i, at))
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))
