"""Lists for users who came after a night, of a DataFrame of their ratings: millions of them.

Ratings are shuffled once, by user. Each task reads what the run published of the model, once a
worker, and takes in some thousands of users at a time (models.newcomers), so that lists are those
of `mfspark fold-in`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import ConfigError
from mfspark.grid.runners import spare_imports
from mfspark.ingest.in_arrays import superseded_ratings
from mfspark.ingest.readers.validate import NOT_RATED
from mfspark.ingest.row_counts import SUPERSEDED
from mfspark.ingest.statistics import NO_TIME
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.kernels.arrays.tile import Tile
from mfspark.models.newcomers import UNKNOWN_ITEM, USERS_AT_ONCE, Newcomers, model_for
from mfspark.models.published_facts import ingest_of, is_implicit, missing_ratings
from mfspark.schemas import TIMESTAMP, IdType, IdTypes, new_lists_schema
from mfspark.tables.run import PublishedRun

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_INTEGERS = ("byte", "short", "integer", "long")
_NEEDED, _TIME = ("user_id", "item_id", "rating"), "rated_at"
_REASON = "reason"


def fold_in(
    warehouse: str | Path,
    ratings: DataFrame,
    *,
    model: str | None = None,
    n: int = 10,
    run_id: str | None = None,
) -> DataFrame:
    """Return the n best items for each user of a DataFrame, lazily; shuffles it once, by user.

    ratings: user_id, item_id and rating, and rated_at where users may have rated an item again: the
    newest counts. Rows that cannot count are left out; `rejected_by_fold_in` returns them. Columns:
    those of `schemas.new_lists_schema`. Executors have to reach the warehouse. Raises NotFoundError
    where the run has no model that can do it, ConfigError where a column is missing.
    """
    work = _work(warehouse, ratings, model, n, run_id)
    return _by_user(ratings, work, work.lists, work.schema)


def rejected_by_fold_in(
    warehouse: str | Path,
    ratings: DataFrame,
    *,
    model: str | None = None,
    run_id: str | None = None,
) -> DataFrame:
    """Return the rows that `fold_in` leaves out, with a column `reason`, lazily; one shuffle.

    Reasons are those of table `rejected_ratings`, and unknown_item.
    """
    work = _work(warehouse, ratings, model, 1, run_id)
    return _by_user(ratings, work, work.rejected, work.rejected_schema)


@dataclass(frozen=True)
class _Work:
    """What tasks do with the ratings of some users."""

    place: str
    run_id: str
    model: str
    n: int
    ids: IdTypes
    """Of the users that come, and of the items of the run."""
    scale: tuple[float, float] | None
    """Ratings off it are left out; None where they are choices, which are added up."""
    missing: tuple[float, ...]
    """Numbers that stand for "not rated"."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of lists."""
        return new_lists_schema(self.ids)

    @property
    def rejected_schema(self) -> pa.Schema:
        """The columns of rows that are left out."""
        user = self.schema.field("user_id").type
        columns = {"user_id": user, "item_id": pa.string(), "rating": pa.float64()}
        return pa.schema([*columns.items(), (_TIME, TIMESTAMP), (_REASON, pa.string())])

    def lists(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the lists of users, whose ratings stand together."""
        taken = _newcomers(self.place, self.run_id, self.model)
        rows = rows.append_column("place", self._places(taken, rows))
        rows = rows.filter(pc.is_null(self._reasons(rows)))
        if not rows.num_rows:
            return
        users, user = _numbered(rows)
        items, values = rows["place"].to_numpy(), rows["rating"].to_numpy()
        if self.scale is None:
            pairs, place = np.unique(user * len(taken.items) + items, return_inverse=True)
            user, items = np.divmod(pairs, len(taken.items))
            values = np.bincount(place, values)
        tile = Tile.from_triples(user, items, values, len(users), len(taken.items))
        for found in taken.lists(tile, self.n):
            ids = users.slice(found.first, len(found.by_popularity))
            yield taken.rows(found, ids).cast(self.schema)

    def rejected(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are left out."""
        taken = _newcomers(self.place, self.run_id, self.model)
        rows = rows.append_column("place", self._places(taken, rows))
        reasons = self._reasons(rows)
        rows = rows.drop_columns([_REASON, "place"]).append_column(_REASON, reasons)
        yield from rows.filter(pc.is_valid(reasons)).cast(self.rejected_schema).to_batches()

    def _places(self, taken: Newcomers, rows: pa.Table) -> pa.ChunkedArray:
        """Return the places of the items; -1 where the model knows none."""
        ids = rows["item_id"]
        if self.ids.item == "integer":
            plain = pc.match_substring_regex(ids, "^[0-9]{1,18}$")
            ids = pc.cast(pc.if_else(plain, ids, None), pa.int64())
        return taken.places(ids)

    def _reasons(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return why each row is left out, null where it counts; rows have places."""
        unknown = pc.and_(pc.less(rows["place"], 0), pc.is_null(rows[_REASON]))
        reasons = pc.if_else(unknown, UNKNOWN_ITEM, rows[_REASON])
        if self.scale is None:
            return reasons
        counts = np.flatnonzero(pc.is_null(reasons).to_numpy())
        some = rows.take(pa.array(counts))
        _, user = _numbered(some)
        width = 1 + (pc.max(some["place"]).as_py() or 0)
        times = pc.fill_null(some[_TIME].cast(pa.int64()), NO_TIME).to_numpy()
        superseded = np.zeros(rows.num_rows, bool)
        superseded[counts] = superseded_ratings(user * width + some["place"].to_numpy(), times)
        return pc.if_else(pa.array(superseded), SUPERSEDED, reasons)


def _numbered(rows: pa.Table) -> tuple[pa.Array, np.ndarray]:
    """Return the ids of users as they come, and whose each row is, int64 (n)."""
    codes = rows["user_id"].combine_chunks().dictionary_encode()
    return codes.dictionary, codes.indices.to_numpy().astype(np.int64)


@cache
def _newcomers(place: str, run_id: str, model: str) -> Newcomers:
    """Read a model, once a process."""
    return Newcomers.of(PublishedRun(place, run_id), model)


def _work(
    warehouse: str | Path, ratings: DataFrame, model: str | None, n: int, run_id: str | None
) -> _Work:
    place = str(warehouse)
    run = PublishedRun(place if "://" in place else os.path.abspath(place), run_id)
    implicit = is_implicit(run)
    needed = _NEEDED[:2] if implicit else _NEEDED
    if missing := [name for name in needed if name not in ratings.columns]:
        raise ConfigError(
            f"the ratings have no column {', '.join(missing)}: {', '.join(ratings.columns)}",
            'name them so: ratings.withColumnRenamed("userId", "user_id")',
        )
    whole = ratings.schema["user_id"].dataType.typeName() in _INTEGERS
    kind: IdType = "integer" if whole else "string"
    return _Work(
        place=run.warehouse.root,
        run_id=run.run_id,
        model=model_for(run, model),
        n=n,
        ids=IdTypes(kind, run.manifest.ids.item),
        scale=None if implicit else ingest_of(run).rating_scale,
        missing=missing_ratings(run),
    )


def _by_user(
    ratings: DataFrame,
    work: _Work,
    answer: Callable[[pa.Table], Iterator[pa.RecordBatch]],
    schema: pa.Schema,
) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    def take_in(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        spare_imports()
        one_thread_a_kernel()
        for rows in _whole_users(batches, USERS_AT_ONCE):
            yield from answer(rows)

    # Sorted by rating too, so that of ratings without a time it is always the same one that counts.
    together = _checked(ratings, work).repartition("user_id")
    return together.sortWithinPartitions("user_id", "rating").mapInArrow(
        take_in, from_arrow_schema(schema)
    )


def _checked(ratings: DataFrame, work: _Work) -> DataFrame:
    """Return user_id, item_id as text, rating, rated_at, and why a row cannot count, if so."""
    from pyspark.sql import functions as F

    def text(name: str) -> Column:
        return F.trim(F.col(name).cast("string"))

    user = F.col("user_id").cast("bigint") if work.ids.user == "integer" else text("user_id")
    rating = F.col("rating") if "rating" in ratings.columns else F.lit(1.0)
    time = F.col(_TIME) if _TIME in ratings.columns else F.lit(None)
    known = ratings.select(
        user.alias("user_id"),
        text("item_id").alias("item_id"),
        rating.try_cast("double").alias("rating"),
        time.try_cast("timestamp").alias(_TIME),
    )

    def missing(side: str) -> Column:
        return F.coalesce(F.trim(F.col(f"{side}_id").cast("string")), F.lit("")) == ""

    reason = F.when(missing("user"), "missing_user").when(missing("item"), "missing_item")
    odd = F.isnan("rating") | (F.abs("rating") == float("inf"))
    reason = reason.when(F.col("rating").isNull() | odd, "rating_not_a_number")
    reason = reason.when(F.col("rating").isin(*work.missing), NOT_RATED)
    if work.scale is not None:
        low, high = work.scale
        reason = reason.when(~F.col("rating").between(low, high), "rating_out_of_range")
    return known.withColumn(_REASON, reason)


def _whole_users(batches: Iterator[pa.RecordBatch], n_users: int) -> Iterator[pa.Table]:
    """Gather batches, whose users stand together, into tables of about so many whole users."""
    waiting: list[pa.RecordBatch] = []
    n, last = 0, None
    for batch in batches:
        users = batch["user_id"]
        if not len(users):
            continue
        begins = np.flatnonzero(_changes(users))
        if waiting and users[0].as_py() != last:
            begins = np.concatenate([[0], begins])
        last = users[-1].as_py()
        n += len(begins)
        if n > n_users and len(begins):
            waiting.append(batch.slice(0, int(begins[-1])))
            yield pa.Table.from_batches(waiting)
            waiting, n = [batch.slice(int(begins[-1]))], 1
        else:
            waiting.append(batch)
    if waiting:
        yield pa.Table.from_batches(waiting)


def _changes(users: pa.Array) -> np.ndarray:
    """Return where another user begins than in the row before, bool (n); not at the first row."""
    differ = pc.not_equal(users.slice(1), users.slice(0, len(users) - 1))
    other_null = pc.xor(pc.is_null(users.slice(1)), pc.is_null(users.slice(0, len(users) - 1)))
    changed = pc.or_(pc.fill_null(differ, fill_value=False), other_null)
    return np.concatenate([[False], changed.to_numpy(zero_copy_only=False)])
