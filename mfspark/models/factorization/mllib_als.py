"""Spark's own ALS behind the same face, kept for comparison (`models.als.engine = "mllib"`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.grid.cut import cut_factors
from mfspark.models.factor_model import FactorModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.config.models import ALSOptions
    from mfspark.grid.layout import Blocks
    from mfspark.grid.runners import Numbers
    from mfspark.grid.views import RowTiles
    from mfspark.kernels.arrays.tile import Arrays
    from mfspark.models.base import FitContext
    from mfspark.schemas import Side


def fit_mllib(context: FitContext, options: ALSOptions) -> FactorModel:
    """Fit pyspark.ml.recommendation.ALS and store its factors as blocks. It has no biases."""
    from pyspark.ml import recommendation
    from pyspark.sql import functions as F

    mean = context.tiles.mean
    centered = context.ratings().select(
        "user_idx", "item_idx", (F.col("rating") - F.lit(mean)).alias("rating")
    )
    fitted = recommendation.ALS(
        rank=options.rank,
        maxIter=options.max_iter,
        regParam=options.reg * context.tiles.std**2,
        seed=context.seed,
        userCol="user_idx",
        itemCol="item_idx",
        ratingCol="rating",
    ).fit(centered)
    return FactorModel(
        mean,
        _store_factors(context, fitted.userFactors, "user", options.rank),
        _store_factors(context, fitted.itemFactors, "item", options.rank),
    )


def _store_factors(context: FitContext, factors: DataFrame, side: Side, rank: int) -> Blocks:
    """Write MLlib's (id, features) rows as factor blocks; shuffles them once."""
    rows = factors.selectExpr("id as idx", "0.0 as bias", "features as factors")
    layout = context.tiles.layout
    blocks = cut_factors(rows, side, layout, rank, f"{context.name}/mllib", context.store)
    counted, _ = context.grid.sweep(side, context.name, CountRatings(), rows=blocks)
    context.store.discard(blocks.references)
    return counted


@dataclass(frozen=True)
class CountRatings:
    """Sweep kernel: the rows with the number of their ratings."""

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias and n."""
        n = np.sum([tile.degrees for tile, _ in tiles], axis=0)
        return {"factors": rows["factors"], "bias": rows["bias"], "n": n}, {}
