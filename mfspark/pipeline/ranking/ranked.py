"""Lists of fitted models as DataFrames, with fallbacks where a model knows nothing.

Lists that a model leaves short are filled with the most popular unseen items. The column `tier`
says who made a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.config.models import ModelName
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.runners import ReadEach
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, top_up
from mfspark.models.factor_model import FactorModel
from mfspark.models.records import Subset
from mfspark.pipeline.scoring import Interval, ends_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.pipeline.fits import Fits
    from mfspark.pipeline.ranking.reranker import Reranker

_LISTS = pa.schema(
    [
        ("model", pa.string()),
        ("user_idx", pa.int32()),
        ("rank", pa.int32()),
        ("item_idx", pa.int32()),
        ("score", pa.float64()),
        ("tier", pa.string()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("reason", pa.list_(pa.int32())),
    ]
)


def rank_items(
    fits: Fits,
    name: ModelName,
    subset: Subset,
    n: int,
    eligible: np.ndarray | None = None,
    *,
    explained: bool = True,
) -> Ranked:
    """Let a model rank n unseen items for every user; some sweeps over the grid.

    Where `eligible` bool (items) is given, only those are listed. Intervals and reasons are found
    where they are asked for and the model has them.
    """
    context, tiles = fits.context, fits.dataset.tiles(subset)
    grid, model = context.grid(tiles), fits.model(name, subset)
    reference = f"{subset}/{name}/top-{n}" + ("" if eligible is None else "-eligible")
    lists = model.recommend(grid, n, reference, eligible)
    by_rating = model.list_kind == "rating"
    popularity = fits.popularity(subset)
    interval, reasons = None, None
    if explained and (explains := model.explains):
        reasons = explains.list_reasons(grid, lists, f"{reference}-reasons")
    if explained and (able := model.intervals):
        deviations = able.list_deviations(grid, lists, f"{reference}-deviations")
        interval = Interval(context.store, deviations, able.half_width)
    return Ranked(
        store=context.store,
        name=name,
        scale=fits.dataset.scale if by_rating else None,
        tiles=tiles,
        lists=lists,
        filler=fits.baseline(subset) if by_rating else popularity,
        popularity=popularity,
        eligible=eligible,
        interval=interval,
        reasons=reasons,
    )


def lists_of(
    fits: Fits, ranked: Sequence[Ranked], n: int, reranker: Reranker | None = None
) -> DataFrame:
    """Return the n first items of what models ranked for every user, or that a reranker chooses.

    Columns: model, user_idx, rank, item_idx, score, tier; low and high, as `predict`; and reason,
    the indices of the users or items that contributed most to an entry, null where a model gives
    none. The last three are null where nothing was to be explained. Every user gets n rows of each
    model while there are n items they have not rated.
    """
    readers = [partial(one.block, n, reranker) for one in ranked]
    n_blocks = fits.dataset.layout.user_blocks
    return ReadEach(readers, n_blocks).frame(fits.context.spark, _LISTS)


@dataclass(frozen=True)
class Ranked:
    """What one model ranked; its lists are read block by block, and filled where too short.

    `filler` gives the added rows their score: the baseline for ratings, popularity for rankings.
    """

    store: BlockStore
    name: ModelName
    scale: RatingScale | None
    tiles: TileSet
    lists: Blocks
    filler: FactorModel
    popularity: FactorModel
    eligible: np.ndarray | None
    interval: Interval | None
    reasons: Blocks | None

    def indices(self, n: int, reranker: Reranker | None, block: int) -> np.ndarray:
        """Return the items of the n rows that `block` gives of each list, int32 (users, n)."""
        lists, _, places = self._chosen(n, reranker, block)
        items = np.take_along_axis(lists.indices, np.maximum(places, 0), axis=1)
        return np.where(places == NOBODY, np.int32(NOBODY), items)

    def block(self, n: int, reranker: Reranker | None, block: int) -> pa.RecordBatch:
        """Return n rows of each list of a block: the first ones, or those that are chosen."""
        lists, added, places = self._chosen(n, reranker, block)
        rows, ranks = np.nonzero(places != NOBODY)
        entries = rows, places[rows, ranks]
        scores = lists.scores[entries]
        low_and_high = ends_of(self.interval, scores, self.scale, block, entries)
        if self.scale is not None:
            # Lists are ranked by the unrounded score; rounding and clamping keep that order.
            scores = self.scale.adjust(scores)
        return pa.record_batch(
            [
                pa.repeat(self.name, len(rows)),
                self.tiles.layout.indices("user", block)[rows].astype(np.int32),
                (ranks + 1).astype(np.int32),
                lists.indices[entries],
                scores,
                pc.if_else(pa.array(added[entries]), "popularity", self.name),
                *low_and_high,
                self._reasons(block, entries),
            ],
            schema=_LISTS,
        )

    def _chosen(
        self, n: int, reranker: Reranker | None, block: int
    ) -> tuple[RankedLists, np.ndarray, np.ndarray]:
        """Return filled lists of a block, which entries popularity added, and n places of each.

        Places int64 (users, n) are in the order in which they are listed; NOBODY: the list ends.
        """
        length = reranker.n_candidates if reranker else n  # at most what was ranked
        lists = RankedLists.from_arrays(self.store.get(self.lists.references[block])).first(length)
        added = np.zeros(lists.indices.shape, bool)
        if (lists.lengths < lists.indices.shape[1]).any():
            lists, added = self._filled(lists, RowTiles("user", block, self.tiles, self.store))
        if reranker:
            return lists, added, reranker.places(self.store, lists, n)
        there = lists.indices != NOBODY
        return lists, added, np.where(there, np.arange(there.shape[1]), NOBODY)

    def _reasons(self, block: int, entries: tuple[np.ndarray, np.ndarray]) -> pa.Array:
        """Return lists of indices; null where there are none, as in what was added."""
        if self.reasons is None:
            return pa.nulls(len(entries[0]), pa.list_(pa.int32()))
        reason = self.store.get(self.reasons.references[block])["reason"][entries]
        given = reason != NOBODY
        ends = np.concatenate([[0], np.cumsum(given.sum(1))])
        offsets, none = pa.array(ends, pa.int32()), pa.array(~given.any(1))
        return pa.ListArray.from_arrays(offsets, pa.array(reason[given]), mask=none)

    def _filled(self, lists: RankedLists, tiles: RowTiles) -> tuple[RankedLists, np.ndarray]:
        users = self.store.get(self.filler.user.references[tiles.block])
        chosen, rated = (
            self.popularity.item.gathered(self.store, tiles.layout, name) for name in ("bias", "n")
        )
        order = np.lexsort((rated == 0, -chosen))  # as popularity's own list; then by index
        if self.eligible is not None:
            order = order[self.eligible[order]]
        return top_up(
            lists,
            tiles.strip(),
            order,
            self.filler.mean + users["bias"].astype(np.float64),
            self.filler.item.gathered(self.store, tiles.layout, "bias").astype(np.float64),
        )
