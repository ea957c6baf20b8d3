"""What is counted while ratings are read: rows of each kind, how ids are written, the scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.readers.id_text import plain_integers
from mfspark.ingest.row_counts import ACCEPTED, Example, IdForms, KindCounts
from mfspark.schemas import SIDES, Side

POINT_ZERO = r"^(0|[1-9][0-9]*)\.0+$"
"""Whole numbers written as 7.0, as floats are."""
_FEW = 100  # ratings, of which none is told apart
_MANY = 0.2  # of the ratings are 0, and no other is below 1: it is probably no rating
_APART = 0.25  # of the range of the others, where they are on no common step
_STEPS = (1.0, 0.5, 0.25, 0.2, 0.1)


@dataclass(frozen=True)
class RatingFacts:
    """What is known of some ratings as a whole."""

    n: int = 0
    lowest: tuple[tuple[float, int], ...] = ()
    """The two smallest values, ascending, and how often each occurs."""
    highest: tuple[tuple[float, int], ...] = ()
    """The two largest values, descending."""
    on_step: tuple[bool, ...] = (True,) * len(_STEPS)
    """Whether all are multiples of each of _STEPS."""

    @classmethod
    def of(cls, ratings: pa.Array) -> RatingFacts:
        """Look at some ratings, float64 (n)."""
        counted = pc.value_counts(ratings)
        values, place = np.unique(counted.field(0).to_numpy(), return_inverse=True)
        times = np.bincount(place, counted.field(1).to_numpy()).astype(int)
        pairs = list(zip(values[:2].tolist(), times[:2].tolist(), strict=True))
        last = list(zip(values[:-3:-1].tolist(), times[:-3:-1].tolist(), strict=True))
        steps = tuple(bool(np.all(_is_multiple(values, step))) for step in _STEPS)
        return cls(len(ratings), tuple(pairs), tuple(last), steps)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RatingFacts:
        """Read back what `dataclasses.asdict` gave, from JSON."""
        ends = {name: tuple(map(tuple, record[name])) for name in ("lowest", "highest")}
        return cls(record["n"], **ends, on_step=tuple(record["on_step"]))

    def __add__(self, other: RatingFacts) -> RatingFacts:
        """Return what is known of both together."""
        lowest = Counter(dict(self.lowest)) + Counter(dict(other.lowest))
        highest = Counter(dict(self.highest)) + Counter(dict(other.highest))
        return RatingFacts(
            self.n + other.n,
            tuple(sorted(lowest.items())[:2]),
            tuple(sorted(highest.items(), reverse=True)[:2]),
            tuple(a and b for a, b in zip(self.on_step, other.on_step, strict=True)),
        )

    @property
    def low(self) -> float:
        """The smallest; 0 where there is none."""
        return self.lowest[0][0] if self.lowest else 0.0

    @property
    def high(self) -> float:
        """The largest; 0 where there is none."""
        return self.highest[0][0] if self.highest else 0.0

    @property
    def step(self) -> float | None:
        """The largest of _STEPS that all are multiples of."""
        known = zip(_STEPS, self.on_step, strict=True)
        return next((step for step, all_on in known if all_on), None) if self.n else None

    def apart(self) -> str:
        """Say which rating at an end looks like a code for "not rated"; "" where none.

        Such a code is not positive and below all others (-1, 0), or as far from them as they are
        from one another (99).
        """
        if self.n < _FEW or len(self.lowest) < 2 or self.lowest[1][0] >= self.highest[1][0]:
            return ""  # too few ratings, or different ones, to tell
        (low, n_low), (second, _) = self.lowest
        (high, n_high), (last_but_one, _) = self.highest
        gap, others = second - low, high - second
        wide = gap > (1.5 * self.step if self.step else _APART * others)
        if (low <= 0 < second and (wide or n_low >= _MANY * self.n)) or gap >= others:
            return _in_words(low, n_low, self.n, second, high)
        if high - last_but_one >= last_but_one - low:
            return _in_words(high, n_high, self.n, low, last_but_one)
        return ""

    def together(
        self, scale: tuple[float, float], step: float | None
    ) -> tuple[tuple[float, float], float | None]:
        """Return the scale and step of these ratings and the base run's, which are given."""
        if not self.n:
            return scale, step
        steps = (self.step, step)
        common = next((s for s in _STEPS if all(x and _is_multiple(x, s) for x in steps)), None)
        return (min(self.low, scale[0]), max(self.high, scale[1])), common


