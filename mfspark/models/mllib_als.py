"""Spark's own ALS behind the same face, kept for comparison (`models.als.engine = "mllib"`)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.grid.grid import Blocks, RowTiles
from mfspark.models.factors import FactorModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

    from mfspark.config import ALSOptions
    from mfspark.grid.grid import TileSet
    from mfspark.grid.store import Store
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
        regParam=options.reg * (context.tiles.variance or 1.0),
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
    from pyspark.sql import functions as F

    n_blocks = context.tiles.layout.blocks(side)
    blocks = Blocks(side, tuple(f"{context.name}/{side}/{b:04d}" for b in range(n_blocks)))
    write = partial(_write_block, context.store, context.tiles, blocks, rank)
    factors.select("id", "features", F.pmod("id", F.lit(n_blocks)).alias("block")).repartitionById(
        n_blocks, "block"
    ).mapInArrow(write, "block int").collect()
    return blocks


def _write_block(
    store: Store, tiles: TileSet, blocks: Blocks, rank: int, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    block = context.partitionId()
    layout = tiles.layout
    n_rows = layout.rows(blocks.side, block)
    factors = np.zeros((n_rows, rank), np.float32)
    for batch in batches:
        rows = batch["id"].to_numpy() // layout.blocks(blocks.side)
        factors[rows] = batch["features"].flatten().to_numpy().reshape(-1, rank)
    degrees = np.sum([t.degrees for t, _ in RowTiles(blocks.side, block, tiles, store)], axis=0)
    store.put(
        blocks.references[block],
        {"factors": factors, "bias": np.zeros(n_rows, np.float32), "n": degrees},
    )
    yield pa.RecordBatch.from_pydict({"block": pa.array([block], pa.int32())})
