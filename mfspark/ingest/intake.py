"""One night's intake: raw files to the tables ratings, rejected_ratings, users and items."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pyspark.sql import functions as F

from mfspark.ingest.counts import (
    ACCEPTED,
    LATER,
    kind_of,
    summarise,
    together,
    too_many_rejected,
    unusable,
)
from mfspark.ingest.duplicates import (
    SUPERSEDED,
    as_rejected,
    is_earlier,
    split_duplicates,
    with_earlier,
)
from mfspark.ingest.ids import SPARK_TYPE, decide_type, number_and_count
from mfspark.ingest.readers.files import display_names
from mfspark.ingest.readers.ratings import READ_SCHEMA, input_errors, plan_ratings, read_planned
from mfspark.ingest.readers.validate import plain_integers
from mfspark.ingest.side_tables.items import read_items
from mfspark.ingest.side_tables.join import Described, SideCounts
from mfspark.ingest.side_tables.users import read_users
from mfspark.ingest.statistics import with_statistics
from mfspark.ingest.title_merge import merge_ratings, split_titles
from mfspark.schemas import IdTypes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from pyspark.sql import DataFrame, SparkSession

    from mfspark.config.config import Config
    from mfspark.ingest.counts import Summary
    from mfspark.ingest.side_tables.reader import SideTable
    from mfspark.schemas import Side

    Write = Callable[[DataFrame, str], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """All ratings of the night before: user_id, item_id, rating, rated_at."""

    ratings: DataFrame
    scale: tuple[float, float]
    step: float | None


@dataclass(frozen=True)
class PreviousNight:
    """What the published tables say of the night before: (id, idx) of both sides, and id types."""

    users: DataFrame
    items: DataFrame
    ids: IdTypes
    snapshot: Snapshot | None = None
    """Its ratings, where tonight's files hold only what is new."""


@dataclass(frozen=True)
class IngestReport:
    """What came in.

    n_rows + n_carried = n_accepted + n_rejected + n_later + n_merged + n_replaced.
    """

    n_rows: int
    """Rows of the files."""
    n_accepted: int
    """Rows of the `ratings` table."""
    n_rejected: int
    """Rows of the `rejected_ratings` table, duplicates included."""
    n_later: int
    """Ratings after the night's date; they belong to a later night."""
    rejected_by_reason: dict[str, int]
    rating_scale: tuple[float, float]
    """The configured scale, or the smallest and largest rating found."""
    rating_step: float | None
    """Largest of 1, 0.5, 0.25, 0.2, 0.1 that all ratings are multiples of, if any."""
    ids: IdTypes
    n_users: int
    """Users of this and all earlier nights."""
    n_items: int
    """Items of this and all earlier nights, those without ratings included."""
    described_users: SideCounts = field(default_factory=SideCounts)
    """What the user files hold."""
    described_items: SideCounts = field(default_factory=SideCounts)
    """What the item files hold."""
    n_merged: int = 0
    """Ratings averaged into another one of the same user and title (`items.merge_on`)."""
    read_as: dict[str, str] = field(default_factory=dict)
    """In words, how each ratings file was understood."""
    n_carried: int = 0
    """Ratings of the night before that tonight's were added to."""
    n_replaced: int = 0
    """Those of them that a newer rating of the same pair replaced."""


