"""What models publish besides lists: user_factors, item_factors, item_weights, similar_items."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.item_weights.weights import weights_of
from mfspark.models.registry import MODELS
from mfspark.pipeline.publishing.labels import Labels, labels_of
from mfspark.schemas import SIDES, table_schema

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset
    from mfspark.pipeline.fits import Fits


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
    store = dataset.context.store
    for side in SIDES:
        table, ids = f"{side}_factors", labels_of(dataset, side)
        schema = table_schema(table, dataset.report.ids)
        readers = [
            partial(_read_factors, store, name, model.blocks(side), ids, schema)
            for name, model in models.items()
        ]
        dataset.write_blocks(readers, dataset.layout.blocks(side), table)


def _read_factors(
    store: BlockStore, name: str, blocks: Blocks, ids: Labels, schema: pa.Schema, block: int
) -> pa.RecordBatch:
    arrays = store.get(blocks.references[block])
    n_rows, rank = arrays["factors"].shape
    offsets = pa.array(np.arange(n_rows + 1) * rank, pa.int32())
    factors = pa.ListArray.from_arrays(offsets, arrays["factors"].ravel())
    columns = [pa.repeat(name, n_rows), ids.of_block(block), arrays["bias"], factors]
    return pa.record_batch(columns, schema=schema)


def write_item_weights(dataset: Dataset, fits: Fits) -> None:
    """Write the weights between items, of models that have any: what takes in new users."""
    context, layout, items = dataset.context, dataset.layout, labels_of(dataset, "item")
    schema = table_schema("item_weights", dataset.report.ids)
    readers = [
        partial(_read_weights, context.store, layout, name, model.weights, items, schema)
        for name in fits.names
        if (model := fits.model(name, dataset.published).item_weights)
    ]
    if readers:
        dataset.write_blocks(readers, layout.item_blocks, "item_weights")


def _read_weights(
    store: BlockStore,
    layout: GridLayout,
    name: str,
    blocks: Blocks,
    items: Labels,
    schema: pa.Schema,
    block: int,
) -> pa.RecordBatch:
    weights = coo_array(weights_of(store.get(blocks.references[block]), layout.n_items))
    columns = [
        pa.repeat(name, weights.nnz),
        items.all().take(pa.array(weights.col)),
        items.of_block(block).take(pa.array(weights.row)),
        weights.data.astype(np.float32),
    ]
    return pa.record_batch(columns, schema=schema)


def write_similar_items(dataset: Dataset, fits: Fits) -> None:
    """Write the items nearest to every item, of models that can tell."""
    context, subset = dataset.context, dataset.published
    n, tiles = context.config.publish.similar_items, dataset.tiles(subset)
    ranked = {
        name: model.similar_items(context.grid(tiles), n, f"{subset}/{name}/similar-{n}")
        for name in fits.names
        if n and MODELS[name].similar_items and (model := fits.model(name, subset).alike)
    }
    if not ranked:
        return
    schema = table_schema("similar_items", dataset.report.ids)
    items = labels_of(dataset, "item")
    readers = [
        partial(_read_similar, context.store, name, blocks, items, schema)
        for name, blocks in ranked.items()
    ]
    dataset.write_blocks(readers, tiles.layout.item_blocks, "similar_items")


def _read_similar(
    store: BlockStore, name: str, blocks: Blocks, items: Labels, schema: pa.Schema, block: int
) -> pa.RecordBatch:
    lists = RankedLists.from_arrays(store.get(blocks.references[block]))
    rows, ranks = np.nonzero(lists.indices != NOBODY)
    columns = [
        pa.repeat(name, len(rows)),
        items.of_block(block).take(pa.array(rows)),
        pa.array(ranks + 1, pa.int32()),
        items.all().take(pa.array(lists.indices[rows, ranks])),
        lists.scores[rows, ranks],
    ]
    return pa.record_batch(columns, schema=schema)
