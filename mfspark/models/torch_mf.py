"""The torch matrix-factorization trainer: strata of tiles, one `nn.Module` a tile (kernels.sgd)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mfspark.grid.training import Loss
from mfspark.kernels.random import derive_seed, uniform
from mfspark.kernels.sgd import Epoch, steady_batch_size
from mfspark.models.factors import FactorModel, start_state

if TYPE_CHECKING:
    from mfspark.config import TorchMFOptions
    from mfspark.grid.grid import Grid, Layout
    from mfspark.grid.training import State
    from mfspark.kernels.tile import Array, Arrays, Tile
    from mfspark.models.base import FitContext

_VALIDATION, _SHUFFLE = 1, 2  # streams of random numbers of one seed


def fit(context: FitContext, options: TorchMFOptions) -> FactorModel:
    """Fit by stochastic gradients; every epoch each user block meets each item block once."""
    mean = context.tiles.mean if options.center else 0.0
    variance = context.tiles.variance or 1.0  # all equal: any scale will do
    state = context.train(TorchMF(options, mean, context.seed, variance))
    return FactorModel.of(state, mean)


@dataclass(frozen=True)
class TorchMF:
    """Epochs of strata, with a decaying learning rate and early stopping."""

    options: TorchMFOptions
    mean: float
    seed: int
    variance: float = 1.0
    """Of the ratings: the unit of `reg`."""

    def start(self, grid: Grid, name: str) -> State:
        """Start both sides with small random factors."""
        return start_state(grid, name, self.options.rank, self.options.init_std, self.seed)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Run one epoch."""
        epoch = state.iteration + 1
        reg = self.options.reg * self.variance
        kernel = MeetBlocks(self.options, self.mean, reg, self.seed, epoch, grid.layout)
        user, item, numbers = grid.strata(name, kernel, state.user, state.item)
        losses = [_rmse("train", epoch, numbers["train_error"], numbers["n_train"])]
        if numbers["n_validation"]:
            losses.append(
                _rmse("validation", epoch, numbers["validation_error"], numbers["n_validation"])
            )
        return replace(
            state, iteration=epoch, user=user, item=item, history=(*state.history, *losses)
        )

    def finished(self, state: State) -> bool:
        """Stop after `epochs`, or when validation has not improved for `patience` epochs."""
        losses = state.losses("validation")
        patience = self.options.patience
        stalled = len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])
        return state.iteration >= self.options.epochs or stalled


@dataclass(frozen=True)
class MeetBlocks:
    """Stratum kernel: one pass of gradient steps over the ratings where two blocks meet."""

    options: TorchMFOptions
    mean: float
    reg: float
    seed: int
    epoch: int
    layout: Layout

    def __call__(
        self, users: Arrays, items: Arrays, tile: Tile, pair: tuple[int, int]
    ) -> tuple[Arrays, Arrays]:
        """Return the new user and item block, with the optimizer's state of their rows."""
        options = self.options
        epoch = Epoch(
            optimizer=options.optimizer,
            learning_rate=options.learning_rate * options.decay ** (self.epoch - 1),
            reg=self.reg,
            batch_size=(
                steady_batch_size(tile) if options.batch_size == "auto" else options.batch_size
            ),
            biases=options.biases,
            mean=self.mean,
            seed=derive_seed(self.seed, _SHUFFLE, self.epoch, *pair),
            device=_device(options.device),
        )
        new_users, new_items = epoch.run(users, items, tile, self._held_out(tile, pair))
        return new_users | {"n": users["n"]}, new_items | {"n": items["n"]}

    def _held_out(self, tile: Tile, pair: tuple[int, int]) -> Array:
        """Choose validation ratings by a hash of user and item: the same in every epoch and cut."""
        p, q = pair
        user = tile.rows.astype(np.int64) * self.layout.user_blocks + p
        item = tile.indices.astype(np.int64) * self.layout.item_blocks + q
        seed = derive_seed(self.seed, _VALIDATION)
        return uniform(seed, user * self.layout.n_items + item) < self.options.validation_share


def _rmse(split: str, epoch: int, squared_error: float, n: float) -> Loss:
    return Loss(epoch, split, (squared_error / max(1.0, n)) ** 0.5)


def _device(choice: str) -> str:
    if choice == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return choice
