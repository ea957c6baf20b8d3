"""Ratings of files as arrays in this process, by the readers and the rules of a night; no Spark.

For files that the memory of one process holds: 40 bytes a rating, ids once each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import InputError
from mfspark.ingest.duplicates import left_out_rows, superseded
from mfspark.ingest.facts import RowFacts, facts_of_rejected, summed
from mfspark.ingest.parts import as_rejected
from mfspark.ingest.readers.columns import without_ratings
from mfspark.ingest.readers.files import display_names
from mfspark.ingest.readers.id_text import plain_integers, without_point_zero
from mfspark.ingest.readers.plan import examine_here, plan_read
from mfspark.ingest.row_counts import (
    ACCEPTED,
    SUPERSEDED,
    KindCounts,
    too_many_rejected,
    too_many_repeats,
    unusable,
)
from mfspark.ingest.statistics import NO_TIME
from mfspark.kernels.arrays.ordering import starts_of

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

_KINDS = ("int32", "int32", "float64", "int64", "int32", "int64")  # of RatingRows


@dataclass(frozen=True)
class RatingRows:
    """Ratings in the order in which they were read, all (n)."""

    users: np.ndarray
    """int32, places among the ids of users."""
    items: np.ndarray
    """int32, places among the ids of items."""
    values: np.ndarray
    """float64."""
    times: np.ndarray
    """int64, microseconds since 1970; the smallest number where there is none."""
    files: np.ndarray
    """int32, the number of the file."""
    lines: np.ndarray
    """int64, from 1."""

    @classmethod
    def joined(cls, parts: Sequence[RatingRows]) -> RatingRows:
        """Return the rows of all parts, one below the other."""
        columns = zip(*(part.columns for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    @property
    def columns(self) -> list[np.ndarray]:
        """Its arrays."""
        return [getattr(self, each.name) for each in fields(self)]

    def take(self, rows: np.ndarray) -> RatingRows:
        """Return some of the rows."""
        return RatingRows(*(column[rows] for column in self.columns))


@dataclass
class FileRatings:
    """The ratings of some files, and the rows that are none."""

    names: list[str]
    read_as: tuple[str, ...]
    counts: KindCounts
    rows: RatingRows
    user_ids: pa.Array
    """As text, each once."""
    item_ids: pa.Array
    rejected: list[pa.Table] = field(default_factory=list[pa.Table])
    """Of REJECTED; whoever leaves out rows adds them (`leave_out`)."""

    @property
    def reasons(self) -> dict[str, int]:
        """Rejected rows by reason, the commonest first."""
        found: Counter[str] = Counter()
        for table in self.rejected:
            reasons = pc.value_counts(table["reason"])
            found.update({one["values"].as_py(): one["counts"].as_py() for one in reasons})
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    def leave_out(self, mask: np.ndarray, reason: str) -> None:
        """Take the rows under a mask, bool (n), out of the ratings, for a reason."""
        if not mask.any():
            return
        out, self.rows = self.rows.take(mask), self.rows.take(~mask)
        users, items = self.user_ids.take(out.users), self.item_ids.take(out.items)
        files = pa.array(self.names).take(pa.array(out.files))
        rows = left_out_rows(users, items, out.values, out.times, files, out.lines, reason)
        self.rejected.append(rows)

    def check(self, options: IngestOptions) -> None:
        """Raise InputError where too many rows were rejected, or none was accepted."""
        if too_many_rejected(self.counts, options) or not self.counts.by_kind.get(ACCEPTED):
            raise unusable(self.counts, self.names, options, None)

    def keep_newest(self, items: np.ndarray, options: IngestOptions) -> None:
        """Leave out all ratings of a user and item but the newest, as `ingest.duplicates` does.

        Newest is the latest; none is the oldest; of equal ones the last read. items int64: which
        item each of the ids stands for. Raises InputError where more than the allowed share is
        superseded (`ingest.max_superseded_share`).
        """
        n = len(self.rows.users)
        old = superseded_ratings(self._pairs(items), self.rows.times)
        if not old.any():
            return
        n_repeats = int(old.sum())
        self.leave_out(old, SUPERSEDED)
        if n_repeats > options.max_superseded_share * n:
            first = self.rejected[-1].slice(0, 1).to_pylist()[0]
            example = f", such as {first['source_file']}:{first['line']}: {first['raw']}"
            raise too_many_repeats(n_repeats, n, example)

    def add_up(self, items: np.ndarray) -> None:
        """Make one row of all choices of a user and item: how many they are (feedback implicit).

        items: as `keep_newest` has it.
        """
        _, first, place = np.unique(self._pairs(items), return_index=True, return_inverse=True)
        sums = np.bincount(place, self.rows.values)
        self.rows = replace(self.rows.take(first), values=sums)

    def _pairs(self, items: np.ndarray) -> np.ndarray:
        """Return a number for the user and item of each row, int64 (n)."""
        width = int(items.max(initial=0)) + 1
        return self.rows.users.astype(np.int64) * width + items[self.rows.items]


def superseded_ratings(pairs: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return which ratings another one of the same pair supersedes, bool (n).

    pairs int64 (n): a number for the user and item of each; times int64 (n). The latest counts, of
    equally late ones the last.
    """
    order = np.argsort(pairs, kind="stable")
    found = np.empty(len(pairs), bool)
    found[order] = superseded(starts_of(pairs[order]), len(pairs), [times[order]])
    return found


