"""Predictions of fitted models, block by block, with a fallback where a model knows nothing.

Pairs that a model cannot score get the baseline's prediction; the `tier` of a row says who made it.
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
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.kernels.factorization.scores import bias_scores
from mfspark.models.factor_model import FactorModel
from mfspark.models.records import Subset

if TYPE_CHECKING:
    from mfspark.pipeline.fits import Fits


def predict(
    fits: Fits,
    names: Sequence[ModelName],
    subset: Subset,
    pairs: TileSet,
    *,
    intervals: bool = True,
) -> dict[ModelName, Predictions]:
    """Predict pairs with models fitted on a subset; some passes over the grid a model.

    Models that only rank are left out. Ends of intervals come where they are asked for and the
    model has them.
    """
    context, scale = fits.context, fits.dataset.scale
    grid = context.grid(fits.dataset.tiles(subset))
    baseline = fits.baseline(subset)
    found: dict[ModelName, Predictions] = {}
    for name in names:
        model = fits.model(name, subset)
        if model.kind != "rating":
            continue
        reference = f"{subset}/{name}/on-{pairs.name.replace('/', '-')}"
        scored, interval = model.predict(grid, pairs, reference), None
        if intervals and (able := model.intervals):
            deviations = able.deviations(grid, pairs, f"{reference}-deviations")
            interval = Interval(context.store, deviations, able.half_width)
        found[name] = Predictions(context.store, name, scale, pairs, scored, baseline, interval)
    return found


@dataclass(frozen=True)
class Interval:
    """How far ratings may lie from the scores of a model, block by block."""

    store: BlockStore
    deviations: Blocks
    half_width: float
    """In standard deviations."""

    def ends(self, scores: Array, scale: RatingScale, block: int, at: Any) -> tuple[Array, Array]:
        """Return low and high of scores (n), whose deviations lie at `at`; NaN where none."""
        deviation = self.store.get(self.deviations.references[block])["deviation"][at]
        return scale.interval(scores, self.half_width * deviation)


def ends_of(interval: Interval | None, scores: Array, *where: Any) -> tuple[Array, Array]:
    """Return low and high of scores, float64 (n), as `Interval.ends`; NaN without an interval."""
    if interval is None:
        none = np.full(len(scores), np.nan)
        return none, none
    return interval.ends(scores, *where)


def known_or_null(numbers: Array, kind: pa.DataType | None = None) -> pa.Array:
    """Return numbers float64 as a column; null where they are NaN."""
    column = pa.array(numbers, mask=np.isnan(numbers))
    return column if kind is None else column.cast(kind)


def made_by(name: str, filler: str, filled: Array) -> pa.Array:
    """Return the column `tier`: the model, or what filled in where it knew nothing; bool (n)."""
    return pc.if_else(pa.array(filled), filler, name)


@dataclass(frozen=True)
class Predicted:
    """The predictions of one block, in the order of the strip of its pairs; float64 (n) each."""

    pairs: Tile
    prediction: Array
    """Never NaN, brought into the rating scale as configured."""
    fallback: Array
    """Where the baseline predicted, bool (n)."""
    low: Array
    high: Array
    """Ends of the interval; NaN where there is none."""

    def where(self, mask: Array) -> Predicted:
        """Return only the pairs under a mask, bool (n)."""
        of_pairs = (self.prediction, self.fallback, self.low, self.high)
        return Predicted(self.pairs.where(mask), *(column[mask] for column in of_pairs))


@dataclass(frozen=True)
class Predictions:
    """Scored pairs, block by block; those the model could not score get the baseline's."""

    store: BlockStore
    name: ModelName
    scale: RatingScale
    pairs: TileSet
    scored: Blocks
    baseline: FactorModel
    interval: Interval | None

    def block(self, block: int) -> Predicted:
        """Return the predictions of a block of users."""
        tiles = RowTiles("user", block, self.pairs, self.store)
        strip = tiles.strip()
        prediction = self.store.get(self.scored.references[block])["prediction"]
        low, high = ends_of(self.interval, prediction, self.scale, block, slice(None))
        unknown = np.isnan(prediction)  # which have no ends either
        if unknown.any():
            users = self.store.get(self.baseline.user.references[block])
            blocks = self.baseline.item
            items = {"bias": blocks.gathered(self.store, tiles.layout, "bias")}
            fallback = bias_scores(self.baseline.mean, users, items, strip)
            prediction = np.where(unknown, fallback, prediction)
        return Predicted(strip, self.scale.adjust(prediction), unknown, low, high)
