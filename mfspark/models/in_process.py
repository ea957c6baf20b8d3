"""Fits in this process, without Spark: the same bits as a night's, for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

from mfspark.config.config import GridOptions
from mfspark.config.models import ModelName, Models
from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide, TileSet
from mfspark.grid.runners import InProcess
from mfspark.grid.training import RECORD_EVERY, Algorithm, Checkpoint, State, train
from mfspark.models.base import FitContext, Model
from mfspark.models.factor_model import FactorModel
from mfspark.models.registry import fit_model
from mfspark.schemas import Side
from mfspark.storage.posix import PosixStorage


class InProcessContext(FitContext):
    """A fit whose passes run in this process; it looks at neither `master` nor `grid_options`."""

    def train(self, algorithm: Algorithm) -> State:
        """Run a training loop by sweeps."""
        return train(self.grid, algorithm, self.name, self.checkpoint)


def fit_in_process(
    name: ModelName,
    options: Models,
    tiles: TileSet,
    store: BlockStore,
    folder: Path,
    *,
    seed: int = 42,
    choices_from: float | None = None,
    attributes: Mapping[Side, Blocks] | None = None,
    start_factors: BySide | None = None,
) -> tuple[Model, Grid]:
    """Fit a model on tiles that lie in a store; return it with the grid that it was fitted on.

    folder: where training states are recorded. attributes: blocks of attributes float32 (rows, A)
    of the sides that have some. choices_from and start_factors: as `FitContext` has them.
    """

    checkpoint = Checkpoint(PosixStorage(str(folder)), "state.json", "in process", RECORD_EVERY)
    context = context_in_process(
        options,
        tiles,
        store,
        checkpoint,
        seed=seed,
        choices_from=choices_from,
        attributes=attributes,
        start_factors=start_factors,
    )
    return fit_model(name, context, options), context.grid


def context_in_process(
    options: Models,
    tiles: TileSet,
    store: BlockStore,
    checkpoint: Checkpoint,
    *,
    name: str = "fit",
    seed: int = 42,
    choices_from: float | None = None,
    attributes: Mapping[Side, Blocks] | None = None,
    start_factors: BySide | None = None,
) -> InProcessContext:
    """Return what a model is fitted with in this process; the baseline is fitted when asked for.

    name: prefix of the references that the fit writes. choices_from, attributes and start_factors:
    as `fit_in_process` has them.
    """

    @cache
    def baseline() -> FactorModel:
        beside = replace(checkpoint, key=f"{checkpoint.key.removesuffix('.json')}-baseline.json")
        own = replace(context, name=f"{name}-baseline", checkpoint=beside, start_factors=None)
        return cast("FactorModel", fit_model("baseline", own, options))

    context = InProcessContext(
        master="",
        runner=InProcess(),
        tiles=tiles,
        store=store,
        name=name,
        seed=seed,
        grid_options=GridOptions(),
        checkpoint=checkpoint,
        baseline=baseline,
        choices_from=choices_from,
        attributes=(attributes or {}).get,
        start_factors=start_factors,
    )
    return context
