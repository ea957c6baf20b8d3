"""Which columns of a wide table, one row a user, are items; the values say so beside the names."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mfspark.ingest.readers.shapes.cells import Cells, Sample
from mfspark.ingest.readers.shapes.left_out import (
    columns_with_a_reason,
    left_out_by_name,
    outside_scale,
    rows_left_out,
    summing_columns,
)
from mfspark.ingest.readers.shapes.names import (
    NAMES,
    NO_PARTS,
    PERSON_IDS,
    REMARKS,
    ROW_NUMBERS,
    TIERS,
    UNSURE,
    best_named,
    find_column,
    names_an_id,
    names_an_item,
    plain_name,
)
from mfspark.ingest.readers.shapes.scale import (
    Scale,
    not_rated_codes,
    on_one_scale,
    shared_scale,
)
from mfspark.ingest.readers.times import looks_like_timestamp

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

_SHARED = 0.7  # of the columns must reach over the scale
_SHOWN = 3  # rows left out that are named


@dataclass(frozen=True)
class WideColumns:
    """Positions (from 0) in a table with one row a user, and each item column with its title."""

    user: int
    """-1: no column says who; users are the numbers of their lines."""
    items: tuple[tuple[int, str], ...]
    timestamp: int = -1
    not_rated: tuple[float, ...] = ()
    """Numbers that stand for a blank cell, such as Jester's 99."""
    totals: tuple[tuple[int, str], ...] = ()
    """Lines of the rows at the beginning of the file that sum up others, each with the reason."""
    flags: bool = False
    """Whether its ratings are 0 and 1 alone: likes, or what was bought."""
    left_out: tuple[tuple[int, str], ...] = field(default=(), compare=False)
    """Columns of numbers that are no items by what they hold, each with the reason."""

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all columns that are read."""
        items = (i for i, _ in self.items)
        return tuple(i for i in (self.user, *items, self.timestamp) if i >= 0)

    def describe(self, names: Sequence[str]) -> str:
        """Say which columns are read as what, and which are ignored."""
        why = dict(self.left_out)
        rest = [i for i in range(len(names)) if i not in self.used]
        ignored = [title_of(names, i) + (f" ({why[i]})" if i in why else "") for i in rest]
        user = title_of(names, self.user) if self.user >= 0 else "number of the line"
        words = [f"wide, user = {user}", f"{len(self.items)} items"]
        titles = Counter(title for _, title in self.items)
        twice = [f"'{title}'" for title, n in titles.items() if n > 1]
        words += [f"several columns are one item: {', '.join(twice)}"] if twice else []
        words += [f"timestamp = {title_of(names, self.timestamp)}"] if self.timestamp >= 0 else []
        words += [flags_in_words()] if self.flags else []
        words += [f"{code:g} = not rated" for code in self.not_rated]
        lines = [f"line {line} ({reason})" for line, reason in self.totals[:_SHOWN]]
        lines += [f"{len(self.totals) - _SHOWN} more"] if len(self.totals) > _SHOWN else []
        words += [f"rejected as totals: {', '.join(lines)}"] if lines else []
        words += [f"ignored: {', '.join(ignored)}"] if ignored else []
        return ", ".join(words)


def flags_in_words(rating: str = "") -> str:
    """Say what to do where ratings of 0 and 1 are choices; `rating` names their column, if any."""
    named = f" --set ingest.columns.rating={shlex.quote(rating)}" if rating else ""
    options = f"--set ingest.feedback=implicit --set ingest.missing_ratings=[0]{named}"
    return f"its ratings are 0 and 1 alone (if 1 is a choice and 0 is none: {options})"


def title_of(names: Sequence[str], i: int) -> str:
    """Return a column's name in quotes, or its number."""
    return f"'{names[i]}'" if names[i] else f"column {i + 1}"


@dataclass(frozen=True)
class Wide:
    """A table read as wide, and what its sample shows."""

    columns: WideColumns
    names: Sequence[str]
    cells: Sequence[Cells]
    user: Cells | None
    numeric: Sequence[int]
    """Columns of numbers that may be items: not those that sum up others or count the rows."""
    scale: Scale | None

    @property
    def n_rows(self) -> int:
        """Rows of the sample."""
        return len(self.cells[0].texts)

    @property
    def share_inside(self) -> float:
        """Share of the columns of numbers that are items."""
        return len(self.columns.items) / max(1, len(self.numeric))

    @property
    def n_unexplained(self) -> int:
        """How many columns are neither the user nor items, and no name says why."""
        items = {i for i, _ in self.columns.items}
        used = items | {self.columns.user, self.columns.timestamp} | left_out_by_name(self.names)
        known = {i for i, _ in self.columns.left_out if i not in self.numeric}
        return len(set(range(len(self.cells))) - used - known)

    @property
    def shares_range(self) -> bool:
        """Whether the items reach over one scale."""
        if len(self.numeric) == 2:
            one, other = (self.cells[i] for i in self.numeric)
            return on_one_scale(one, other) or not (len(one.values) and len(other.values))
        return self.scale is not None and self.scale.share >= _SHARED

    @property
    def has_a_row_an_item(self) -> bool:
        """Whether the name above what should be users is that of items."""
        user = self.columns.user
        return user >= 0 and bool(self.names) and names_an_item(self.names[user])

    @property
    def has_dates_as_titles(self) -> bool:
        """Whether all titles are dates, as of measurements."""
        titles = [title for _, title in self.columns.items]
        dates = [title for title in titles if not title.isdecimal()]
        return len(dates) == len(titles) > 0 and all(looks_like_timestamp([d]) for d in dates)

    @property
    def has_flags_alone(self) -> bool:
        """Whether there are no titles, and what stands below is 0 and 1, as flags of genres."""
        return not self.names and self.columns.flags

    @property
    def share_of_users(self) -> float:
        """Distinct users, as a share of the rows."""
        n = len(self.user.filled) if self.user else 0
        return self.user.n_distinct / n if self.user and n else 1.0

    @property
    def named_parts(self) -> int:
        """How many columns have names of items or ratings that few titles have."""
        sure = TIERS["item"][0] | TIERS["item"][1] | NAMES["rating"]
        return len({plain_name(name) for name in self.names} & sure)

    @property
    def has_odd_titles(self) -> bool:
        """Whether a third of the items are called as what lies beside ratings: helpful, price."""
        titles = [plain_name(title) for _, title in self.columns.items]
        return 0 < len(titles) <= 3 * sum(title in NO_PARTS for title in titles)

    @property
    def n_ids(self) -> int:
        """Number of users, if they are ids: numbers, or words with digits."""
        user = self.user
        return len(user.filled) if user and (user.mostly_numbers or user.are_codes) else 0

    @property
    def has_few_items(self) -> bool:
        """Whether its items are two columns, or three of unlike range: an id, say, and a rating."""
        items = [self.cells[i] for i, _ in self.columns.items]
        if len(items) == 3:
            return not all(on_one_scale(*pair) for pair in combinations(items, 2))
        return len(items) == 2

    @property
    def has_more_columns(self) -> bool:
        """Whether there are columns beside the user and the items."""
        return len(self.cells) > len(self.columns.items) + (self.user is not None)


