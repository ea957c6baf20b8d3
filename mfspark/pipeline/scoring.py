"""Predictions and lists of fitted models as DataFrames, with fallbacks where a model knows nothing.

Pairs that a model cannot score get the baseline's prediction; lists that a model leaves short are
filled with the most popular unseen items. The column `tier` says who made a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mfspark.grid.frames import frame_of_blocks
from mfspark.grid.grid import RowTiles
from mfspark.kernels.top_n import NOBODY, RankedLists, top_up
from mfspark.pipeline.parts import tiles_of
from mfspark.pipeline.train import fitted, fitted_baseline, fitted_popularity

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from mfspark.config import ModelName
    from mfspark.grid.grid import Blocks, TileSet
    from mfspark.grid.store import Store
    from mfspark.kernels.scale import RatingScale
    from mfspark.kernels.tile import Arrays
    from mfspark.models.factors import FactorModel
    from mfspark.pipeline.job import Job, Part

_PREDICTIONS = pa.schema(
    [("user_idx", pa.int32()), ("item_idx", pa.int32()), ("prediction", pa.float64()),
     ("tier", pa.string())]
)
_LISTS = pa.schema(
    [("user_idx", pa.int32()), ("rank", pa.int32()), ("item_idx", pa.int32()),
     ("score", pa.float64()), ("tier", pa.string())]
)


def predict(job: Job, name: ModelName, part: Part, pairs: TileSet) -> DataFrame:
    """Predict pairs with a model fitted on a part: (user_idx, item_idx, prediction, tier).

    Predictions are never null and are brought into the rating scale as configured.
    """
    grid = job.grid(tiles_of(job, part))
    reference = f"{part}/{name}/on-{pairs.name.replace('/', '-')}"
    scored = fitted(job, name, part).predict(grid, pairs, reference)
    baseline = fitted_baseline(job, part).predict(grid, pairs, f"{reference}/baseline")
    read = partial(_read_predictions, job.store, pairs, scored, baseline, name, job.scale)
    return frame_of_blocks(job.spark, len(scored), read, _PREDICTIONS)


def recommend(job: Job, name: ModelName, part: Part, n: int) -> DataFrame:
    """Rank n unseen items for every user: (user_idx, rank, item_idx, score, tier).

    Every user gets n rows while there are n items they have not rated.
    """
    grid = job.grid(tiles_of(job, part))
    model = fitted(job, name, part)
    reference = f"{part}/{name}/top-{n}"
    lists = model.recommend(grid, n, reference)
    rating_kind = model.kind == "rating"
    filler = fitted_baseline(job, part) if rating_kind else fitted_popularity(job, part)
    kernel = FillLists(filler, fitted_popularity(job, part))
    filled, _ = grid.sweep("user", f"{reference}/filled", kernel, rows=lists)
    scale = job.scale if rating_kind else None
    read = partial(_read_lists, job.store, grid.tiles, filled, name, scale)
    return frame_of_blocks(job.spark, len(filled), read, _LISTS)


@dataclass(frozen=True)
class FillLists:
    """Sweep kernel: lists that are too short are filled by popularity.

    `scores` gives the added rows their score: the baseline for ratings, popularity for rankings.
    """

    scores: FactorModel
    popularity: FactorModel

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:
        """Return indices, scores and the mask `added`, all (users, n)."""
        lists = RankedLists.from_arrays(rows)
        if (lists.lengths == lists.indices.shape[1]).all():
            return {**rows, "added": np.zeros(lists.indices.shape, bool)}
        users = tiles.store.get(self.scores.user.references[tiles.block])
        popular = _of_all_items(tiles, self.popularity, "n")
        filled, added = top_up(
            lists,
            tiles.strip(),
            np.argsort(-popular, kind="stable"),  # ties go to the lower index
            self.scores.mean + users["bias"].astype(np.float64),
            _of_all_items(tiles, self.scores, "bias").astype(np.float64),
        )
        return {**filled.arrays(), "added": added}


def _of_all_items(tiles: RowTiles, model: FactorModel, name: str) -> np.ndarray:
    """Return one array of a model's item blocks in the order of the global index."""
    blocks = [tiles.store.get(reference)[name] for reference in model.item.references]
    whole = np.empty(tiles.layout.n_items, blocks[0].dtype)
    for q, values in enumerate(blocks):
        whole[tiles.layout.indices("item", q)] = values
    return whole


def _read_predictions(
    store: Store, pairs: TileSet, scored: Blocks, baseline: Blocks, name: str, scale: RatingScale,
    block: int,
) -> pa.RecordBatch:
    strip = RowTiles("user", block, pairs, store).strip()
    prediction = store.get(scored.references[block])["prediction"]
    unknown = np.isnan(prediction)
    known = np.where(unknown, store.get(baseline.references[block])["prediction"], prediction)
    return pa.record_batch(
        [
            pairs.layout.indices("user", block)[strip.rows].astype(np.int32),
            strip.indices,
            scale.adjust(known),
            pa.array(np.where(unknown, "baseline", name)),
        ],
        schema=_PREDICTIONS,
    )


def _read_lists(
    store: Store, tiles: TileSet, lists: Blocks, name: str, scale: RatingScale | None, block: int
) -> pa.RecordBatch:
    arrays = store.get(lists.references[block])
    rows, ranks = np.nonzero(arrays["indices"] != NOBODY)
    scores = arrays["scores"][rows, ranks]
    if scale is not None:
        # Lists are ranked by the unrounded score; rounding and clamping keep that order.
        scores = scale.adjust(scores)
    return pa.record_batch(
        [
            tiles.layout.indices("user", block)[rows].astype(np.int32),
            (ranks + 1).astype(np.int32),
            arrays["indices"][rows, ranks],
            scores,
            pa.array(np.where(arrays["added"][rows, ranks], "popularity", name)),
        ],
        schema=_LISTS,
    )
