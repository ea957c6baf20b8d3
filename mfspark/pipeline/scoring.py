"""Predictions of fitted models as DataFrames, with a fallback where a model knows nothing.

Pairs that a model cannot score get the baseline's prediction; the column `tier` says who made a
row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    readers: list[PredictionReader] = []
    for name in names:
        model = fits.model(name, subset)
        if model.kind == "rating":
            reference = f"{subset}/{name}/on-{pairs.name.replace('/', '-')}"
            scored = model.predict(grid, pairs, reference)
            interval = None
            if intervals and (able := model.intervals):
                deviations = able.deviations(grid, pairs, f"{reference}-deviations")
                interval = Interval(context.store, deviations, able.half_width)
            readers.append(
                PredictionReader(context.store, name, scale, pairs, scored, baseline, interval)
            )
    return ReadEach(readers, pairs.layout.user_blocks).frame(context.spark, _PREDICTIONS)


@dataclass(frozen=True)
class Interval:
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


def ends_of(interval: Interval | None, scores: np.ndarray, *where: Any) -> list[Any]:
    """Return low and high of scores, as `Interval.columns`; null without an interval."""
    if interval is None:
        return [pa.nulls(len(scores), pa.float64())] * 2
    return interval.columns(scores, *where)


@dataclass(frozen=True)
class PredictionReader:
    """Reads a block of scored pairs; those the model could not score get the baseline's."""

    store: BlockStore
    name: str
    scale: RatingScale
    pairs: TileSet
    scored: Blocks
    baseline: FactorModel
    interval: Interval | None

    def __call__(self, block: int) -> pa.RecordBatch:
        """Return the predictions of a block, in the order of the pairs' strip."""
        tiles = RowTiles("user", block, self.pairs, self.store)
        strip = tiles.strip()
        prediction = self.store.get(self.scored.references[block])["prediction"]
        ends = ends_of(self.interval, prediction, self.scale, block, slice(None))
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
