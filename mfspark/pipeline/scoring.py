"""Predictions and lists of fitted models as DataFrames, with fallbacks where a model knows nothing.

Pairs that a model cannot score get the baseline's prediction; lists that a model leaves short are
filled with the most popular unseen items. The column `tier` says who made a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

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
from mfspark.kernels.factorization.scores import bias_scores
from mfspark.models.factor_model import FactorModel
from mfspark.models.records import Subset

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.pipeline.fits import Fits

_PREDICTIONS = pa.schema(
    [
        ("model", pa.string()),
        ("user_idx", pa.int32()),
        ("item_idx", pa.int32()),
        ("prediction", pa.float64()),
        ("tier", pa.string()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
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


def predict(
    fits: Fits,
    names: Sequence[ModelName],
    subset: Subset,
    pairs: TileSet,
    *,
    intervals: bool = True,
) -> DataFrame:
    """Predict pairs with models fitted on a subset.

    Columns: model, user_idx, item_idx, prediction, tier, and low and high, the ends of an interval
    where it is asked for and the model has them. Predictions are never null and are brought into
    the rating scale as configured. Models that only rank are left out.
    """
    context, scale = fits.context, fits.dataset.scale
    grid = context.grid(fits.dataset.tiles(subset))
    baseline = fits.baseline(subset)
    readers: list[_Predictions] = []
    for name in names:
        model = fits.model(name, subset)
        if model.kind == "rating":
            reference = f"{subset}/{name}/on-{pairs.name.replace('/', '-')}"
            scored = model.predict(grid, pairs, reference)
            interval = None
            if intervals and (able := model.intervals):
                deviations = able.deviations(grid, pairs, f"{reference}-deviations")
                interval = _Interval(context.store, deviations, able.half_width)
            readers.append(
                _Predictions(context.store, name, scale, pairs, scored, baseline, interval)
            )
    return ReadEach(readers, pairs.layout.user_blocks).frame(context.spark, _PREDICTIONS)


def recommend(fits: Fits, names: Sequence[ModelName], subset: Subset, n: int) -> DataFrame:
    """Rank n unseen items for every user; columns as those of `lists_of`, explained by nothing."""
    return lists_of(fits, [rank_items(fits, name, subset, n, explained=False) for name in names], n)


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
        interval = _Interval(context.store, deviations, able.half_width)
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


def lists_of(fits: Fits, ranked: Sequence[Ranked], n: int) -> DataFrame:
    """Return the n first items of what models ranked for every user.

    Columns: model, user_idx, rank, item_idx, score, tier; low and high, as `predict`; and reason,
    the indices of the users or items that contributed most to an entry, null where a model gives
    none. The last three are null where nothing was to be explained. Every user gets n rows of each
    model while there are n items they have not rated.
    """
    readers = [partial(one.block, n) for one in ranked]
    n_blocks = fits.dataset.layout.user_blocks
    return ReadEach(readers, n_blocks).frame(fits.context.spark, _LISTS)


@dataclass(frozen=True)
class _Interval:
    """How far ratings may lie from the scores of a model, block by block."""

    store: BlockStore
    deviations: Blocks
    half_width: float
    """In standard deviations."""

    def columns(self, scores: np.ndarray, scale: RatingScale, block: int, at: Any) -> list[Any]:
        """Return low and high of scores (n), whose deviations lie at `at`; null where NaN."""
        deviation = self.store.get(self.deviations.references[block])["deviation"][at]
        ends = scale.interval(scores, self.half_width * deviation)
        return [pa.array(end, pa.float64(), mask=np.isnan(end)) for end in ends]


def _ends(interval: _Interval | None, scores: np.ndarray, *where: Any) -> list[Any]:
    if interval is None:
        return [pa.nulls(len(scores), pa.float64())] * 2
    return interval.columns(scores, *where)


@dataclass(frozen=True)
class _Predictions:
    """Reads a block of scored pairs; those the model could not score get the baseline's."""

    store: BlockStore
    name: str
    scale: RatingScale
    pairs: TileSet
    scored: Blocks
    baseline: FactorModel
    interval: _Interval | None

    def __call__(self, block: int) -> pa.RecordBatch:
        tiles = RowTiles("user", block, self.pairs, self.store)
        strip = tiles.strip()
        prediction = self.store.get(self.scored.references[block])["prediction"]
        ends = _ends(self.interval, prediction, self.scale, block, slice(None))
        unknown = np.isnan(prediction)  # which have no ends either
        if unknown.any():
            users = self.store.get(self.baseline.user.references[block])
            blocks = self.baseline.item
            items = {"bias": blocks.gathered(self.store, tiles.layout, "bias")}
            fallback = bias_scores(self.baseline.mean, users, items, strip)
            prediction = np.where(unknown, fallback, prediction)
        return pa.record_batch(
            [
                pa.repeat(self.name, strip.n_ratings),
                tiles.layout.indices("user", block)[strip.rows].astype(np.int32),
                strip.indices,
                self.scale.adjust(prediction),
                pc.if_else(pa.array(unknown), "baseline", self.name),
                *ends,
            ],
            schema=_PREDICTIONS,
        )


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
    interval: _Interval | None
    reasons: Blocks | None

    def block(self, n: int, block: int) -> pa.RecordBatch:
        """Return the n first rows of each list of a block, n at most what was ranked."""
        lists = RankedLists.from_arrays(self.store.get(self.lists.references[block])).first(n)
        added = np.zeros(lists.indices.shape, bool)
        if (lists.lengths < lists.indices.shape[1]).any():
            lists, added = self._filled(lists, RowTiles("user", block, self.tiles, self.store))
        rows, ranks = np.nonzero(lists.indices != NOBODY)
        scores = lists.scores[rows, ranks]
        low_and_high = _ends(self.interval, scores, self.scale, block, (rows, ranks))
        if self.scale is not None:
            # Lists are ranked by the unrounded score; rounding and clamping keep that order.
            scores = self.scale.adjust(scores)
        return pa.record_batch(
            [
                pa.repeat(self.name, len(rows)),
                self.tiles.layout.indices("user", block)[rows].astype(np.int32),
                (ranks + 1).astype(np.int32),
                lists.indices[rows, ranks],
                scores,
                pc.if_else(pa.array(added[rows, ranks]), "popularity", self.name),
                *low_and_high,
                self._reasons(block, rows, ranks),
            ],
            schema=_LISTS,
        )

    def _reasons(self, block: int, rows: np.ndarray, ranks: np.ndarray) -> pa.Array:
        """Return lists of indices; null where there are none, as in what was added."""
        if self.reasons is None:
            return pa.nulls(len(rows), pa.list_(pa.int32()))
        reason = self.store.get(self.reasons.references[block])["reason"][rows, ranks]
        given = reason != NOBODY
        ends = np.concatenate([[0], np.cumsum(given.sum(1))])
        offsets, none = pa.array(ends, pa.int32()), pa.array(~given.any(1))
        return pa.ListArray.from_arrays(offsets, pa.array(reason[given]), mask=none)

    def _filled(self, lists: RankedLists, tiles: RowTiles) -> tuple[RankedLists, np.ndarray]:
        users = self.store.get(self.filler.user.references[tiles.block])
        chosen, rated = (
            self.popularity.item.gathered(self.store, tiles.layout, name) for name in ("bias", "n")
        )
        order = np.lexsort((-rated, -chosen))  # ties go to the lower index
        if self.eligible is not None:
            order = order[self.eligible[order]]
        return top_up(
            lists,
            tiles.strip(),
            order,
            self.filler.mean + users["bias"].astype(np.float64),
            self.filler.item.gathered(self.store, tiles.layout, "bias").astype(np.float64),
        )
