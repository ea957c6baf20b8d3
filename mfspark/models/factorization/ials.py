"""Alternating least squares for implicit feedback: the model that ranks.

Every cell (u, i) of the matrix counts: p_ui is 1 where the user chose the item, with confidence
c_ui = 1 + w_ui, and 0 elsewhere, with confidence 1 (Hu, Koren & Volinsky 2008):

    sum_(u,i) c_ui (p_ui - x_u . y_i)^2                      w_ui = alpha, or alpha r_ui / rms(r)
    + reg * sum_u (alpha n_u + n_items) |x_u|^2 + the same for items

The regularisation counts a row's confidences (Rendle et al. 2021, "Revisiting the performance of
iALS", frequency scaling with exponent 1). The cells that are 0 cost nothing: their part of the
normal equations (kernels.factorization.ridge) is the Gramian Y'Y, the same for all users; each
block carries its own. Users and items without any choice are left out.
"""

from dataclasses import dataclass

import numpy as np

from mfspark.config.models import IALSOptions
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.device import device_of
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.normal_equations import RatingBlock, degrees_of
from mfspark.kernels.factorization.ridge import RidgeSolver
from mfspark.models.base import FitContext
from mfspark.models.factor_model import (
    FactorModel,
    factor_block,
    new_users,
    of_published_factors,
)
from mfspark.models.factorization.alternating import Alternating, gram_of
from mfspark.models.published_items import PublishedItems


def fit(context: FitContext, options: IALSOptions) -> FactorModel:
    """Fit on what was chosen; scores are near 1 for what a user would choose, and no ratings."""
    chosen = context.of_choices()
    state = chosen.train(algorithm(options, context.seed, context.start_factors))
    return FactorModel.of(state, mean=0.0, kind="ranking")


def fold_in(context: FitContext, options: IALSOptions, model: FactorModel) -> FactorModel:
    """Return the model for users who came after training, by what they chose."""
    exact = options.model_copy(update={"solver": "cholesky"})
    return new_users(context.of_choices(), model, IALSHalfStep(exact))


def of_published(
    items: PublishedItems, _options: IALSOptions, store: BlockStore
) -> tuple[FactorModel, Array]:
    """Return the model without users, of published factors; see `registry.FoldIn`."""
    return of_published_factors(items, "ials", store, mean=0.0, kind="ranking")


def algorithm(options: IALSOptions, seed: int, start_factors: BySide | None = None) -> Alternating:
    """Return the iterations of a fit."""
    return Alternating.of(IALSHalfStep(options), options, seed, start_factors)


@dataclass(frozen=True)
class IALSHalfStep:
    """Sweep kernel: the rows of one block solved given all columns, chosen or not."""

    options: IALSOptions

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias (0), n (chosen), gram and the numbers squared_error and weight."""
        options, unit = self.options, tiles.tiles.unit
        ratings = list(tiles)
        blocks = [rating_block_of(options, unit, tile, columns) for tile, columns in ratings]
        gram = np.sum([gram_of(columns) for _, columns in ratings], axis=0)
        n_columns = sum(int((columns["n"] > 0).sum()) for _, columns in ratings)
        factors, fit = solver_of(options, n_columns).solve(blocks, rows["factors"], gram)
        n = degrees_of(blocks)
        confidence = sum(float(each.targets.sum(dtype=np.float64)) for each in blocks)
        unseen = float(((n > 0) * (n_columns - n)).sum())
        block = factor_block(factors, n)
        numbers = {"squared_error": confidence + fit, "weight": confidence + unseen}
        return block | {"gram": gram_of(block)}, numbers


def solver_of(options: IALSOptions, n_columns: int) -> RidgeSolver:
    """Return what solves rows of `n_columns` cells."""
    return RidgeSolver(
        reg=options.reg * options.alpha,
        method=options.solver,
        cg_steps=options.cg_steps,
        prior_count=n_columns / options.alpha,
        device=device_of(options.device),
    )


def rating_block_of(
    options: IALSOptions, unit: float, chosen: Tile, columns: Arrays
) -> RatingBlock:
    """Return choices with w_ui, which weighs one beside the 1 that every cell has.

    unit: root mean square of the ratings, so that their unit does not matter.
    """
    weights = np.full(chosen.n_ratings, options.alpha, np.float32)
    if options.by_rating:
        weights *= np.maximum(chosen.values, 0) / np.float32(unit)
    return RatingBlock(chosen, columns["factors"], targets=1 + weights, weights=weights)
