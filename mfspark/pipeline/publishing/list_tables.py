"""The lists of a night: `top_n`, those of all models, and `serving`, the one that people get."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING, cast

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mfspark.models.base import MOST_REASONS
from mfspark.pipeline.publishing.listable_items import listable_items
from mfspark.pipeline.ranking.ranked import Ranked, lists_of, rank_items
from mfspark.pipeline.ranking.reranker import Reranker, reranker_of
from mfspark.schemas import Side, table_schema

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.evaluation.champion import Champion
    from mfspark.pipeline.dataset import Dataset
    from mfspark.pipeline.fits import Fits


def write_lists(dataset: Dataset, fits: Fits, champion: Champion) -> None:
    """Write `top_n` and `serving`.

    Each model ranks once: the champion as far as the longer of the two tables wants, or the choice
    of more varied lists; both tables take from the beginning of that.
    """
    context, subset = dataset.context, dataset.published
    n, n_served, run = context.config.publish.n, context.config.n_served, context.config.models.run
    served_by = cast("ModelName", champion.model)
    reranker = reranker_of(fits, served_by, subset, n_served)
    longest = max(n, reranker.n_candidates if reranker else n_served)
    eligible = listable_items(context, dataset)
    ranked = {
        name: rank_items(fits, name, subset, longest if name == served_by else n, eligible)
        for name in run
    }
    dataset.write(_top_n(dataset, fits, ranked.values(), n), "top_n")
    served = _top_n(dataset, fits, [ranked[served_by]], n_served, reranker)
    dataset.write(served.select(*table_schema("serving", dataset.report.ids).names), "serving")


def _top_n(
    dataset: Dataset,
    fits: Fits,
    ranked: Iterable[Ranked],
    n: int,
    reranker: Reranker | None = None,
) -> DataFrame:
    """Return the n first items of lists with ids and titles (joins users and items)."""
    interval = [F.col("low").alias("score_low"), F.col("high").alias("score_high")]
    return (
        _lists_with_reasons(dataset, fits, ranked, n, reranker)
        .join(dataset.ids("user"), "user_idx")
        .join(dataset.read("items").select("item_idx", "item_id", "title"), "item_idx")
        .select(
            *("model", "user_id", "rank", "item_id", "score", "tier"), *interval, "reason", "title"
        )
    )


def _lists_with_reasons(
    dataset: Dataset, fits: Fits, ranked: Iterable[Ranked], n: int, reranker: Reranker | None
) -> DataFrame:
    """Return the n first items of lists; what they name as a reason by id, as text.

    Joins the lists of models that explain with the users or the items, once for each place of a
    reason.
    """
    frames: list[DataFrame] = []
    others: list[Ranked] = []
    for one in ranked:
        if explains := fits.model(one.name, dataset.published).explains:
            frames.append(_with_ids(lists_of(fits, [one], n, reranker), dataset, explains.side))
        else:
            others.append(one)
    if others:
        unexplained = F.col("reason").cast("array<string>")
        frames.append(lists_of(fits, others, n, reranker).withColumn("reason", unexplained))
    return reduce(DataFrame.unionByName, frames)


def _with_ids(lists: DataFrame, dataset: Dataset, side: Side) -> DataFrame:
    """Replace the indices in `reason` by ids as text."""
    columns = [name for name in lists.columns if name != "reason"]
    ids = dataset.read(f"{side}s").select(f"{side}_idx", F.col(f"{side}_id").cast("string"))
    places = [f"place_{i}" for i in range(MOST_REASONS)]
    for i, place in enumerate(places):
        lists = lists.withColumn(f"{place}_idx", F.get("reason", F.lit(i)))
        lists = lists.join(ids.toDF(f"{place}_idx", place), f"{place}_idx", "left")
    named = F.filter(F.array(*places), lambda one: one.isNotNull())
    return lists.select(*columns, F.when(F.size(named) > 0, named).alias("reason"))
