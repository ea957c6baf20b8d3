"""Which columns of a wide table, one row a user, are items; the values say so beside the names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.shapes.cells import Cells
from mfspark.ingest.readers.shapes.names import (
    CONTACT,
    NAMES,
    REMARKS,
    TIERS,
    TOTALS,
    best_named,
    find_column,
    plain_name,
)
from mfspark.ingest.readers.times import looks_like_timestamp

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

_FEWEST_ROWS = 6  # below, what columns have in common may be chance
_MANY = 50  # values; among fewer, one is a good part
_SHARED = 0.7  # of the columns must reach over the scale
_CODE_SHARE = 0.01  # of the cells: what is rarer is a slip of the pen


@dataclass(frozen=True)
class WideColumns:
    """Positions (from 0) in a table with one row a user, and each item column with its title."""

    user: int
    """-1: no column says who; users are the numbers of their lines."""
    items: tuple[tuple[int, str], ...]
    timestamp: int = -1
    not_rated: tuple[float, ...] = ()
    """Numbers that stand for a blank cell, such as Jester's 99."""
    left_out: tuple[tuple[int, str], ...] = field(default=(), compare=False)
    """Columns of numbers that are no items by what they hold, each with the reason."""

    def describe(self, names: Sequence[str]) -> str:
        """Say which columns are read as what, and which are ignored."""
        used, why = {self.user, self.timestamp, *(i for i, _ in self.items)}, dict(self.left_out)
        rest = [i for i in range(len(names)) if i not in used]
        ignored = [title_of(names, i) + (f" ({why[i]})" if i in why else "") for i in rest]
        user = title_of(names, self.user) if self.user >= 0 else "number of the line"
        words = [f"wide, user = {user}", f"{len(self.items)} items"]
        words += [f"timestamp = {title_of(names, self.timestamp)}"] if self.timestamp >= 0 else []
        words += [f"{code:g} = not rated" for code in self.not_rated]
        words += [f"ignored: {', '.join(ignored)}"] if ignored else []
        return ", ".join(words)


def title_of(names: Sequence[str], i: int) -> str:
    """Return a column's name in quotes, or its number."""
    return f"'{names[i]}'" if names[i] else f"column {i + 1}"


@dataclass(frozen=True)
class Scale:
    """The scale that columns of numbers share, and which of them lie on it."""

    low: float
    high: float
    inside: tuple[int, ...]
    share: float
    """Of the inside columns with several values, how many reach over a tenth of the scale."""


@dataclass(frozen=True)
class Wide:
    """A table read as wide, and what its sample shows."""

    columns: WideColumns
    names: Sequence[str]
    cells: Sequence[Cells]
    user: Cells | None
    numeric: Sequence[int]
    """Columns of numbers that no name rules out."""
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
        return len(set(range(len(self.cells))) - used)

    @property
    def shares_range(self) -> bool:
        """Whether the items reach over one scale."""
        if len(self.numeric) == 2:
            one, other = (self.cells[i] for i in self.numeric)
            return on_one_scale(one, other) or not (len(one.values) and len(other.values))
        return self.scale is not None and self.scale.share >= _SHARED

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
    def numbered_users(self) -> int:
        """Number of users, if they are numbers."""
        return len(self.user.filled) if self.user and self.user.mostly_numbers else 0


def user_column(
    names: Sequence[str], columns: Sequence[Cells], texts: set[int], taken: set[int]
) -> int:
    """Pick who rated: by the best name, or an e-mail address.

    Otherwise the first column of text that tells rows apart, or of text, or the first. Returns -1
    where there are no names and the first column tells no rows apart.
    """
    plain = [plain_name(name) for name in names]
    free = [i for i in range(len(columns)) if i not in taken]
    by_mail = [i for i in free if names and plain[i] in CONTACT]
    by_text = [
        i
        for i in free
        if i in texts
        and columns[i].filled
        and not (names and plain[i] in REMARKS | NAMES["timestamp"])
    ]
    telling = [i for i in by_text if columns[i].n_distinct >= 0.8 * len(columns[i].texts)]
    found = best_named("user", names, free) or by_mail or telling or by_text
    if not found and not names and columns[0].n_distinct < len(columns[0].texts):
        return -1
    return (found or free or [0])[0]


def not_rated_codes(columns: Sequence[Cells], numeric: Sequence[int]) -> tuple[float, ...]:
    """Return the number, if any, that stands in many columns and apart from all other numbers.

    It is further from the next number than all others lie from one another (99 beside -10 to 10).
    """
    ends = [end for i in numeric if len(v := columns[i].values) for end in {v.min(), v.max()}]
    for code in sorted(set(ends), key=lambda end: -ends.count(end))[:2]:
        those = [columns[i].values for i in numeric if code in columns[i].values]
        pooled = np.concatenate(those)
        others = pooled[pooled != code]
        if 2 * len(those) < len(numeric) or len(set(others)) < 3 or len(those) < 2:
            continue
        gap = np.abs(others - code).min()
        if gap > np.ptp(others) and (pooled == code).mean() >= _CODE_SHARE:
            return (float(code),)
    return ()


