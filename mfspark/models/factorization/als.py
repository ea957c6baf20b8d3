"""Alternating least squares with biases, on the grid (kernel: kernels.factorization.ridge)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mfspark.config.models import ALSOptions
from mfspark.grid.layout import BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.device import device_of
from mfspark.kernels.arrays.tile import Arrays, Numbers, Tile
from mfspark.kernels.factorization.normal_equations import (
    RatingBlock,
    degrees_of,
    squared_targets,
)
from mfspark.kernels.factorization.ridge import RidgeSolver
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, factor_block
from mfspark.models.factorization.alternating import Alternating


def fit(context: FitContext, options: ALSOptions) -> FactorModel:
    """Fit mu, biases and factors of both sides on the ratings of a context."""
    mean = context.tiles.mean
    state = context.train(algorithm(options, mean, context.seed, context.previous))
    return FactorModel.of(state, mean)


def algorithm(
    options: ALSOptions, mean: float, seed: int, previous: BySide | None = None
) -> Alternating:
    """Return the iterations that fit ratings whose mean is `mean`."""
    half = ALSHalfStep(partial(solver_of, options), mean, options.biases)
    return Alternating.of(half, options, seed, previous)


@dataclass(frozen=True)
class ALSHalfStep:
    """Sweep kernel: the rows of one block solved given all columns, to minimise

    sum (r - mu - b_u - b_i - x_u . y_i)^2
    + reg * variance * sum_u (n_u + prior) |x_u|^2 + bias_damping * sum_u b_u^2
    + the same for items.

    With biases the features of a rating are (y_i, 1) and its target is r - mu - b_i, so that the
    solution is (x_u, b_u): the bias is one more column, pinned to 1 on the other side.
    """

    solver: Callable[[float], RidgeSolver]
    """Gives what solves the rows of ratings with this standard deviation."""
    mean: float
    biases: bool

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias, n and the numbers squared_error and weight of one block.

        Memory: the strip twice (20 bytes a rating) and the factors of its columns twice (8 * rank
        bytes a column).
        """
        start, rank = rows["factors"], rows["factors"].shape[1]
        if self.biases:
            start = np.column_stack([start, rows["bias"]])
        ratings = [rating_block_of(*each, self.mean, biases=self.biases) for each in tiles]
        solution, fit = self.solver(tiles.tiles.std).solve(ratings, start)
        n, bias = degrees_of(ratings), solution[:, rank] if self.biases else None
        numbers = {"squared_error": squared_targets(ratings) + fit, "weight": float(n.sum())}
        return factor_block(solution[:, :rank], n, bias), numbers


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


def rating_block_of(
    tile: Tile, columns: Arrays, mean: float, *, biases: bool = True, scale: float = 1.0
) -> RatingBlock:
    """Return the ratings of a tile, in units of `scale`, beside the factors of its columns.

    With biases what the columns' biases explain is taken off, and the row's bias is pinned to 1.
    """
    targets = (tile.values - np.float32(mean)) / np.float32(scale)
    if not biases:
        return RatingBlock(tile, columns["factors"], targets)
    targets -= columns["bias"][tile.indices]
    features = np.column_stack([columns["factors"], np.ones_like(columns["bias"])])
    return RatingBlock(tile, features, targets)
