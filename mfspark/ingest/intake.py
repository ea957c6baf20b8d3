"""One night's intake: raw files to the tables ratings, rejected_ratings, users and items."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mfspark.ingest.counts import count_rows, kind_of, rating_apart, together
from mfspark.ingest.duplicates import (
    as_rejected,
    count_choices,
    count_repeats,
    is_of_base_run,
    split_duplicates,
    too_many,
    with_base_ratings,
)
from mfspark.ingest.id_notes import notes_on_ids
from mfspark.ingest.ids import SPARK_TYPE, decide_type, number_ids, without_point_zero
from mfspark.ingest.readers.files import display_names
from mfspark.ingest.readers.id_text import plain_integers
from mfspark.ingest.readers.ratings import plan_ratings, read_planned
from mfspark.ingest.report import IngestReport
from mfspark.ingest.row_counts import (
    ACCEPTED,
    LATER,
    SUPERSEDED,
    RowCounts,
    too_many_rejected,
    unusable,
)
from mfspark.ingest.scratch import Scratch
from mfspark.ingest.side_tables.items import read_items
from mfspark.ingest.side_tables.join import Described
from mfspark.ingest.side_tables.reader import SideTable
from mfspark.ingest.side_tables.users import read_users
from mfspark.ingest.statistics import with_statistics
from mfspark.ingest.title_merge import merge_ratings, split_titles
from mfspark.schemas import SIDES, IdTypes, Side
from mfspark.system.at_once import at_once
from mfspark.system.task_errors import task_errors

if TYPE_CHECKING:
    from mfspark.config.config import Config

    Write = Callable[[DataFrame, str], None]

log = logging.getLogger(__name__)
_ONE_USER = "all ratings are of one user: they recommend nothing; give those of several people"


@dataclass(frozen=True)
class BaseRatings:
    """All ratings of the base run: user_id, item_id, rating, rated_at."""

    ratings: DataFrame
    scale: tuple[float, float]
    step: float | None


@dataclass(frozen=True)
class BaseRun:
    """What the tables of the base run say: (id, idx) of both sides, and id types."""

    users: DataFrame
    items: DataFrame
    ids: IdTypes
    ratings: BaseRatings | None = None
    """Its ratings, where tonight's files hold only what is new."""


def ingest(
    spark: SparkSession,
    ratings_files: Sequence[str],
    users_files: Sequence[str],
    items_files: Sequence[str],
    config: Config,
    scratch: Scratch,
    write: Write,
    base: BaseRun | None = None,
    until: date | None = None,
    n_test_files: int = 0,
) -> IngestReport:
    """Read, clean, number and describe one night's ratings, and write its tables.

    `write(frame, table)` receives frames with exactly the columns of `schemas.py`; order and
    checks are its own. Parsed rows, and ids, are kept in `scratch` and read back.
    Where the base run gives its ratings, they are kept, but for pairs rated anew.
    `until`: ratings on later UTC dates are left for a later night.
    `n_test_files`: how many of the ratings files, the last ones, hold test ratings, which may stand
    among the others as well.
    Raises InputError for unusable files, when more than `ingest.max_rejected_share` of the rows
    are rejected or more than `ingest.max_superseded_share` superseded (the rejected rows are
    written first), and when nothing is accepted.
    """
    profiles = read_users(users_files, config.ingest)
    catalogue = read_items(items_files, config.ingest)
    with task_errors():
        plan = plan_ratings(spark, ratings_files, config.ingest)
        if not items_files and plan.exports:
            catalogue = read_items(plan.exports, config.ingest)
        rows = scratch.keep(read_planned(spark, plan), "read")
    names = display_names(ratings_files)
    counts = count_rows(rows, until, len(plan.splits))
    rejected = rows.where("reason is not null")
    base_ratings = base.ratings if base else None
    n_accepted = counts.by_kind.get(ACCEPTED, 0)
    if too_many_rejected(counts, config.ingest) or not (n_accepted or base_ratings):
        _log_how_read(names, plan.read_as)
        write(_named(rejected, names), "rejected_ratings")
        raise unusable(counts, names, config.ingest, until)

    ids, profiles, catalogue = _types(counts, profiles, catalogue, config, base)
    accepted = rows.where(kind_of(until) == ACCEPTED)
    apart = "" if config.ingest.rating_scale else rating_apart(accepted, counts)
    floats = {"user_id": counts.users.are_floats, "item_id": counts.items.are_floats}
    for name, are in floats.items():  # one by one: Spark Connect refuses an empty withColumns
        accepted = accepted.withColumn(name, without_point_zero(name)) if are else accepted
    accepted = _typed_ids(accepted, ids)
    n_carried, scale, step = 0, (counts.low, counts.high), counts.step
    if base_ratings:
        accepted = with_base_ratings(accepted, _typed_ids(base_ratings.ratings, ids))
        n_carried = base_ratings.ratings.count()
        scale, step = together(counts, base_ratings.scale, base_ratings.step)
    superseded, n_superseded, n_replaced, n_counted = None, 0, 0, 0
    if config.ingest.feedback == "implicit":
        newest = count_choices(accepted, scratch)
        most, n_pairs = newest.agg(F.max("rating"), F.count("*")).collect()[0]
        n_counted = n_accepted + n_carried - n_pairs
        scale = (min(scale[0], 1.0), most)
    else:
        newest, superseded = split_duplicates(accepted, scratch)
    if superseded is not None:
        n_replaced = superseded.where(is_of_base_run()).count() if base_ratings else 0
        superseded = superseded.where(~is_of_base_run())
        n_superseded = superseded.count()
        rejected = rejected.unionByName(as_rejected(superseded))
        allowed = config.ingest.max_superseded_share * n_accepted
        if n_superseded > allowed:
            n_repeats = count_repeats(accepted, len(ratings_files) - n_test_files)
            if n_repeats > allowed:
                _log_how_read(names, plan.read_as)
                write(_named(rejected, names), "rejected_ratings")
                raise too_many(superseded, n_repeats, n_accepted, names)
    n_merged = 0
    if config.items.merge_on == "title":
        catalogue, left_out = split_titles(catalogue)
        newest, n_merged = merge_ratings(newest, left_out)

    users = Described.of(spark, "user", profiles, ids)
    items = Described.of(spark, "item", catalogue, ids)
    who = newest.select(F.col("user_id").alias("id")).distinct()
    rated = newest.select(F.col("item_id").alias("id")).distinct()
    described_users = users.counts(who, users_files)
    described_items = items.counts(rated, items_files)
    everything = rated.union(items.ids).distinct() if items_files else rated
    base_users, base_items = _base_ids(base, ids)
    (user_ids, n_users), (item_ids, n_items) = at_once(
        lambda: number_ids(who, base_users, scratch, "user_ids"),
        lambda: number_ids(everything, base_items, scratch, "item_ids"),
    )
    notes = [apart] if apart else []
    notes += [] if n_users > 1 else [_ONE_USER]
    numbered = zip(SIDES, (user_ids, item_ids), (n_users, n_items), strict=True)
    texts = [found for found in numbered if ids.of(found[0]) == "string"]

    at_once(
        lambda: write(_indexed(newest, user_ids, item_ids), "ratings"),
        lambda: write(_named(rejected, names), "rejected_ratings"),
        lambda: write(users.joined_to(with_statistics(user_ids, newest, "user")), "users"),
        lambda: write(items.joined_to(with_statistics(item_ids, newest, "item")), "items"),
        lambda: notes.extend(note for text in texts for note in notes_on_ids(*text)),
    )

    reasons = counts.rejected | ({SUPERSEDED: n_superseded} if n_superseded else {})
    return IngestReport(
        n_rows=counts.n_rows,
        n_accepted=n_accepted + n_carried - n_superseded - n_replaced - n_merged - n_counted,
        n_rejected=sum(reasons.values()),
        n_later=counts.by_kind.get(LATER, 0),
        rejected_by_reason=reasons,
        rating_scale=config.ingest.rating_scale or scale,
        rating_step=step,
        ids=ids,
        n_users=n_users,
        n_items=n_items,
        described_users=described_users,
        described_items=described_items,
        n_merged=n_merged,
        read_as=dict(zip(names, plan.read_as, strict=True)),
        n_carried=n_carried,
        n_replaced=n_replaced,
        n_counted=n_counted,
        notes=notes,
    )