def user_column(
    names: Sequence[str], columns: Sequence[Cells], texts: set[int], taken: set[int]
) -> int:
    """Pick who rated: by the best name (of an e-mail address, too), or a column of ids.

    Otherwise the first column of text that tells rows apart, or of text, or the first. Names that
    come again are no users where ids tell them apart. Returns -1 where there are no names and the
    first column tells no rows apart.
    """
    plain = [plain_name(name) for name in names]
    free = [i for i in range(len(columns)) if i not in taken]
    by_id = [i for i in free if names and _is_person_id(names[i]) and _tells_apart(columns[i])]
    by_text = [
        i
        for i in free
        if i in texts
        and columns[i].filled
        and not (names and plain[i] in REMARKS | NAMES["timestamp"])
    ]
    telling = [i for i in by_text if columns[i].n_distinct >= 0.8 * len(columns[i].texts)]
    named = best_named("user", names, free)
    if named and by_id and plain[named[0]] in UNSURE and not _tells_apart(columns[named[0]]):
        named = by_id
    found = named or by_id or telling or by_text
    if not found and not names and columns[0].n_distinct < len(columns[0].texts):
        return -1
    return (found or free or [0])[0]


def _is_person_id(name: str) -> bool:
    plain = plain_name(name)
    known = plain in PERSON_IDS
    return known or (names_an_id(name) and plain not in ROW_NUMBERS | REMARKS)


def _tells_apart(column: Cells) -> bool:
    return len(column.filled) == column.n_distinct > 0


def read_as_wide(sample: Sample, options: IngestOptions) -> Wide:
    """Read a table as wide, whatever speaks against it; titles are numbers where it has no header.

    Raises InputError for a configured column that is not there.
    """
    names, columns, path = sample.names, sample.columns, sample.path
    extra = {
        find_column(name, names, len(columns), "ingest.wide_extra_columns", path)
        for name in options.wide_extra_columns
    }
    texts = {i for i, cells in enumerate(columns) if not cells.mostly_numbers}
    timestamp = _timestamp(names, columns, options, path)
    if options.columns.user:
        given = options.columns.user
        user = find_column(given, names, len(columns), "ingest.columns.user", path)
    else:
        user = user_column(names, columns, texts, extra | {timestamp})
    index = {0} if names and not names[0] and user != 0 else set[int]()  # as pandas writes
    remarks = extra if extra else left_out_by_name(names) | texts
    empty = {i for i, cells in enumerate(columns) if names and not (names[i] or cells.filled)}
    others = remarks | index | empty | {user, timestamp}
    numeric = [i for i in range(len(columns)) if i not in others]
    rows = rows_left_out(columns, user, numeric)
    columns = [cells.without(rows) for cells in columns]
    codes = not_rated_codes(columns, numeric)
    why = {} if extra else columns_with_a_reason(names, columns, numeric)
    scale = shared_scale(columns, [i for i in numeric if i not in why], codes)
    if scale and not extra:
        why |= summing_columns(names, columns, scale.inside, numeric, codes)
    numeric = [i for i in numeric if i not in why]
    if scale and not extra:
        apart = outside_scale(scale, numeric)
        if options.format != "wide_csv" or 2 * len(apart) < len(numeric):
            why |= apart  # where it is said to be wide, what would be left says little
    items = [i for i in numeric if i not in why]
    titles = [names[i] for i in items] if names else [str(n + 1) for n in range(len(items))]
    values = {value for i in items for value in np.unique(columns[i].values)}
    found = WideColumns(
        user,
        tuple(zip(items, titles, strict=True)),
        timestamp,
        codes,
        tuple((sample.lines[row], word) for row, word in sorted(rows.items())),
        values == {0.0, 1.0},
        tuple(sorted(why.items())),
    )
    who = columns[user] if user >= 0 else None
    return Wide(found, names, columns, who, numeric, scale)


def _timestamp(
    names: Sequence[str], columns: Sequence[Cells], options: IngestOptions, path: str
) -> int:
    given = options.columns.timestamp
    if given == "-":
        return -1
    if given:
        return find_column(given, names, len(columns), "ingest.columns.timestamp", path)
    times = [i for i, name in enumerate(names) if plain_name(name) in NAMES["timestamp"]]
    return next((i for i in times if looks_like_timestamp(columns[i].texts)), -1)
