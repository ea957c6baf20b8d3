"""Which columns of a long table, one row a rating, play which part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mfspark.ingest.readers.shapes.names import TIERS
from mfspark.ingest.readers.shapes.wide import flags_in_words, title_of


@dataclass(frozen=True)
class LongColumns:
    """Positions (from 0) of the parts in a table with one row a rating; timestamp may be -1."""

    user: int
    """-1: `person` rated everything."""
    item: int
    rating: int
    """-1: there are no ratings, each row is a choice."""
    timestamp: int = -1
    counts: bool = False
    """Whether a rating says how often a choice was made."""
    person: str = ""
    """The user of all rows, where no column names one."""
    service: str = ""
    """Whose export it is, where that is known."""
    other_time: int = -1
    """The time of a row whose `timestamp` is blank."""
    flags: bool = False
    """Whether ratings, which no name says, are 0 and 1 alone: likes, or clicks."""
    not_rated: tuple[float, ...] = ()
    """Ratings that stand for none, unless `ingest.missing_ratings` says which do."""

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of all columns that are read."""
        parts = (self.user, self.item, self.rating, self.timestamp, self.other_time)
        return tuple(i for i in parts if i >= 0)

    def describe(self, names: Sequence[str]) -> str:
        """Say which columns are read as what, and which are ignored."""
        found = (self.user, self.item, self.rating, self.timestamp)
        parts = {part: i for part, i in zip(TIERS, found, strict=True) if i >= 0}
        called = {"rating": "number of choices"} if self.counts else {}
        words = [f"{called.get(part, part)} = {title_of(names, i)}" for part, i in parts.items()]
        if self.user < 0:
            whose = f"of {self.service}, " if self.service else ""
            words.insert(0, f"{whose}one person's, user = '{self.person}' (name of the file)")
        words += [f"else {title_of(names, self.other_time)}"] if self.other_time >= 0 else []
        words += [flags_in_words(names[self.rating])] if self.flags else []
        words += [f"{code:g} = not rated" for code in self.not_rated]
        words += [] if self.rating >= 0 else ["no ratings: each row is a choice"]
        ignored = [title_of(names, i) for i in range(len(names)) if i not in self.used]
        words += [f"ignored: {', '.join(ignored)}"] if ignored else []
        return "long, " + ", ".join(words)
