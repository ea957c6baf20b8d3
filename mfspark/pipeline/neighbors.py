"""Stage similarity: nearest neighbors -> user_neighbors, item_neighbors, user_heatmap."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.neighbors.knn import KNN
from mfspark.models.neighbors.search import AmongChosen
from mfspark.models.records import SIMILARITY, TableRows
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.fits import Fits
from mfspark.pipeline.publishing.labels import Labels, labels_of
from mfspark.schemas import table_schema
from mfspark.system.at_once import at_once

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset

_log = logging.getLogger(__name__)


def run(context: RunContext, dataset: Dataset, fits: Fits) -> dict[str, int]:
    """Write the neighbors of all users or items, found in all ratings; return rows a table.

    Those that `similarity.tables` asks for; the heatmap beside those of users.
    """

    def write() -> TableRows:
        found = [cast("KNN", fits.model(name, "all")) for name in context.config.compares]
        if not found:
            _log.info("no model of this night uses neighbors: none are looked for")
        written = at_once(*(partial(_write_neighbors, context, dataset, knn) for knn in found))
        rows = {f"{knn.side}_neighbors": n for knn, n in zip(found, written, strict=True)}
        n, of_users = context.config.publish.heatmap_users, [k for k in found if k.side == "user"]
        if n and of_users:
            heatmap = _heatmap(context, dataset, of_users[0], n)
            rows["user_heatmap"] = dataset.write_list(heatmap, "user_heatmap")
        return TableRows(rows)

    return context.once(SIMILARITY, write).rows


def _write_neighbors(context: RunContext, dataset: Dataset, knn: KNN) -> int:
    table, labels = f"{knn.side}_neighbors", labels_of(dataset, knn.side)
    schema = table_schema(table, dataset.report.ids)
    read = partial(_read_neighbors, context.store, knn.neighbors, labels, schema)
    return dataset.write_blocks([read], len(knn.neighbors), table)


def _read_neighbors(
    store: BlockStore, neighbors: Blocks, labels: Labels, schema: pa.Schema, block: int
) -> pa.RecordBatch:
    arrays = store.get(neighbors.references[block])
    rows, ranks = np.nonzero(arrays["indices"] != NOBODY)
    columns = [
        labels.of_block(block).take(pa.array(rows)),
        labels.all().take(pa.array(arrays["indices"][rows, ranks])),
        pa.array(ranks + 1, pa.int32()),
        arrays["similarity"][rows, ranks],
        pa.array(arrays["n_common"][rows, ranks], pa.int32()),
    ]
    return pa.record_batch(columns, schema=schema)


def _heatmap(
    context: RunContext, dataset: Dataset, fit: KNN, n: int
) -> list[tuple[Any, Any, float | None]]:
    """Return how alike the n users with most ratings are, all with all."""
    users = dataset.columns("users", "user_idx", "user_id", "n_ratings")
    busiest = users.sort_by([("n_ratings", "descending"), ("user_idx", "ascending")]).slice(0, n)
    ids = dict(zip(*(busiest[name].to_pylist() for name in ("user_idx", "user_id")), strict=True))
    chosen = np.array(sorted(ids), np.int64)
    assert fit.comparison is not None
    grid, kernel = context.grid(dataset.tiles("all")), AmongChosen(fit.comparison, chosen)
    blocks = grid.all_pairs("user", "all/user_knn/heatmap", kernel)
    rows: list[tuple[Any, Any, float | None]] = []
    for block, reference in enumerate(blocks.references):
        mine = np.intersect1d(grid.layout.indices("user", block), chosen)
        similarity = context.store.get(reference)["similarity"]
        for u, row in zip(mine.tolist(), similarity.tolist(), strict=True):
            rows += [
                (ids[u], ids[v], s if s > -np.inf else None)
                for v, s in zip(chosen.tolist(), row, strict=True)
            ]
    return rows
