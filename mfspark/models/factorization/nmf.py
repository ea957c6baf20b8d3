"""Nonnegative matrix factorization (kernel: `descend` of kernels.factorization.ridge).

    minimise  sum (r_ui - x_u . y_i)^2 + reg (...)    with  x_u >= 0, y_i >= 0

over all cells, where an unrated one counts as 0 (Lee & Seung 1999), or over the ratings alone. One
side is solved given the other, in turn. With zeros as data all rows of a side share one system of
normal equations, A = Y'Y: a product of the sparse ratings with Y is all that an iteration reads.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mfspark.config.models import NMFOptions
from mfspark.errors import InputError
from mfspark.grid.kernels import SweepKernel
from mfspark.grid.layout import BySide, TileSet
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.sparse import sparse_rows
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.kernels.factorization.ridge import RidgeSolver, descend
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, StartRows, factor_block
from mfspark.models.factorization.als import ALSHalfStep
from mfspark.models.factorization.alternating import Alternating, gram_of
from mfspark.schemas import other


def fit(context: FitContext, options: NMFOptions) -> FactorModel:
    """Fit nonnegative factors. Raises InputError where there are negative ratings."""
    if context.tiles.low < 0:
        raise InputError(
            f"model nmf needs ratings of 0 or above, and the lowest is {context.tiles.low:g}",
            "leave nmf out of models.run, or shift the ratings; ingest.rating_scale rejects others",
        )
    masked = options.unrated == "masked"
    state = context.train(algorithm(options, context.tiles, context.seed, context.start_factors))
    return FactorModel.of(state, mean=0.0, kind="rating" if masked else "ranking")


def algorithm(
    options: NMFOptions, tiles: TileSet, seed: int, start_factors: BySide | None = None
) -> Alternating:
    """Return the iterations of a fit, from random factors whose products have the cells' mean."""
    half: SweepKernel = ALSHalfStep(partial(_solver_of, options), mean=0.0, biases=False)
    mean = tiles.mean
    if options.unrated == "zero":
        half = FullHalfStep(options)
        mean *= tiles.n_ratings / (tiles.layout.n_users * tiles.layout.n_items)
    first = StartRows(options.rank, (mean / options.rank) ** 0.5, seed, distribution="half_normal")
    return Alternating(half, first, options.max_iter, options.tol, start_factors)


def _solver_of(options: NMFOptions) -> RidgeSolver:
    """Return what solves the rows of ratings whose standard deviation is 1."""
    return RidgeSolver(
        reg=options.reg, prior_count=options.prior_count, nonnegative=True, sweeps=options.sweeps
    )


@dataclass(frozen=True)
class FullHalfStep:
    """Sweep kernel: the rows of one block solved given all columns, over all cells."""

    options: NMFOptions

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias (0), n, gram and the numbers squared_error and weight."""
        start = torch.from_numpy(rows["factors"])
        gram, b = torch.zeros(2 * start.shape[1:]), torch.zeros_like(start)
        squares, n = 0.0, np.zeros(len(start), np.int64)
        for tile, columns in tiles:
            gram += torch.from_numpy(gram_of(columns))
            b.addmm_(sparse_rows(tile, tile.values), torch.from_numpy(columns["factors"]))
            squares += float(np.square(tile.values, dtype=np.float64).sum())
            n += tile.degrees
        diagonal = torch.full_like(start, self.options.reg)
        w = descend(gram, b, diagonal, start, self.options.sweeps)
        fit = float((w * (w @ gram - 2 * b)).sum(dtype=torch.float64))
        cells = len(n) * tiles.layout.n(other(tiles.side))
        block = factor_block(w.numpy(), n)
        numbers = {"squared_error": squares + fit, "weight": float(cells)}
        return block | {"gram": gram_of(block)}, numbers