def ingest(
    spark: SparkSession,
    ratings_files: Sequence[str],
    users_files: Sequence[str],
    items_files: Sequence[str],
    config: Config,
    scratch: str,
    write: Write,
    previous: PreviousNight | None = None,
    until: date | None = None,
) -> IngestReport:
    """Read, clean, number and describe one night's ratings, and write its tables.

    `write(frame, table)` receives frames with exactly the columns of `schemas.py`; order and
    checks are its own. Parsed rows, and ids, are written once below `scratch` and read back.
    Where the previous night gives a snapshot, its ratings are kept, but for pairs rated anew.
    `until`: ratings on later UTC dates are left for a later night.
    Raises InputError for unusable files, when more than `ingest.max_rejected_share` of the rows
    are rejected (the rejected rows are written first), and when nothing is accepted.
    """
    profiles = read_users(users_files, config.ingest)
    catalogue = read_items(items_files, config.ingest)
    with input_errors():
        plan = plan_ratings(spark, ratings_files, config.ingest)
        read_planned(spark, plan).write.mode("overwrite").parquet(f"{scratch}/read")
    names = display_names(ratings_files)
    for name, how in zip(names, plan.read_as, strict=True):
        log.info("%s: %s", name, how)
    rows = spark.read.schema(READ_SCHEMA).parquet(f"{scratch}/read")
    summary = summarise(rows, until)
    rejected = rows.where("reason is not null")
    snapshot = previous.snapshot if previous else None
    n_accepted = summary.by_kind.get(ACCEPTED, 0)
    if too_many_rejected(summary, config.ingest) or not (n_accepted or snapshot):
        write(_named(rejected, names), "rejected_ratings")
        raise unusable(summary, names, config.ingest, until)

    ids, profiles, catalogue = _types(summary, profiles, catalogue, config, previous)
    accepted = _typed_ids(rows.where(kind_of(until) == ACCEPTED), ids)
    n_carried, scale, step = 0, (summary.low, summary.high), summary.step
    if snapshot:
        accepted = with_earlier(accepted, _typed_ids(snapshot.ratings, ids))
        n_carried = snapshot.ratings.count()
        scale, step = together(summary, snapshot.scale, snapshot.step)
    newest, superseded = split_duplicates(accepted, f"{scratch}/newest")
    n_superseded = n_replaced = 0
    if superseded is not None:
        n_replaced = superseded.where(is_earlier()).count() if snapshot else 0
        superseded = superseded.where(~is_earlier())
        n_superseded = superseded.count()
        rejected = rejected.unionByName(as_rejected(superseded))
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
    users_before, items_before = _before(previous, ids)
    with ThreadPoolExecutor(2) as both:  # small jobs mostly wait; two at once take the time of one
        numbering = (
            both.submit(number_and_count, who, users_before, f"{scratch}/user_ids"),
            both.submit(number_and_count, everything, items_before, f"{scratch}/item_ids"),
        )
    (user_ids, n_users), (item_ids, n_items) = (numbered.result() for numbered in numbering)

    write(_indexed(newest, user_ids, item_ids), "ratings")
    write(_named(rejected, names), "rejected_ratings")
    write(users.beside(with_statistics(user_ids, newest, "user")), "users")
    write(items.beside(with_statistics(item_ids, newest, "item")), "items")

    reasons = summary.rejected | ({SUPERSEDED: n_superseded} if n_superseded else {})
    return IngestReport(
        n_rows=summary.n_rows,
        n_accepted=n_accepted + n_carried - n_superseded - n_replaced - n_merged,
        n_rejected=sum(reasons.values()),
        n_later=summary.by_kind.get(LATER, 0),
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
    )


def _types(
    summary: Summary,
    profiles: SideTable,
    catalogue: SideTable,
    config: Config,
    previous: PreviousNight | None,
) -> tuple[IdTypes, SideTable, SideTable]:
    """Choose the id types; where ids must be integers, drop rows of side files with other ids.

    Items that nobody rated are items all the same, so their ids have a say; users of the user files
    are users only where they rated.
    """
    option, before = config.ids.type, previous.ids if previous else None
    plain = plain_integers(catalogue.table["item_id"])
    if option == "integer" or (before and before.item == "integer"):
        catalogue = catalogue.keep(plain)
        items_plain = summary.items_plain
    else:
        items_plain = summary.items_plain and bool(pc.all(plain, min_count=0).as_py())
    user = decide_type("user", summary.users_plain, option, before)
    if user == "integer":
        profiles = profiles.keep(plain_integers(profiles.table["user_id"]))
    return IdTypes(user, decide_type("item", items_plain, option, before)), profiles, catalogue


def _typed_ids(ratings: DataFrame, ids: IdTypes) -> DataFrame:
    kinds = {"user_id": SPARK_TYPE[ids.user], "item_id": SPARK_TYPE[ids.item]}
    return ratings.withColumns({name: F.col(name).cast(kind) for name, kind in kinds.items()})


def _named(rejected: DataFrame, names: Sequence[str]) -> DataFrame:
    """Return the rejected_ratings table; the file names, a row a file, are broadcast."""
    rows = list(enumerate(names))
    files = rejected.sparkSession.createDataFrame(rows, "file int, source_file string")
    columns = ("source_file", "line", "raw", "reason")
    return rejected.select("file", *columns[1:]).join(F.broadcast(files), "file").select(*columns)


def _before(
    previous: PreviousNight | None, ids: IdTypes
) -> tuple[DataFrame | None, DataFrame | None]:
    if previous is None:
        return None, None

    def typed(frame: DataFrame, side: Side) -> DataFrame:
        return frame.select(F.col("id").cast(SPARK_TYPE[ids.of(side)]), F.col("idx").cast("int"))

    return typed(previous.users, "user"), typed(previous.items, "item")


def _indexed(ratings: DataFrame, user_ids: DataFrame, item_ids: DataFrame) -> DataFrame:
    """Return the ratings table. Joins the ids: broadcast while they are small, else a shuffle."""
    users = user_ids.select(F.col("id").alias("user_id"), F.col("idx").alias("user_idx"))
    items = item_ids.select(F.col("id").alias("item_id"), F.col("idx").alias("item_idx"))
    return (
        ratings.join(users, "user_id")
        .join(items, "item_id")
        .select("user_id", "item_id", "rating", "rated_at", "user_idx", "item_idx")
    )
