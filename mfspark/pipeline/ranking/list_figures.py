"""What can be said of lists without test ratings: how new and how varied they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.grid.block_store import BlockStore
from mfspark.grid.runners import ReadEach, frame_of_blocks
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.lists.figures import diversity, novelty, self_information
from mfspark.kernels.lists.genres import unit_rows
from mfspark.kernels.lists.thirds import Thirds
from mfspark.models.records import Subset
from mfspark.pipeline.ranking.ranked import Ranked
from mfspark.pipeline.ranking.reranker import Reranker, genres_of
from mfspark.schemas import Side

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.pipeline.fits import Fits

EVERYTHING = "all"
"""The part of a list that is all of it."""
_FIGURES = pa.schema(
    [
        ("model", pa.string()),
        ("user_idx", pa.int32()),
        ("part", pa.string()),
        ("novelty", pa.float64()),
        ("diversity", pa.float64()),
    ]
)
_PARTS = pa.schema([("idx", pa.int32()), ("part", pa.string())])


def ratings_of(fits: Fits, subset: Subset, side: Side) -> np.ndarray:
    """Return how many ratings of a subset each user or item has, int64 (rows)."""
    counted = fits.popularity(subset).blocks(side)
    return counted.gathered(fits.context.store, fits.dataset.layout, "n")


def list_figures(
    fits: Fits,
    ranked: Sequence[Ranked],
    subset: Subset,
    n: int,
    parts: Thirds,
    reranker: Reranker | None = None,
) -> DataFrame:
    """Return novelty and diversity of each list, and of its items of each part by popularity.

    Columns: model, user_idx, part (`EVERYTHING`, or a label of `parts`), novelty, diversity; null
    where a list has no item, or no pair of items with genres. Popularity is that of a subset.
    """
    store, layout = fits.context.store, fits.dataset.layout
    rated, n_users = ratings_of(fits, subset, "item"), (ratings_of(fits, subset, "user") > 0).sum()
    items = f"{subset}/list-figures/items"
    store.put(
        items,
        {
            "information": self_information(rated, int(n_users)),
            "genres": unit_rows(genres_of(fits.dataset)),
            "part": parts.part_of(rated),
        },
    )
    readers = [partial(_figures, _Figured(store, one, n, items, parts, reranker)) for one in ranked]
    return ReadEach(readers, layout.user_blocks).frame(fits.context.spark, _FIGURES)


@dataclass(frozen=True)
class _Figured:
    """Lists whose figures are read block by block."""

    store: BlockStore
    ranked: Ranked
    n: int
    items: str
    """Reference of a block of what is known of items: information, genres and part."""
    parts: Thirds
    reranker: Reranker | None


def _figures(of: _Figured, block: int) -> pa.RecordBatch:
    lists, known = of.ranked.indices(of.n, of.reranker, block), of.store.get(of.items)
    users = of.ranked.tiles.layout.indices("user", block).astype(np.int32)
    batches: list[pa.RecordBatch] = []
    for part, label in ((None, EVERYTHING), *enumerate(of.parts.labels)):
        mine = lists if part is None else np.where(known["part"][lists] == part, lists, NOBODY)
        figures = novelty(mine, known["information"]), diversity(mine, known["genres"])
        labels = [pa.repeat(text, len(users)) for text in (of.ranked.name, label)]
        columns = [pa.array(figure, mask=np.isnan(figure)) for figure in figures]
        batch = pa.record_batch([labels[0], users, labels[1], *columns], schema=_FIGURES)
        batches.append(batch if part is None else batch.filter(pa.array(~np.isnan(figures[0]))))
    whole = pa.Table.from_batches(batches)  # of which nothing is left where a block has no users
    return pa.record_batch([c.combine_chunks() for c in whole.columns], schema=_FIGURES)


def parts_of(fits: Fits, subset: Subset, side: Side, parts: Thirds) -> DataFrame:
    """Return (idx, part): the label of every user or item, by its ratings of a subset."""
    layout, counted = fits.dataset.layout, fits.popularity(subset).blocks(side)
    store = fits.context.store

    def read(block: int) -> pa.RecordBatch:
        part = parts.part_of(counted.read(store, block)["n"])
        labels = pa.array(np.array(parts.labels)[part], pa.string())
        rows = layout.indices(side, block).astype(np.int32)
        return pa.record_batch([rows, labels], schema=_PARTS)

    return frame_of_blocks(fits.context.spark, layout.blocks(side), read, _PARTS)
