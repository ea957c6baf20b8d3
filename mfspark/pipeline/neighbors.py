"""Stage similarity: nearest neighbors -> user_neighbors, item_neighbors, user_heatmap."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mfspark.config.models import ModelName
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, GridLayout
from mfspark.grid.runners import frame_of_blocks
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.neighbors.knn import KNN
from mfspark.models.neighbors.search import AmongChosen
from mfspark.models.records import SIMILARITY, TableRows
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.fits import Fits
from mfspark.schemas import Side
from mfspark.system.at_once import at_once

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset

_NEIGHBORS = pa.schema(
    [
        ("idx", pa.int32()),
        ("neighbor_idx", pa.int32()),
        ("rank", pa.int32()),
        ("similarity", pa.float64()),
        ("n_common", pa.int32()),
    ]
)


def run(context: RunContext, dataset: Dataset, fits: Fits) -> dict[str, int]:
    """Write the neighbors of all users and items, found in all ratings; return rows a table."""

    def write() -> TableRows:
        models: tuple[ModelName, ModelName] = ("user_knn", "item_knn")
        found = [cast("KNN", fits.model(name, "all")) for name in models]
        written = at_once(*(partial(_write_neighbors, context, dataset, knn) for knn in found))
        rows = {f"{knn.side}_neighbors": n for knn, n in zip(found, written, strict=True)}
        if n := context.config.publish.heatmap_users:
            heatmap = _heatmap(context, dataset, found[0], n)
            rows["user_heatmap"] = dataset.write_list(heatmap, "user_heatmap")
        return TableRows(rows)

    return context.once(SIMILARITY, write).rows


def _write_neighbors(context: RunContext, dataset: Dataset, knn: KNN) -> int:
    frame = _with_ids(dataset, neighbor_frame(context, dataset, knn.neighbors), knn.side)
    return dataset.write(frame, f"{knn.side}_neighbors")


def _heatmap(
    context: RunContext, dataset: Dataset, fit: KNN, n: int
) -> list[tuple[Any, Any, float | None]]:
    """Return how alike the n users with most ratings are, all with all (collects n rows)."""
    users = dataset.read("users").select("user_idx", "user_id", "n_ratings")
    busiest = users.orderBy(F.desc("n_ratings"), "user_idx").limit(n).collect()
    ids = {row["user_idx"]: row["user_id"] for row in busiest}
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


def neighbor_frame(context: RunContext, dataset: Dataset, neighbors: Blocks) -> DataFrame:
    """Return (idx, neighbor_idx, rank, similarity, n_common), one row a neighbor."""
    read = partial(_read_neighbors, context.store, dataset.layout, neighbors)
    return frame_of_blocks(context.spark, len(neighbors), read, _NEIGHBORS)


def _with_ids(dataset: Dataset, frame: DataFrame, side: Side) -> DataFrame:
    """Replace indices by ids (broadcasts or shuffles the users or items, by their size)."""
    key, neighbor = f"{side}_id", f"neighbor_{side}_id"
    return (
        frame.join(dataset.ids(side, "idx"), "idx")
        .join(dataset.ids(side, "neighbor_idx", neighbor), "neighbor_idx")
        .select(key, neighbor, "rank", "similarity", "n_common")
    )


def _read_neighbors(
    store: BlockStore, layout: GridLayout, neighbors: Blocks, block: int
) -> pa.RecordBatch:
    arrays = store.get(neighbors.references[block])
    rows, ranks = np.nonzero(arrays["indices"] != NOBODY)
    return pa.record_batch(
        [
            layout.indices(neighbors.side, block)[rows].astype(np.int32),
            arrays["indices"][rows, ranks],
            (ranks + 1).astype(np.int32),
            arrays["similarity"][rows, ranks],
            arrays["n_common"][rows, ranks],
        ],
        schema=_NEIGHBORS,
    )
