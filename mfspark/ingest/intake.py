"""One night's intake: raw files to the tables ratings, rejected_ratings, users and items.

Two passes. Tasks read the files, check each row, and keep what they accept in parts with ids of
their own (`parts`). Ids are numbered (`numbering`). Then all ratings of a user meet in one task,
which finds what is superseded and writes its part of the tables (`by_user`); last come the items.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from mfspark.errors import MfsparkError
from mfspark.grid.runners import InProcess, OnSpark, Runner
from mfspark.ingest.base_run import BaseRatings, BaseRun
from mfspark.ingest.by_user import Outcome, PlacedRows, RangeWriter, bring_together
from mfspark.ingest.facts import RatingFacts
from mfspark.ingest.id_notes import COMPARED, notes_on_ids
from mfspark.ingest.ids import TypedIds
from mfspark.ingest.item_table import ItemWriter
from mfspark.ingest.numbering import FEW_IDS, Numbered, Numbering
from mfspark.ingest.numbering_by_spark import number_by_spark
from mfspark.ingest.parts import ReadRows, ReadSplits, joined
from mfspark.ingest.readers.files import display_names, size_of
from mfspark.ingest.readers.ratings import plan_ratings
from mfspark.ingest.report import IngestReport, SideCounts
from mfspark.ingest.row_counts import (
    ACCEPTED,
    LATER,
    SUPERSEDED,
    too_many_rejected,
    too_many_repeats,
    unusable,
)
from mfspark.ingest.side_tables.id_types import types_of
from mfspark.ingest.side_tables.items import read_items
from mfspark.ingest.side_tables.join import Described
from mfspark.ingest.side_tables.users import read_users
from mfspark.ingest.title_merge import split_titles
from mfspark.schemas import SIDES, IdTypes, Side, spark_schema, table_schema
from mfspark.system.cores import cores_of_this_process
from mfspark.system.spark import Session
from mfspark.system.task_errors import task_errors
from mfspark.tables.manifest import FileEntry
from mfspark.tables.nearby import nearby
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import DRIVER_ROWS, Written, check_seen, read_files
from mfspark.tables.writer import list_table, write_arrow, write_table

if TYPE_CHECKING:
    from mfspark.ingest.readers.plan import ReadPlan
    from mfspark.storage.protocol import Storage
    from mfspark.tables.night import Night

log = logging.getLogger(__name__)
_FEW_BYTES = 64 << 20
"""Of files that this process reads itself, where all tasks would run on this machine anyway."""
_RANGE, _ITEM_RANGE = 1_250_000, 4_000_000
"""Ratings, and entries of tallies of items, that a task brings together: some 200 MB."""
_ONE_USER = "all ratings are of one user: they recommend nothing; give those of several people"


@dataclass(frozen=True)
class Intake:
    """What one night takes in, and from where."""

    session: Session
    night: Night
    ratings_files: Sequence[str]
    users_files: Sequence[str] = ()
    items_files: Sequence[str] = ()
    n_test_files: int = 0
    """How many of the ratings files, the last ones, hold test ratings, which may stand among the
    others as well."""
    base: BaseRun | None = None
    until: date | None = None
    """Ratings on later UTC dates are left for a later night."""

    def run(self) -> IngestReport:
        """Read, clean, number and describe the ratings, and write the tables of the night.

        Where the base run gives its ratings, they are kept, but for pairs rated anew.
        Raises InputError for unusable files, when more than `ingest.max_rejected_share` of the rows
        are rejected or more than `ingest.max_superseded_share` superseded (the rejected rows are
        written first), and when nothing is accepted.
        """
        options = self.night.config.ingest
        profiles = read_users(self.users_files, options)
        catalogue = read_items(self.items_files, options)
        with task_errors():
            plan = plan_ratings(self.session, self.ratings_files, options)
            if not self.items_files and plan.exports:
                catalogue = read_items(plan.exports, options)
            rows = self._read(plan)
        counts = rows.facts.counts
        n_accepted = counts.by_kind.get(ACCEPTED, 0)
        if too_many_rejected(counts, options) or not (n_accepted or self._base_ratings):
            self._refuse(plan, rows.rejected)
            raise unusable(counts, self._names, options, self.until)

        of_base = self.base.ids if self.base else None
        option = self.night.config.ids.type
        ids, profiles, catalogue = types_of(rows.facts.ids, profiles, catalogue, option, of_base)
        merged = None
        if self.night.config.items.merge_on == "title":
            catalogue, merged = split_titles(catalogue, TypedIds(ids.item))
        users = Described.of("user", profiles, ids)
        items = Described.of("item", catalogue, ids)
        of_users = self._number(rows, "user", ids, users.ids[:0])
        others = items.ids if self.items_files else items.ids[:0]
        of_items = self._number(rows, "item", ids, others, merged)

        outcomes = self._by_user(rows, ids, of_users, of_items, users)
        superseded = tuple(each.rejected for each in outcomes if each.rejected)
        rejected = TableFiles(self._scratch, rows.rejected.keys + superseded)
        self._check_repeats(plan, outcomes, n_accepted, rejected)
        described_users = users.counts(sum(o.n_described for o in outcomes), self.users_files)
        described_items = self._write_items(ids, of_items, items, outcomes)
        for table in ("ratings", "users"):
            self._list(table, ids, [each.file(table) for each in outcomes])
        self._write_rejected(rejected)
        notes = self._notes(rows.facts.ratings, ids, {"user": of_users, "item": of_items})
        scale, step = self._scale(rows.facts.ratings, outcomes)
        n_superseded = sum(each.n_superseded for each in outcomes)
        reasons = counts.rejected | ({SUPERSEDED: n_superseded} if n_superseded else {})
        n_carried = self._base_ratings.n if self._base_ratings else 0
        report = IngestReport(
            n_rows=counts.n_rows,
            n_accepted=self.night.table("ratings").rows,
            n_rejected=self.night.table("rejected_ratings").rows,
            n_later=counts.by_kind.get(LATER, 0),
            rejected_by_reason=reasons,
            rating_scale=options.rating_scale or scale,
            rating_step=step,
            ids=ids,
            n_users=of_users.n,
            n_items=of_items.n,
            described_users=described_users,
            described_items=described_items,
            n_merged=sum(each.n_merged for each in outcomes),
            read_as=dict(zip(self._names, plan.read_as, strict=True)),
            n_carried=n_carried,
            n_replaced=sum(each.n_replaced for each in outcomes),
            n_counted=sum(each.n_counted for each in outcomes),
            notes=notes,
        )
        report.check()
        return report

    @cached_property
    def _names(self) -> list[str]:
        return display_names(self.ratings_files)

    @property
    def _base_ratings(self) -> BaseRatings | None:
        return self.base.ratings if self.base else None

    @cached_property
    def _scratch(self) -> Storage:
        return nearby(self.night.storage, here=self.session.here)

    @property
    def _place(self) -> str:
        return self.night.scratch("ingest")

    @cached_property
    def _here(self) -> bool:
        """Whether this process reads the files itself: a job of Spark would take longer."""
        few = sum(map(size_of, self.ratings_files)) <= _FEW_BYTES
        carried = self._base_ratings.n if self._base_ratings else 0
        return few and carried <= _RANGE and self.session.here

    @property
    def _runner(self) -> Runner:
        if self._here:
            return InProcess(min(cores_of_this_process(), 4))
        return OnSpark(self.session.spark, self.night.storage)

    def _read(self, plan: ReadPlan) -> ReadRows:
        place = f"{self._place}/parts"
        read = ReadSplits(plan.sources, plan.splits, self._names, self._scratch, place, self.until)
        return joined(self._scratch, self._runner.run(len(plan.splits), read, "read ratings"))

    def _number(
        self,
        rows: ReadRows,
        side: Side,
        ids: IdTypes,
        others: pa.Array,
        merged: pa.Table | None = None,
    ) -> Numbered:
        typed = TypedIds(ids.of(side), rows.facts.ids[side].are_floats)
        base = self.base.known(side) if self.base else None
        carried, place = self._base_ratings is not None, f"{self._place}/ids"
        numbering = Numbering(rows, side, typed, place, others, base, carried, merged)
        if numbering.n_ids <= FEW_IDS:
            return numbering.here()
        return number_by_spark(self.session.spark, numbering)

    def _by_user(
        self,
        rows: ReadRows,
        ids: IdTypes,
        of_users: Numbered,
        of_items: Numbered,
        described: Described,
    ) -> list[Outcome]:
        """Bring the rows together by user, and write `ratings` and `users`."""
        night, base = self.night, self._base_ratings
        n = sum(part.n for part in rows.parts) + (base.n if base else 0)
        tables = ("ratings", "users")
        for table in tables:
            night.drop_table(table)
        writer = RangeWriter(
            of_users.starts(max(1, math.ceil(n / _RANGE))),
            of_users,
            of_items,
            described,
            ids,
            "sum" if night.config.ingest.feedback == "implicit" else "newest",
            self._names,
            len(self.ratings_files) - self.n_test_files,
            night.storage,
            {table: night.table_key(table) for table in tables},
            self._scratch,
            f"{self._place}/by_user",
        )
        placed = PlacedRows.of(rows, of_users, of_items, base.files if base else None)
        outcomes = bring_together(None if self._here else self.session.spark, placed, writer)
        if (came := sum(outcome.n for outcome in outcomes)) != n:
            raise MfsparkError(
                f"{n:,} ratings were sent to their users' tasks, and {came:,} came there",
                "run the same command again",
            )
        return outcomes

    def _check_repeats(
        self, plan: ReadPlan, outcomes: Sequence[Outcome], n: int, rejected: TableFiles
    ) -> None:
        """Raise InputError where more of n rows are superseded in their own files than allowed."""
        n_repeats = sum(outcome.n_repeats for outcome in outcomes)
        if n_repeats > self.night.config.ingest.max_superseded_share * n:
            self._refuse(plan, rejected)
            at = min(each.first for each in outcomes if each.first)
            example = f", such as {self._names[at.file]}:{at.line}: {at.raw}"
            raise too_many_repeats(n_repeats, n, example)

    def _write_items(
        self, ids: IdTypes, numbered: Numbered, described: Described, outcomes: Sequence[Outcome]
    ) -> SideCounts:
        night, tallies = self.night, [each.tally for each in outcomes]
        night.drop_table("items")
        n_ranges = math.ceil(sum(each.n_tally for each in outcomes) / _ITEM_RANGE) or 1
        starts = tuple(sorted({numbered.n * i // n_ranges for i in range(n_ranges)}))
        files = TableFiles(self._scratch, tuple(tallies))
        key = night.table_key("items")
        write = ItemWriter(starts, numbered, files, described, ids, night.storage, key)
        runner = InProcess() if len(starts) == 1 else self._runner
        found = runner.run(len(starts), write, "items")
        counts = described.counts(sum(each["n_described"] for each in found), self.items_files)
        self._list("items", ids, [FileEntry(**each["file"]) for each in found])
        return counts

    def _list(self, table: str, ids: IdTypes, files: Sequence[FileEntry | None]) -> None:
        entries = tuple(file for file in files if file)
        check_seen(Written(self.night.storage, self.night.table_key(table), entries))
        list_table(self.night, table, table_schema(table, ids), entries)

    def _refuse(self, plan: ReadPlan, rejected: TableFiles) -> None:
        """Say how files were understood, and write the rejected rows, where the night ends here."""
        for name, how in zip(self._names, plan.read_as, strict=True):
            log.info("%s: %s", name, how)
        self._write_rejected(rejected)

    def _write_rejected(self, rejected: TableFiles) -> None:
        table, ids = "rejected_ratings", IdTypes()
        if not rejected.keys:
            write_arrow(table_schema(table, ids).empty_table(), self.night, table, ids)
        elif rejected.dataset().count_rows() <= DRIVER_ROWS:
            write_arrow(rejected.dataset().to_table(), self.night, table, ids)
        else:
            frame = read_files(self.session.spark, rejected, spark_schema(table, ids))
            write_table(frame, self.night, table, ids)

    def _scale(
        self, ratings: RatingFacts, outcomes: Sequence[Outcome]
    ) -> tuple[tuple[float, float], float | None]:
        """Return the smallest and the largest rating, and the step of all."""
        scale, step = (ratings.low, ratings.high), ratings.step
        if base := self._base_ratings:
            scale, step = ratings.together(base.scale, base.step)
        if self.night.config.ingest.feedback == "implicit":
            scale = (min(scale[0], 1.0), max(outcome.high for outcome in outcomes))
        return scale, step

    def _notes(
        self, ratings: RatingFacts, ids: IdTypes, numbered: Mapping[Side, Numbered]
    ) -> list[str]:
        """Say what is odd about ratings and ids."""
        apart = "" if self.night.config.ingest.rating_scale else ratings.apart()
        notes = [apart] if apart else []
        notes += [] if numbered["user"].n > 1 else [_ONE_USER]
        for side in SIDES:
            if ids.of(side) == "string":
                found = numbered[side].ids.dataset().head(COMPARED, columns=["id"])
                notes += notes_on_ids(side, found["id"].combine_chunks(), numbered[side].n)
        return notes
