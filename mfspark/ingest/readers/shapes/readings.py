"""Readings of a table whose names do not say what is what, weighed against the values themselves.

A reading is a guess: long with certain columns as user, item and rating, or wide. Each criterion of
the tables below that the sample speaks against a reading adds its weight; the lightest reading is
taken, where nothing comes near it. Otherwise nothing is taken, and the user is asked.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from mfspark.ingest.readers.shapes.cells import Cells
from mfspark.ingest.readers.shapes.scale import on_one_scale
from mfspark.ingest.readers.shapes.wide import Wide
from mfspark.ingest.readers.times import looks_like_timestamp

FATAL = 4
_CHANCE = 1e-6
_SMALLEST_TIME = 10_000  # a day of Excel
_ROWS = 10  # in fewer, repetition may be chance
MOST_LONG_COLUMNS = 5
"""A table of more columns that no name explains is hardly long."""


@dataclass(frozen=True)
class Long:
    """Columns as user, item and rating."""

    user: Cells
    item: Cells
    rating: Cells
    others: Sequence[Cells] = ()
    """The columns left over, times aside."""
    rivals: Sequence[Cells] = ()
    """Columns that may be the user as well as the one called `name`."""
    may_be_ids: Sequence[Cells] = ()
    """Those of them whose names do not deny it, times aside."""
    n_columns: int = 3
    """Number of columns without names; 3 where they have names or the fourth is a time."""
    guessed: Sequence[str] = ()
    """The parts that no name says."""

    @property
    def same_scale(self) -> bool:
        """Whether items could be ratings: both columns lie on one scale."""
        return on_one_scale(self.item, self.rating)

    @property
    def one_row_a_user(self) -> bool:
        """Whether no user comes again and items could be ratings, as in a wide table."""
        n = len(self.user.filled)
        return n >= _ROWS and self.user.n_distinct == n and self.same_scale

    @property
    def describes_users(self) -> bool:
        """Whether no user comes again, and there are more columns, as in a table of people."""
        n = len(self.user.filled)
        return (
            "user" in self.guessed
            and n >= _ROWS
            and self.user.n_distinct == n
            and bool(self.others)
        )

    @property
    def has_ids_beside_names(self) -> bool:
        """Whether users are names, and more ids than names come again in another column.

        Ages and zip codes are fewer than the people. What goes with the item (a film's year) is no
        id of a user, who rates an item once.
        """
        if self.user.are_codes:
            return False
        codes = [c for c in self.others if c.are_codes and not c.mostly_numbers]
        numbers = [c for c in self.may_be_ids if c.are_whole_numbers]
        return any(
            self.user.n_distinct < c.n_distinct < len(c.filled) and not _goes_with(c, self.item)
            for c in (*codes, *numbers)
        )

    @property
    def rates_one_side_alone(self) -> bool:
        """Whether each user, or each item, has one rating throughout: a weight, or a price."""
        return any(_has_one_rating_each(side, self.rating) for side in (self.user, self.item))

    @property
    def share_of_pairs(self) -> float:
        """Distinct pairs of user and item, as a share of the rows."""
        return _share_of_pairs(self.user, self.item)

    @property
    def best_rival(self) -> float:
        """The same share with the column left over that gives most."""
        return max((_share_of_pairs(rival, self.item) for rival in self.rivals), default=0.0)


def _are_times(rating: Cells) -> bool:
    """Return whether numbers, none of them small, are times; most columns cost no look at texts."""
    large = len(rating.values) > 0 and rating.values.min() >= _SMALLEST_TIME
    return large and looks_like_timestamp(rating.texts)


def _has_one_rating_each(side: Cells, rating: Cells) -> bool:
    """Return whether one rating goes with each id, and chance would hardly make it so."""
    pairs = {pair for pair in zip(side.texts, rating.texts, strict=True) if all(pair)}
    again = len(rating.filled) - side.n_distinct  # as often an id says again what it said
    commonest = max(Counter(rating.filled).values(), default=0) / max(1, len(rating.filled))
    return len(pairs) == side.n_distinct and again > 0 and commonest**again < _CHANCE


def _goes_with(column: Cells, item: Cells) -> bool:
    """Return whether one value goes with each item, and items come again."""
    pairs = [pair for pair in zip(item.texts, column.texts, strict=True) if all(pair)]
    n_items = len({item for item, _ in pairs})
    return len(set(pairs)) == n_items < len(pairs)


def _share_of_pairs(user: Cells, item: Cells) -> float:
    pairs = list(zip(user.texts, item.texts, strict=True))
    return len(set(pairs)) / len(pairs) if len(pairs) >= _ROWS else 1.0


def _may_be_long(wide: Wide) -> bool:
    """Return whether what stands beside ids may be another id and a rating.

    In a few rows, and where people have names, it is not worth a doubt.
    """
    return wide.n_ids >= _ROWS and wide.has_few_items


LONG: tuple[tuple[str, int, Callable[[Long], bool]], ...] = (
    (
        "its ratings are no numbers",
        FATAL,
        lambda t: 2 * len(t.rating.values) < len(t.rating.filled),
    ),
    ("its pairs of user and item come again", FATAL, lambda t: t.share_of_pairs < 0.8),
    (
        "another column tells its pairs apart better",
        FATAL,
        lambda t: t.best_rival > t.share_of_pairs,
    ),
    (
        "its users are names, and another column may be their ids",
        FATAL,
        lambda t: t.has_ids_beside_names,
    ),
    ("no user comes again, and its items may be ratings", FATAL, lambda t: t.one_row_a_user),
    ("no user comes again, and columns are left over", FATAL, lambda t: t.describes_users),
    (
        "its users look like products (ASIN, ISBN), and its items do not",
        FATAL,
        lambda t: "user" in t.guessed and t.user.are_products and not t.item.are_products,
    ),
    (
        "its ratings lie on no scale, or are times",
        FATAL,
        lambda t: "rating" in t.guessed and (not t.rating.on_a_scale or _are_times(t.rating)),
    ),
    (
        "each user or each item has one rating throughout",
        FATAL,
        lambda t: tuple(t.guessed) == ("rating",) and t.rates_one_side_alone,
    ),
    (
        "its ratings lie on no scale",
        2,
        lambda t: "rating" not in t.guessed and not t.rating.on_a_scale,
    ),
    ("its ratings ascend like ids", 2, lambda t: t.rating.ascends),
    ("its ids are fractions", 2, lambda t: t.user.has_fractions or t.item.has_fractions),
    ("it has too many columns", FATAL, lambda t: t.n_columns > MOST_LONG_COLUMNS),
    (
        "its cells are often blank",
        1,
        lambda t: min(c.share_filled for c in (t.user, t.item, t.rating)) < 0.9,
    ),
    ("its items lie on the scale of the ratings", 1, lambda t: t.same_scale),
    (
        "another column lies on the scale of the ratings",
        1,
        lambda t: any(on_one_scale(other, t.rating) for other in t.others),
    ),
)
WIDE: tuple[tuple[str, int, Callable[[Wide], bool]], ...] = (
    ("fewer than two of its columns lie on one scale", FATAL, lambda t: len(t.columns.items) < 2),
    ("its columns of numbers lie on no common scale", FATAL, lambda t: t.share_inside < 0.5),
    ("it has one row an item; transpose it", 2, lambda t: t.has_a_row_an_item),
    ("its cells are 0 and 1 and have no titles", 2, lambda t: t.has_flags_alone),
    ("its columns share no range", FATAL, lambda t: not t.shares_range),
    ("fewer columns are items than not", 2, lambda t: len(t.columns.items) < t.n_unexplained),
    ("its columns are named as dates", 2, lambda t: t.has_dates_as_titles),
    ("it is one row only", 2, lambda t: t.n_rows < 2 and len(t.names) <= MOST_LONG_COLUMNS),
    ("its users come again", 2, lambda t: t.share_of_users < 0.8),
    ("its columns are named as of a long table", 2, lambda t: t.named_parts > 0),
    ("its items are called as what lies beside ratings", 2, lambda t: t.has_odd_titles),
    ("it may be long: ids, and few columns of numbers", 1, _may_be_long),
    (
        "it may be long: columns are left over beside ids and few columns of numbers",
        1,
        lambda t: _may_be_long(t) and t.has_more_columns,
    ),
)


def objections(reading: Long | Wide) -> list[tuple[str, int]]:
    """Return what the sample says against a reading, with the weight of each."""
    if isinstance(reading, Long):
        return [(text, weight) for text, weight, speaks in LONG if speaks(reading)]
    return [(text, weight) for text, weight, speaks in WIDE if speaks(reading)]


def weight(reading: Long | Wide) -> int:
    """Return how much speaks against a reading; 0 is a perfect fit."""
    return sum(found for _, found in objections(reading))


def prefers_wide(long: Long | None, wide: Wide) -> bool:
    """Return whether a table is clearly wide."""
    return weight(wide) < 2 and (long is None or weight(wide) < weight(long))


def is_clearly_long(long: Long, wide: Wide | None, moving: Sequence[str]) -> bool:
    """Return whether a table is long, and no other order of the `moving` parts fits much better."""
    own = weight(long)
    if own >= FATAL or (wide and weight(wide) <= own):
        return False
    parts = {"user": long.user, "item": long.item, "rating": long.rating}
    for order in permutations(moving):
        other = parts | {to: parts[part] for part, to in zip(moving, order, strict=True)}
        moved = replace(long, **other)
        margin = 2 if len(moving) == 3 else 0  # without any name the usual order has its say
        if tuple(order) != tuple(moving) and weight(moved) + margin <= own:
            return False
    return True