@dataclass(frozen=True)
class RowFacts:
    """What is known of the rows of some splits."""

    by_kind: dict[str, int] = field(default_factory=dict[str, int])
    """Rows accepted, of a later night, and rejected by reason."""
    examples: dict[str, Example] = field(default_factory=dict[str, Example])
    """The first row of each reason."""
    ratings: RatingFacts = field(default_factory=RatingFacts)
    ids: dict[Side, IdForms] = field(default_factory=lambda: dict.fromkeys(SIDES, IdForms(0, 0, 0)))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RowFacts:
        """Read back what `dataclasses.asdict` gave, from JSON."""
        return cls(
            record["by_kind"],
            {kind: Example(*place) for kind, place in record["examples"].items()},
            RatingFacts.from_record(record["ratings"]),
            {side: IdForms(**record["ids"][side]) for side in SIDES},
        )

    def __add__(self, other: RowFacts) -> RowFacts:
        """Return what is known of both together."""
        first = dict(self.examples)
        for kind, place in other.examples.items():
            first[kind] = min(first.get(kind, place), place)
        return RowFacts(
            dict(Counter(self.by_kind) + Counter(other.by_kind)),
            first,
            self.ratings + other.ratings,
            {side: self.ids[side] + other.ids[side] for side in SIDES},
        )

    @property
    def counts(self) -> KindCounts:
        """How many rows there are of each kind, the commonest first."""
        ordered = sorted(self.by_kind.items(), key=lambda pair: (-pair[1], pair[0]))
        return KindCounts(sum(self.by_kind.values()), dict(ordered), self.examples)


def facts_of_rejected(rows: pa.Table | pa.RecordBatch, file: int) -> RowFacts:
    """Count rejected rows of a file by reason: columns line, cell, raw, reason."""
    counted = {one["values"]: one["counts"] for one in pc.value_counts(rows["reason"]).to_pylist()}
    examples: dict[str, Example] = {}
    for reason in counted:
        one = rows.filter(pc.equal(rows["reason"], reason)).slice(0, 1).to_pylist()[0]
        examples[reason] = Example(file, one["line"], one["cell"], one["raw"])
    return RowFacts(counted, examples)


def facts_of_accepted(ratings: pa.Array, ids: Mapping[Side, pa.Table]) -> RowFacts:
    """Look at accepted rows: ratings float64 (n); ids by side: columns id and n, how often."""
    forms: dict[Side, IdForms] = {
        side: _forms(table["id"].combine_chunks(), table["n"].to_numpy())
        for side, table in ids.items()
    }
    return RowFacts({ACCEPTED: len(ratings)}, {}, RatingFacts.of(ratings), forms)


def summed(parts: Iterable[RowFacts]) -> RowFacts:
    """Return what is known of all parts together."""
    return reduce(RowFacts.__add__, parts, RowFacts())


def _forms(ids: pa.Array, n: np.ndarray) -> IdForms:
    plain = plain_integers(ids).to_numpy(zero_copy_only=False)
    point_zero = pc.match_substring_regex(ids, POINT_ZERO).to_numpy(zero_copy_only=False)
    return IdForms(int(n[plain].sum()), int(n[point_zero].sum()), int(n.sum()))


def _is_multiple(value: Any, step: float) -> Any:
    return np.abs(value / step - np.rint(value / step)) < 1e-9


def _in_words(code: float, n: int, n_all: int, low: float, high: float) -> str:
    return (
        f"rating {code:g} ({n:,} of {n_all:,}) stands apart from all others ({low:g} to {high:g}): "
        f'if it means "not rated", set ingest.missing_ratings = [{code:g}]'
    )
