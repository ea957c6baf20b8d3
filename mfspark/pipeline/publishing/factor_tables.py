"""What models publish besides lists: user_factors, item_factors, item_weights, similar_items."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.grid.runners import ReadEach
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.item_weights.weights import weights_of
from mfspark.models.base import HasFactors
from mfspark.models.registry import MODELS
from mfspark.schemas import SIDES, Side

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.pipeline.dataset import Dataset
    from mfspark.pipeline.fits import Fits

_SIMILAR = pa.schema(
    [
        ("model", pa.string()),
        ("item_idx", pa.int32()),
        ("rank", pa.int32()),
        ("similar_idx", pa.int32()),
        ("score", pa.float64()),
    ]
)
_FACTORS = pa.schema(
    [
        ("model", pa.string()),
        ("idx", pa.int32()),
        ("bias", pa.float32()),
        ("factors", pa.list_(pa.float32())),
    ]
)


_WEIGHTS = pa.schema(
    [
        ("model", pa.string()),
        ("item_idx", pa.int32()),
        ("target_idx", pa.int32()),
        ("weight", pa.float32()),
    ]
)


def write_factors(dataset: Dataset, fits: Fits) -> None:
    """Write user_factors and item_factors of the models that have any.

    Those of the baseline are always there: it answers for models that know nothing of a pair.
    """
    models = {
        name: factors
        for name in fits.names
        if MODELS[name].publishes_factors
        and (factors := fits.model(name, dataset.published).factors)
    }
    for side in SIDES:
        ids = dataset.ids(side, "idx")
        rows = _factor_frame(dataset, models, side).join(ids, "idx")
        dataset.write(rows.select("model", f"{side}_id", "bias", "factors"), f"{side}_factors")


def write_item_weights(dataset: Dataset, fits: Fits) -> None:
    """Write the weights between items, of models that have any: what takes in new users.

    Joins the items twice (broadcasts or shuffles them, by their size).
    """
    context, layout = dataset.context, dataset.layout
    readers = [
        partial(_read_weights, context.store, layout, name, model.weights)
        for name in fits.names
        if (model := fits.model(name, dataset.published).item_weights)
    ]
    if not readers:
        return
    weights = (
        ReadEach(readers, layout.item_blocks)
        .frame(context.spark, _WEIGHTS)
        .join(dataset.ids("item"), "item_idx")
        .join(dataset.ids("item", "target_idx", "target_item_id"), "target_idx")
    )
    dataset.write(weights.select("model", "item_id", "target_item_id", "weight"), "item_weights")


def _read_weights(
    store: BlockStore, layout: GridLayout, name: str, blocks: Blocks, block: int
) -> pa.RecordBatch:
    weights = coo_array(weights_of(store.get(blocks.references[block]), layout.n_items))
    targets = layout.indices("item", block)[weights.row]
    return pa.record_batch(
        [
            pa.repeat(name, weights.nnz),
            pa.array(weights.col, pa.int32()),
            pa.array(targets, pa.int32()),
            weights.data.astype(np.float32),
        ],
        schema=_WEIGHTS,
    )


def write_similar_items(dataset: Dataset, fits: Fits) -> None:
    """Write the items nearest to every item, of models that can tell.

    Joins the items twice (broadcasts or shuffles them, by their size).
    """
    context, subset = dataset.context, dataset.published
    n, tiles = context.config.publish.similar_items, dataset.tiles(subset)
    ranked = {
        name: model.similar_items(context.grid(tiles), n, f"{subset}/{name}/similar-{n}")
        for name in fits.names
        if n and MODELS[name].similar_items and (model := fits.model(name, subset).alike)
    }
    if not ranked:
        return
    readers = [
        partial(_read_similar, context.store, tiles.layout, name, blocks)
        for name, blocks in ranked.items()
    ]
    similar = (
        ReadEach(readers, tiles.layout.item_blocks)
        .frame(context.spark, _SIMILAR)
        .join(dataset.ids("item"), "item_idx")
        .join(dataset.ids("item", "similar_idx", "similar_item_id"), "similar_idx")
    )
    dataset.write(
        similar.select("model", "item_id", "rank", "similar_item_id", "score"), "similar_items"
    )


def _read_similar(
    store: BlockStore, layout: GridLayout, name: str, blocks: Blocks, block: int
) -> pa.RecordBatch:
    lists = RankedLists.from_arrays(store.get(blocks.references[block]))
    rows, ranks = np.nonzero(lists.indices != NOBODY)
    return pa.record_batch(
        [
            pa.repeat(name, len(rows)),
            layout.indices("item", block)[rows].astype(np.int32),
            (ranks + 1).astype(np.int32),
            lists.indices[rows, ranks],
            lists.scores[rows, ranks],
        ],
        schema=_SIMILAR,
    )


def _factor_frame(dataset: Dataset, models: Mapping[str, HasFactors], side: Side) -> DataFrame:
    """Return (model, idx, bias, factors), one row a model and user or item."""
    context, layout = dataset.context, dataset.layout
    readers = [
        partial(_read_factors, context.store, layout, name, model.blocks(side))
        for name, model in models.items()
    ]
    return ReadEach(readers, layout.blocks(side)).frame(context.spark, _FACTORS)


def _read_factors(
    store: BlockStore, layout: GridLayout, name: str, blocks: Blocks, block: int
) -> pa.RecordBatch:
    arrays = store.get(blocks.references[block])
    n_rows, rank = arrays["factors"].shape
    offsets = pa.array(np.arange(n_rows + 1) * rank, pa.int32())
    return pa.record_batch(
        [
            pa.repeat(name, n_rows),
            layout.indices(blocks.side, block).astype(np.int32),
            arrays["bias"],
            pa.ListArray.from_arrays(offsets, arrays["factors"].ravel()),
        ],
        schema=_FACTORS,
    )
