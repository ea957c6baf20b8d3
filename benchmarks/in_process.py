"""Fits of our models in this process, without Spark, on ratings of one block."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from benchmarks.movielens import N_ITEMS, N_USERS, Ratings
from mfspark.config.config import GridOptions
from mfspark.config.models import ModelName, Models
from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.cut import cut_arrays
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, GridLayout, TileSet
from mfspark.grid.runners import InProcess
from mfspark.grid.training import Algorithm, Checkpoint, State, train
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.models.base import FitContext, Model
from mfspark.models.factor_model import FactorModel
from mfspark.models.registry import fit_model
from mfspark.schemas import Side
from mfspark.storage.posix import PosixStorage

Array = np.ndarray

one_thread_a_kernel()  # as in every task of a grid


class InProcessContext(FitContext):
    """Fits in this process what a night would fit on Spark."""

    @property
    def grid(self) -> Grid:
        return Grid(self.tiles, self.store, InProcess())

    def train(self, algorithm: Algorithm) -> State:
        return train(self.grid, algorithm, self.name, self.checkpoint)


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

    def baseline() -> FactorModel:
        checkpoint = replace(context.checkpoint, key="baseline.json")
        own = replace(context, name="baseline", checkpoint=checkpoint)
        return cast("FactorModel", fit_model("baseline", own, models))

    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder:
        context = InProcessContext(
            spark=cast("Any", None),
            tiles=tiles,
            store=store,
            name="fit",
            seed=42,
            grid_options=GridOptions(),
            checkpoint=Checkpoint(PosixStorage(folder), "state.json", "benchmark", 2.0),
            baseline=baseline,
            attributes=known.get,
        )
        return Fitted(fit_model(name, context, models), context.grid)


def _cut(ratings: Ratings, name: str, store: BlockStore) -> TileSet:
    layout = GridLayout(N_USERS, N_ITEMS, 1, 1)
    columns = ratings.users, ratings.items, ratings.values
    return cut_arrays(*columns, layout, name, store, InProcess(), ratings.minutes)
