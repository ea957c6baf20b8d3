"""The lists of a night: `top_n`, those of all models, and `serving`, the one that people get."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from mfspark.grid.runners import BlockReader
from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.pipeline.publishing.labels import Labels, labels_of
from mfspark.pipeline.publishing.listable_items import listable_items
from mfspark.pipeline.ranking.ranked import Ranked, rank_items
from mfspark.pipeline.ranking.reranker import Reranker, reranker_of
from mfspark.pipeline.scoring import known_or_null, made_by
from mfspark.schemas import SIDES, Side, table_schema

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
    _write(dataset, fits, "top_n", ranked.values(), n, None)
    _write(dataset, fits, "serving", [ranked[served_by]], n_served, reranker)


def _write(
    dataset: Dataset,
    fits: Fits,
    table: str,
    ranked: Iterable[Ranked],
    n: int,
    reranker: Reranker | None,
) -> None:
    labels: dict[Side, Labels] = {side: labels_of(dataset, side) for side in SIDES}
    schema = table_schema(table, dataset.report.ids)
    readers: list[BlockReader] = []
    for one in ranked:
        explains = fits.model(one.name, dataset.published).explains
        lists = _Lists(one, n, reranker, labels, explains.side if explains else None)
        readers.append(partial(_read, lists, schema))
    dataset.write_blocks(readers, dataset.layout.user_blocks, table)


@dataclass(frozen=True)
class _Lists:
    """The lists of one model, with what users and items are called."""

    ranked: Ranked
    n: int
    reranker: Reranker | None
    labels: dict[Side, Labels]
    reasons: Side | None
    """What reasons are, where the model gives any."""


def _read(lists: _Lists, schema: pa.Schema, block: int) -> pa.RecordBatch:
    """Return the lists of a block of users, with those columns that a table has."""
    found, name = lists.ranked.block(lists.n, lists.reranker, block), lists.ranked.name
    users, items = lists.labels["user"], lists.labels["item"]
    listed = pa.array(found.items)
    columns: dict[str, Callable[[], pa.Array]] = {
        "model": lambda: pa.repeat(name, len(found.rows)),
        "user_id": lambda: users.of_block(block).take(pa.array(found.rows)),
        "rank": lambda: pa.array(found.ranks, pa.int32()),
        "item_id": lambda: items.all().take(listed),
        "score": lambda: pa.array(found.scores),
        "tier": lambda: made_by(name, "popularity", found.added),
        "score_low": lambda: known_or_null(found.low),
        "score_high": lambda: known_or_null(found.high),
        "reason": lambda: _named(found.reasons, lists, len(found.rows)),
        "title": lambda: items.all("title").take(listed),
    }
    return pa.record_batch([columns[column]() for column in schema.names], schema=schema)


def _named(reasons: Array | None, lists: _Lists, n: int) -> pa.Array:
    """Return lists of ids as text; null where there are none, as in what was added."""
    texts = pa.list_(pa.string())
    if reasons is None or lists.reasons is None:
        return pa.nulls(n, texts)
    given = reasons != NOBODY
    ends = np.concatenate([[0], np.cumsum(given.sum(1))])
    ids = lists.labels[lists.reasons].all().take(pa.array(reasons[given])).cast(pa.string())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), ids, mask=pa.array(~given.any(1)))
