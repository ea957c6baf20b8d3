"""Items of one title made one item (`items.merge_on = "title"`): their ratings are averaged.

The item that is listed first in the item files stands for all that share its title exactly. A user
who rated several of them has one rating: the mean, at the latest of the times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from mfspark.ingest.side_tables.reader import SideTable


def split_titles(catalogue: SideTable) -> tuple[SideTable, pa.Table]:
    """Return the catalogue with the first item of each title, and which item stands for another.

    The second has a row (item_id, kept_id) for each item left out. Items without a title stay.
    """
    kept_of: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    ids, titles = (catalogue.table[name].to_pylist() for name in ("item_id", "title"))
    for item, title in zip(ids, titles, strict=True):
        kept = item if title is None else kept_of.setdefault(title, item)
        if kept != item:
            others.append((item, kept))
    left_out = pa.table(
        {"item_id": [item for item, _ in others], "kept_id": [kept for _, kept in others]},
        schema=pa.schema([("item_id", pa.string()), ("kept_id", pa.string())]),
    )
    stays = pc.invert(pc.is_in(catalogue.table["item_id"], left_out["item_id"].combine_chunks()))
    return replace(catalogue, table=catalogue.table.filter(stays)), left_out


def merge_ratings(ratings: DataFrame, left_out: pa.Table) -> tuple[DataFrame, int]:
    """Give ratings of items left out to those that stand for them; return how many that saves.

    The items, which are few, are broadcast; only ratings of items that share a title are shuffled.
    """
    if not len(left_out):
        return ratings, 0
    item_type = ratings.schema["item_id"].dataType
    columns = ("user_id", "item_id", "rating", "rated_at")
    same = ratings.sparkSession.createDataFrame(left_out).select(
        *(F.col(name).cast(item_type) for name in left_out.column_names)
    )
    shared = same.unionByName(same.select(F.col("kept_id").alias("item_id"), "kept_id").distinct())
    touched = ratings.join(F.broadcast(shared), "item_id")
    averaged = touched.groupBy("user_id", F.col("kept_id").alias("item_id")).agg(
        F.avg("rating").alias("rating"), F.max("rated_at").alias("rated_at")
    )
    n_fewer = touched.count() - averaged.count()
    others = ratings.join(F.broadcast(shared.select("item_id")), "item_id", "left_anti")
    return others.select(*columns).unionByName(averaged.select(*columns)), n_fewer
