"""Alternating least squares with biases, on the grid (kernel: kernels.factorization.ridge)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.kernels.arrays.device import device_of
from mfspark.kernels.factorization.normal_equations import RatingBlock, degrees_of
from mfspark.kernels.factorization.ridge import RidgeSolver
from mfspark.models.factor_model import FactorModel
from mfspark.models.factorization.alternating import Alternating

if TYPE_CHECKING:
    from mfspark.config.models import ALSOptions
    from mfspark.grid.layout import BySide
    from mfspark.grid.runners import Numbers
    from mfspark.grid.views import RowTiles
    from mfspark.kernels.arrays.tile import Arrays, Tile
    from mfspark.models.base import FitContext


def fit(context: FitContext, options: ALSOptions) -> FactorModel:
    """Fit mu, biases and factors of both sides on the ratings of a context."""
    mean = context.tiles.mean
    state = context.train(algorithm(options, mean, context.seed, context.previous))
    return FactorModel.of(state, mean)


def algorithm(
    options: ALSOptions, mean: float, seed: int, previous: BySide | None = None
) -> Alternating:
    """Return the iterations that fit ratings whose mean is `mean`."""
    return Alternating.of(HalfStep(options, mean), options, seed, previous)


@dataclass(frozen=True)
class HalfStep:
    """Sweep kernel: the rows of one block solved given all columns, to minimise

    sum (r - mu - b_u - b_i - x_u . y_i)^2
    + reg * variance * sum_u (n_u + prior) |x_u|^2 + bias_damping * sum_u b_u^2
    + the same for items.

    With biases the features of a rating are (y_i, 1) and its target is r - mu - b_i, so that the
    solution is (x_u, b_u): the bias is one more column, pinned to 1 on the other side.
    """

    options: ALSOptions
    mean: float

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias, n and the numbers squared_error and weight of one block.

        Memory: the strip twice (20 bytes a rating) and the factors of its columns twice (8 * rank
        bytes a column).
        """
        options = self.options
        parts = [rating_block_of(options, tile, columns, self.mean) for tile, columns in tiles]
        start = rows["factors"]
        if options.biases:
            start = np.column_stack([start, rows["bias"]])
        solver = solver_of(options, tiles.tiles.std)
        solution, fit = solver.solve(parts, start)
        squares = sum(float(np.square(part.targets, dtype=np.float64).sum()) for part in parts)
        n = degrees_of(parts)
        return {
            "factors": solution[:, : options.rank],
            "bias": solution[:, options.rank] if options.biases else np.zeros(len(n), np.float32),
            "n": n,
        }, {"squared_error": squares + fit, "weight": float(n.sum())}


def solver_of(options: ALSOptions, std: float) -> RidgeSolver:
    """Return what solves the rows of ratings with this standard deviation."""
    return RidgeSolver(
        reg=options.reg * std**2,
        method=options.solver,
        cg_steps=options.cg_steps,
        prior=options.prior,
        last_damping=options.bias_damping if options.biases else None,
        nonnegative=options.nonnegative,
        device=device_of(options.device),
    )


def rating_block_of(options: ALSOptions, tile: Tile, columns: Arrays, mean: float) -> RatingBlock:
    """Return the ratings of a tile beside the factors of its columns."""
    if options.biases:
        return biased_ratings(tile, columns, mean)
    return RatingBlock(tile, columns["factors"], tile.values - np.float32(mean))


def biased_ratings(tile: Tile, columns: Arrays, mean: float, scale: float = 1.0) -> RatingBlock:
    """Take off what the mean and the columns' biases explain; pin the row's bias to 1."""
    targets = (tile.values - np.float32(mean)) / np.float32(scale)
    targets -= columns["bias"][tile.indices]
    features = np.column_stack([columns["factors"], np.ones_like(columns["bias"])])
    return RatingBlock(tile, features, targets)