def shared_scale(
    columns: Sequence[Cells], numeric: Sequence[int], codes: tuple[float, ...]
) -> Scale | None:
    """Find the scale that the columns of numbers share, from the half in their middle.

    A column whose median lies further outside than the scale is long is not on it: ages, totals,
    telephone numbers. Returns None where there is no number.
    """
    values = {i: columns[i].values[~np.isin(columns[i].values, codes)] for i in numeric}
    medians = {i: float(np.median(v)) for i, v in values.items() if len(v)}
    if not medians:
        return None
    middle = float(np.median(list(medians.values())))
    nearest = sorted(medians, key=lambda i: (abs(medians[i] - middle), i))
    pooled = np.concatenate([values[i] for i in nearest[: (len(nearest) + 1) // 2]])
    rare = 0.02 if len(pooled) > _MANY else 0.0  # slips of the pen do not widen the scale
    low, high = (float(x) for x in np.quantile(pooled, [rare, 1 - rare]))
    room = max(high - low, _room(len(pooled)))
    inside = [i for i in numeric if i not in medians or low - room <= medians[i] <= high + room]
    dense = [values[i] for i in inside if i in values and len(values[i]) >= _FEWEST_ROWS]
    dense = [v for v in dense if np.ptp(v)]  # what is constant shows nothing
    reach = [min(float(v.max()), high) - max(float(v.min()), low) for v in dense]
    share = sum(r >= (high - low) / 10 for r in reach) / len(dense) if dense else 1.0
    return Scale(low, high, tuple(inside), share)


def on_one_scale(one: Cells, other: Cells) -> bool:
    """Return whether two columns of numbers reach about equally far."""
    if not (one.mostly_numbers and other.mostly_numbers and len(one.values) and len(other.values)):
        return False
    spans = [float(np.ptp(cells.values)) for cells in (one, other)]
    few = min(len(one.values), len(other.values)) < _FEWEST_ROWS
    reach = float(np.ptp(np.concatenate([one.values, other.values])))
    return reach <= max(2 * min(spans) + 1, _room(0) if few else 0)


def _room(n: int) -> float:
    """Return how far apart n ratings of one scale may lie at least."""
    return 1.0 if n >= _FEWEST_ROWS else 4.0


def sums_of_others(
    columns: Sequence[Cells], items: Sequence[int], codes: tuple[float, ...]
) -> dict[int, str]:
    """Return the columns that are the sum, the mean or the number of the others, and which."""
    if len(items) < 3 or len(columns[items[0]].texts) < _FEWEST_ROWS:
        return {}
    table = np.stack([columns[i].numbers for i in items])
    known = np.isfinite(table) & ~np.isin(table, codes)
    sums, counts = np.where(known, table, 0).sum(0), known.sum(0)
    found: dict[int, str] = {}
    for row, i in enumerate(items):
        here = known[row]
        rest_sum = (sums - np.where(here, table[row], 0))[here]
        rest_n = (counts - here)[here]
        mean = rest_sum / np.maximum(rest_n, 1)
        kinds = (("sum", rest_sum, 1e-6), ("mean", mean, 0.0051), ("number", rest_n, 1e-6))
        for word, expected, room in kinds:
            close = np.abs(table[row][here] - expected) <= room
            if here.sum() >= _FEWEST_ROWS and close.mean() >= 0.9 and np.ptp(table[row][here]):
                found[i] = f"the {word} of the others"
    return found


def is_row_number(column: Cells) -> bool:
    """Return whether a column counts the rows: whole numbers, each one more than the last."""
    values = column.values
    return len(values) >= _FEWEST_ROWS and bool((np.diff(values) == 1).all())


def left_out_by_name(names: Sequence[str]) -> set[int]:
    """Return the columns whose names say that they are no items."""
    said = NAMES["timestamp"] | REMARKS | TOTALS
    return {i for i, name in enumerate(names) if plain_name(name) in said}


def read_as_wide(
    names: Sequence[str], columns: Sequence[Cells], options: IngestOptions, path: str
) -> Wide:
    """Read a table as wide, whatever speaks against it; titles are numbers where it has no header.

    Raises InputError for a configured column that is not there.
    """
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
    numeric = [i for i in range(len(columns)) if i not in remarks | index | {user, timestamp}]
    codes = not_rated_codes(columns, numeric)
    scale = shared_scale(columns, numeric, codes)
    why = {} if extra else _no_items(columns, numeric, scale, codes)
    if options.format == "wide_csv" and 2 * len(why) >= len(numeric):
        why = {}  # it is said to be wide, and what is left says little
    items = [i for i in numeric if i not in why]
    titles = [names[i] for i in items] if names else [str(n + 1) for n in range(len(items))]
    found = WideColumns(
        user,
        tuple(zip(items, titles, strict=True)),
        timestamp,
        codes,
        tuple(why.items()),
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


def _no_items(
    columns: Sequence[Cells],
    numeric: Sequence[int],
    scale: Scale | None,
    codes: tuple[float, ...],
) -> dict[int, str]:
    """Return the columns of numbers that are no items by what they hold, each with the reason."""
    why = {i: "numbers the rows" for i in numeric if is_row_number(columns[i])}
    if scale:
        reason = f"outside the scale {scale.low:g} to {scale.high:g} of the others"
        why |= {i: reason for i in numeric if i not in scale.inside and i not in why}
    return why | sums_of_others(columns, [i for i in numeric if i not in why], codes)


def sums_up(users: pa.Array) -> pa.Array:
    """Return which cells of a user column are no names but say Total, Average and the like."""
    plain = pc.replace_substring_regex(pc.utf8_lower(users), r"[^\p{L}\p{N}]", "")
    return pc.is_in(plain, pa.array(sorted(TOTALS)))
