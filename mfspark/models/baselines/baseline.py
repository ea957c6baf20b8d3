"""The damped biases every other model has to beat: r(u, i) = mu + b_u + b_i."""

from dataclasses import dataclass, replace

import numpy as np

from mfspark.config.models import BaselineOptions
from mfspark.grid.grid import Grid
from mfspark.grid.training import State
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Arrays, Numbers, stack_columns
from mfspark.kernels.factorization.damped_bias import damped_bias
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, StartRows, factor_block, start_state


def fit(context: FitContext, options: BaselineOptions) -> FactorModel:
    """Fit by alternating the closed solutions of both sides."""
    mean = context.tiles.mean
    state = context.train(Biases(options, mean))
    return FactorModel.of(state, mean, total=True)


@dataclass(frozen=True)
class Biases:
    """Alternates b_i and b_u, items first (as Surprise's baselines do)."""

    options: BaselineOptions
    mean: float

    def start(self, grid: Grid, name: str) -> State:
        """Start without biases."""
        return start_state(grid, name, StartRows(rank=0, std=0.0, seed=0))

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Solve both sides once."""
        options = self.options
        item, _ = grid.sweep("item", name, _Bias(self.mean, options.reg_item), columns=state.user)
        user, _ = grid.sweep("user", name, _Bias(self.mean, options.reg_user), columns=item)
        return replace(state, iteration=state.iteration + 1, user=user, item=item)

    def finished(self, state: State) -> bool:
        """Stop after max_iter alternations."""
        return state.iteration >= self.options.max_iter


@dataclass(frozen=True)
class _Bias:
    mean: float
    damping: float

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        met = list(tiles)
        tile = stack_columns([tile for tile, _ in met])
        other_bias = np.concatenate([columns["bias"] for _, columns in met])
        bias = damped_bias(tile, self.mean, other_bias.astype(np.float64), self.damping)
        return factor_block(np.zeros((tile.n_rows, 0), np.float32), tile.degrees, bias), {}
