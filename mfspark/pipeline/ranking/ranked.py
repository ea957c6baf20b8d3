"""Lists of fitted models, block by block, with fallbacks where a model knows nothing.

Lists that a model leaves short are filled with the most popular unseen items. The `tier` of an
entry says who made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.config.models import ModelName
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, top_up
from mfspark.models.factor_model import FactorModel
from mfspark.models.records import Subset
from mfspark.pipeline.scoring import Interval, ends_of

if TYPE_CHECKING:
    from mfspark.pipeline.fits import Fits
    from mfspark.pipeline.ranking.reranker import Reranker


def rank_items(
    fits: Fits,
    name: ModelName,
    subset: Subset,
    n: int,
    eligible: Array | None = None,
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


@dataclass(frozen=True)
class Entries:
    """The entries of the lists of one block of users, one after the other; arrays (entries)."""

    rows: Array
    """The row of each entry's user in the block."""
    ranks: Array
    """From 1."""
    items: Array
    scores: Array
    added: Array
    """Whether popularity filled it in, bool."""
    low: Array
    high: Array
    """Ends of an interval around the score; NaN where there is none."""
    reasons: Array | None
    """int32 (entries, n): users or items that contributed most, NOBODY where there are fewer; None
    where nothing was to be explained."""


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
    eligible: Array | None
    interval: Interval | None
    reasons: Blocks | None

    def indices(self, n: int, reranker: Reranker | None, block: int) -> Array:
        """Return the items of the n rows that `block` gives of each list, int32 (users, n)."""
        lists, _, places = self._chosen(n, reranker, block)
        items = np.take_along_axis(lists.indices, np.maximum(places, 0), axis=1)
        return np.where(places == NOBODY, np.int32(NOBODY), items)

    def block(self, n: int, reranker: Reranker | None, block: int) -> Entries:
        """Return n entries of each list of a block: the first ones, or those that are chosen.

        Every user gets n entries while there are n items they have not rated.
        """
        lists, added, places = self._chosen(n, reranker, block)
        rows, ranks = np.nonzero(places != NOBODY)
        entries = rows, places[rows, ranks]
        scores, reasons = lists.scores[entries], None
        low, high = ends_of(self.interval, scores, self.scale, block, entries)
        if self.scale is not None:
            # Lists are ranked by the unrounded score; rounding and clamping keep that order.
            scores = self.scale.adjust(scores)
        if self.reasons is not None:
            reasons = self.store.get(self.reasons.references[block])["reason"][entries]
        items = lists.indices[entries]
        return Entries(rows, ranks + 1, items, scores, added[entries], low, high, reasons)

    def _chosen(
        self, n: int, reranker: Reranker | None, block: int
    ) -> tuple[RankedLists, Array, Array]:
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

    def _filled(self, lists: RankedLists, tiles: RowTiles) -> tuple[RankedLists, Array]:
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