def _log_how_read(names: Sequence[str], read_as: Sequence[str]) -> None:
    """Log how files were understood, where the night ends here; otherwise its report says it."""
    for name, how in zip(names, read_as, strict=True):
        log.info("%s: %s", name, how)


def _types(
    counts: RowCounts,
    profiles: SideTable,
    catalogue: SideTable,
    config: Config,
    base: BaseRun | None,
) -> tuple[IdTypes, SideTable, SideTable]:
    """Choose the id types; where ids must be integers, drop rows of side files with other ids.

    Items that nobody rated are items all the same, so their ids have a say; users of the user files
    are users only where they rated.
    """
    option, of_base = config.ids.type, base.ids if base else None
    plain = plain_integers(catalogue.table["item_id"])
    if option == "integer" or (of_base and of_base.item == "integer"):
        catalogue = catalogue.keep(plain)
        items_plain = counts.items.all_plain
    else:
        items_plain = counts.items.all_plain and bool(pc.all(plain, min_count=0).as_py())
    user = decide_type("user", counts.users.all_plain, option, of_base)
    if user == "integer":
        profiles = profiles.keep(plain_integers(profiles.table["user_id"]))
    return IdTypes(user, decide_type("item", items_plain, option, of_base)), profiles, catalogue


def _typed_ids(ratings: DataFrame, ids: IdTypes) -> DataFrame:
    kinds = {"user_id": SPARK_TYPE[ids.user], "item_id": SPARK_TYPE[ids.item]}
    return ratings.withColumns({name: F.col(name).cast(kind) for name, kind in kinds.items()})


def _named(rejected: DataFrame, names: Sequence[str]) -> DataFrame:
    """Return the rejected_ratings table; the file names, a row a file, are broadcast."""
    rows = list(enumerate(names))
    files = rejected.sparkSession.createDataFrame(rows, "file int, source_file string")
    columns = ("source_file", "line", "raw", "reason")
    return rejected.select("file", *columns[1:]).join(F.broadcast(files), "file").select(*columns)


def _base_ids(base: BaseRun | None, ids: IdTypes) -> tuple[DataFrame | None, DataFrame | None]:
    if base is None:
        return None, None

    def typed(frame: DataFrame, side: Side) -> DataFrame:
        return frame.select(F.col("id").cast(SPARK_TYPE[ids.of(side)]), F.col("idx").cast("int"))

    return typed(base.users, "user"), typed(base.items, "item")


def _indexed(ratings: DataFrame, user_ids: DataFrame, item_ids: DataFrame) -> DataFrame:
    """Return the ratings table. Joins the ids: broadcast while they are small, else a shuffle."""
    users = user_ids.select(F.col("id").alias("user_id"), F.col("idx").alias("user_idx"))
    items = item_ids.select(F.col("id").alias("item_id"), F.col("idx").alias("item_idx"))
    return (
        ratings.join(users, "user_id")
        .join(items, "item_id")
        .select("user_id", "item_id", "rating", "rated_at", "user_idx", "item_idx")
    )
