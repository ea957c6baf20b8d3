"""Alternating least squares with biases, on the grid (kernel: kernels.normal_equations)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mfspark.grid.training import Loss
from mfspark.kernels.normal_equations import RidgeSolver
from mfspark.kernels.tile import stack_columns
from mfspark.models.factors import FactorModel, start_state
from mfspark.models.mllib_als import fit_mllib

if TYPE_CHECKING:
    from mfspark.config import ALSOptions
    from mfspark.grid.grid import Grid, RowTiles
    from mfspark.grid.training import State
    from mfspark.kernels.tile import Arrays, Tile
    from mfspark.models.base import FitContext


def fit(context: FitContext, options: ALSOptions) -> FactorModel:
    """Fit with our kernel, or with Spark's own ALS where `engine = "mllib"`."""
    if options.engine == "mllib":
        return fit_mllib(context, options)
    mean = context.tiles.mean
    state = context.train(ALS(options, mean, context.seed))
    return FactorModel.of(state, mean)


@dataclass(frozen=True)
class ALS:
    """Alternates the exact solutions of both sides of

    sum (r - mu - b_u - b_i - x_u . y_i)^2
    + reg * variance * sum_u (n_u + prior) |x_u|^2 + bias_damping * sum_u b_u^2
    + the same for items.
    """

    options: ALSOptions
    mean: float
    seed: int

    def start(self, grid: Grid, name: str) -> State:
        """Start both sides with small random factors."""
        return start_state(grid, name, self.options.rank, self.options.init_std, self.seed)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Solve the users given the items, then the items given the users."""
        half = HalfStep(self.options, self.mean)
        user, _ = grid.sweep("user", name, half, rows=state.user, columns=state.item)
        item, numbers = grid.sweep("item", name, half, rows=state.item, columns=user)
        iteration = state.iteration + 1
        rmse = (numbers["squared_error"] / max(1, grid.tiles.n_ratings)) ** 0.5
        history = (*state.history, Loss(iteration, "train", rmse))
        return replace(state, iteration=iteration, user=user, item=item, history=history)

    def finished(self, state: State) -> bool:
        """Stop after max_iter iterations."""
        return state.iteration >= self.options.max_iter


@dataclass(frozen=True)
class HalfStep:
    """Sweep kernel: the rows of one block solved given all columns."""

    options: ALSOptions
    mean: float

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:
        """Return factors, bias, n and the number squared_error of one block.

        Memory: the strip (8 bytes a rating) and the factors of its columns (4 * rank bytes for each
        column, or for each rating where those are fewer).
        """
        met = [_only_used(tile, columns) for tile, columns in tiles]
        strip = stack_columns([tile for tile, _ in met])
        features = np.concatenate([columns["factors"] for _, columns in met])
        targets = strip.values - np.float32(self.mean)
        start = rows["factors"]
        if self.options.biases:
            bias = np.concatenate([columns["bias"] for _, columns in met])
            targets -= bias[strip.indices]
            features = np.column_stack([features, np.ones_like(bias)])
            start = np.column_stack([start, rows["bias"]])
        options = self.options
        solver = RidgeSolver(
            reg=options.reg * (tiles.tiles.variance or 1.0),  # all equal: any scale will do
            method=options.solver,
            cg_steps=options.cg_steps,
            prior=options.prior,
            last_damping=options.bias_damping if options.biases else None,
        )
        solution, squared_error = solver.solve(strip, features, targets, start)
        rank = self.options.rank
        bias = solution[:, rank] if self.options.biases else np.zeros(strip.n_rows, np.float32)
        return {
            "factors": solution[:, :rank],
            "bias": bias,
            "n": strip.degrees,
            "squared_error": np.asarray(squared_error),
        }


def _only_used(tile: Tile, columns: Arrays) -> tuple[Tile, Arrays]:
    """Leave out columns without ratings where a tile is so sparse that it is worth the while."""
    if tile.n_ratings >= tile.n_columns:
        return tile, columns
    compact, used = tile.used_columns()
    return compact, {name: columns[name][used] for name in ("factors", "bias")}