def read_arrays(
    files: Sequence[str],
    options: IngestOptions,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> FileRatings:
    """Read all files; `told` hears how many parts of how many were read.

    Raises InputError for files that cannot be read as ratings at all, and for choices without
    ratings where `ingest.feedback` does not ask for them.
    """
    plan = plan_read(files, options, options.split_mb << 20, examine_here)
    choices = [p for p, s in zip(files, plan.sources, strict=True) if without_ratings(s.reading)]
    if choices and options.feedback != "implicit":
        raise InputError(
            f"{choices[0]} holds choices without ratings, and the run was fitted on ratings",
            "name its rating with --set ingest.columns.rating=NAME",
        )
    names, parts, facts = display_names(files), list[_Part](), list[RowFacts]()
    rejected: list[pa.Table] = []
    for number, split in enumerate(plan.splits, 1):
        for batch in plan.sources[split.file].read(split):
            bad = pc.is_valid(batch["reason"])
            part = batch if bad.true_count == 0 else batch.filter(pc.invert(bad))
            parts.append(_Part.of(part, split.file))
            facts.append(RowFacts({ACCEPTED: part.num_rows}))
            if bad.true_count:
                left_out = batch.filter(bad)
                rejected.append(as_rejected(left_out, names[split.file]))
                facts.append(facts_of_rejected(left_out, split.file))
        told(number, len(plan.splits))
    users, user_ids = _numbered([part.users for part in parts])
    items, item_ids = _numbered([part.items for part in parts])
    none = RatingRows(*(np.empty(0, kind) for kind in _KINDS))
    rows = RatingRows.joined([none, *(part.rest for part in parts)])
    rows = replace(rows, users=users, items=items)
    return FileRatings(
        names, plan.read_as, summed(facts).counts, rows, user_ids, item_ids, rejected
    )


class _Part(NamedTuple):
    """Accepted rows of a batch."""

    users: pa.DictionaryArray
    items: pa.DictionaryArray
    rest: RatingRows
    """All but users and items."""

    @classmethod
    def of(cls, batch: pa.RecordBatch, file: int) -> _Part:
        users, items = (batch[name].dictionary_encode() for name in ("user_id", "item_id"))
        times = pc.fill_null(batch["rated_at"].cast(pa.int64()), NO_TIME).to_numpy()
        lines, none = batch["line"].to_numpy(), np.empty(0, np.int32)
        files = np.full(len(lines), file, np.int32)
        return cls(
            users, items, RatingRows(none, none, batch["rating"].to_numpy(), times, files, lines)
        )


def _numbered(parts: Sequence[pa.DictionaryArray]) -> tuple[np.ndarray, pa.Array]:
    """Return which id each row has, int32 (n), and the ids as text, each once.

    The .0 of whole numbers is taken off where most ids are numbers, as in a night.
    """
    kind = pa.dictionary(pa.int32(), pa.string())
    column = pa.chunked_array(parts, kind).unify_dictionaries()
    if not column.num_chunks:
        return np.empty(0, np.int32), pa.array([], pa.string())
    ids = column.chunk(column.num_chunks - 1).dictionary
    if pc.any(pc.match_substring_regex(ids, r"\.0+$")).as_py():
        text = without_point_zero(column.cast(pa.string()))
        column = text.dictionary_encode().unify_dictionaries()
        ids = column.chunk(column.num_chunks - 1).dictionary
    places = [chunk.indices.to_numpy() for chunk in column.chunks]
    return np.concatenate(places).astype(np.int32, copy=False), ids


def are_integers(ids: pa.Array) -> bool:
    """Return whether all ids are plain integers, and so can be stored as such."""
    return bool(pc.all(plain_integers(ids), min_count=0).as_py())
