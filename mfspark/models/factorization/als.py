"""Alternating least squares with biases, on the grid (kernel: kernels.factorization.ridge)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mfspark.config.models import ALSOptions, Penalty
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.device import device_of
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.normal_equations import (
    RatingBlock,
    degrees_of,
    squared_targets,
)
from mfspark.kernels.factorization.ridge import RidgeSolver
from mfspark.models.base import FitContext
from mfspark.models.factor_model import (
    FactorModel,
    factor_block,
    new_users,
    of_published_factors,
)
from mfspark.models.factorization.alternating import Alternating
from mfspark.models.published_items import PublishedItems


def fit(context: FitContext, options: ALSOptions) -> FactorModel:
    """Fit mu, biases and factors of both sides on the ratings of a context."""
    tiles = context.tiles
    penalty = options.penalty(tiles.n_ratings)
    state = context.train(
        algorithm(options, penalty, tiles.mean, context.seed, tiles.std, context.start_factors)
    )
    return FactorModel.of(state, tiles.mean)


def fold_in(context: FitContext, options: ALSOptions, model: FactorModel) -> FactorModel:
    """Return the model for users who came after training, by their ratings."""
    exact = options.model_copy(update={"solver": "cholesky"})
    solver = partial(solver_of, exact, options.penalty(context.tiles.n_ratings))
    half = ALSHalfStep(solver, model.mean, options.biases)
    return new_users(context, model, half)


def of_published(
    items: PublishedItems, _options: ALSOptions, store: BlockStore
) -> tuple[FactorModel, Array]:
    """Return the model without users, of published factors; see `registry.FoldIn`."""
    return of_published_factors(items, "als", store, mean=items.fitted.mean, kind="rating")


def algorithm(
    options: ALSOptions,
    penalty: Penalty,
    mean: float,
    seed: int,
    std: float = 1.0,
    start_factors: BySide | None = None,
) -> Alternating:
    """Return the iterations that fit ratings of this mean and standard deviation."""
    half = ALSHalfStep(partial(solver_of, options, penalty), mean, options.biases)
    return Alternating.of(half, options, seed, start_factors, std)


@dataclass(frozen=True)
class ALSHalfStep:
    """Sweep kernel: the rows of one block solved given all columns, to minimise

    sum (r - mu - b_u - b_i - x_u . y_i)^2
    + reg * std * sum_u (n_u + prior_count) |x_u|^2 + damping * sum_u b_u^2
    + the same for items.

    |x|^2 has the unit of a rating, as x . y has, so it is std that makes the sums alike.
    """

    solver: Callable[[], RidgeSolver]
    """Gives what solves the rows, on the machine that does."""
    mean: float
    biases: bool

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias, n and the numbers squared_error and weight of one block.

        Memory: the strip twice (20 bytes a rating) and the factors of its columns three times (12 *
        rank bytes a column).
        """
        unit = tiles.tiles.std
        block, squared_error = solved(
            self.solver(), rows, tiles, self.mean, unit, biases=self.biases
        )
        return block, {"squared_error": squared_error, "weight": float(block["n"].sum())}


def solved(
    solver: RidgeSolver,
    rows: Arrays,
    ratings: Iterable[tuple[Tile, Arrays]],
    mean: float,
    std: float,
    *,
    biases: bool,
) -> tuple[Arrays, float]:
    """Return the factor block of some rows, given those of the columns, and the squared error.

    All is solved in standard deviations of the ratings, so that their unit cannot matter: not to
    the penalty, nor to how far a few steps of conjugate gradients come. With biases the features of
    a rating are (y_i, 1) and its target is r - mu - b_i, so that the solution is (x_u, b_u): the
    bias is one more column, pinned to 1 on the other side.
    """
    blocks = [
        rating_block_of(tile, _in_units(columns, std), mean, biases=biases, scale=std)
        for tile, columns in ratings
    ]
    begin = _in_units(rows, std)
    start, rank = begin["factors"], begin["factors"].shape[1]
    if biases:
        start = np.column_stack([start, begin["bias"]])
    solution, fit = solver.solve(blocks, start)
    bias = solution[:, rank] * np.float32(std) if biases else None
    factors = solution[:, :rank] * np.float32(std**0.5)
    return factor_block(factors, degrees_of(blocks), bias), (squared_targets(blocks) + fit) * std**2


def _in_units(block: Arrays, std: float) -> Arrays:
    """Return factors and biases of ratings that are divided by `std`."""
    factors, bias = block["factors"] / np.float32(std**0.5), block["bias"] / np.float32(std)
    return {"factors": factors, "bias": bias}


def solver_of(options: ALSOptions, penalty: Penalty) -> RidgeSolver:
    """Return what solves the rows of ratings whose standard deviation is 1."""
    return RidgeSolver(
        reg=penalty.reg,
        method=options.solver,
        cg_steps=options.cg_steps,
        prior_count=penalty.prior_count,
        last_damping=options.damping if options.biases else None,
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
