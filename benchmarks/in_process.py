"""Fits of our models in this process, without Spark, on ratings of one block."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.movielens import N_ITEMS, N_USERS, Ratings
from mfspark.config.models import ModelName, Models
from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.cut import cut_arrays
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, GridLayout, TileSet
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.models.base import Model
from mfspark.models.in_process import fit_in_process
from mfspark.schemas import Side

Array = np.ndarray

one_thread_a_kernel()  # as in every task of a grid


@dataclass(frozen=True)
class Fitted:
    """A model with the grid it was fitted on."""

    model: Model
    grid: Grid

    def predict(self, pairs: Ratings) -> Array:
        """Predict pairs, float64 (n), in the order given; NaN where nothing is known."""
        cut = _cut(pairs, "pairs", self.grid.store)
        (scored,) = self.model.predict(self.grid, cut, "scored").references
        found = np.empty(len(pairs))
        found[np.lexsort((pairs.items, pairs.users))] = self.grid.store.get(scored)["prediction"]
        return found

    def lists(self, n: int) -> Array:
        """Return the indices of the n best unseen items of every user, int (users, n)."""
        (ranked,) = self.model.recommend(self.grid, n, "ranked").references
        return self.grid.store.get(ranked)["indices"]


def fit(
    ratings: Ratings,
    name: ModelName,
    features: Mapping[Side, Array] | None = None,
    **options: Any,
) -> Fitted:
    """Fit one of our models; `features`, float32 (rows, A), are what is known of either side."""
    models = Models.model_validate({name: options})
    store = MemoryStore()
    tiles = _cut(ratings, "tiles", store)
    known: dict[Side, Blocks] = {}
    for side, values in (features or {}).items():
        store.put(f"features/{side}", {"attributes": values})
        known[side] = Blocks(side, (f"features/{side}",))
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder:
        return Fitted(*fit_in_process(name, models, tiles, store, Path(folder), attributes=known))


def _cut(ratings: Ratings, name: str, store: BlockStore) -> TileSet:
    layout = GridLayout(N_USERS, N_ITEMS, 1, 1)
    columns = ratings.users, ratings.items, ratings.values
    return cut_arrays(*columns, layout, name, store, InProcess(), ratings.minutes)
