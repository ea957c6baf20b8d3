"""Truncated singular value decomposition of the users x items matrix.

    R ~ U diag(s) V',  the best approximation of rank k (Eckart & Young 1936)

where an unrated cell counts as 0 ("PureSVD", Cremonesi, Koren & Turrin 2010: a list is ranked by
the rows of U diag(s) V'), or R holds what ratings leave after mu + b_u + b_i, so that an unrated
cell counts as just that (Sarwar et al. 2000).

The fitted factors are x_u = U_u and y_i = s V_i: cosines of the y_i are those of the columns of the
approximated matrix.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from mfspark.config.models import SVDOptions
from mfspark.errors import ConfigError
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.training import Algorithm
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.spectrum import n_within
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, factor_block
from mfspark.models.factorization.subspace import Exact, Matrix, Randomized
from mfspark.schemas import SIDES, Side

_ALWAYS_EXACT = 2048  # users or items, whichever are fewer: the eigenvalues take 2 s
_LARGEST_GRAM = 12_000  # 1.2 GB of float64, and minutes of one task
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SVDModel(FactorModel):
    """A factor model of the leading singular triplets."""

    singular_values: tuple[float, ...] = ()
    """Of the triplets that are kept, descending."""
    squares: float = 0.0
    """Sum of the squares of all singular values: of all entries of the matrix."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Load what `record` gave."""
        values = tuple(record["singular_values"])
        return super().from_record(record | {"singular_values": values})


def fit(context: FitContext, options: SVDOptions) -> SVDModel:
    """Decompose the ratings, or what they leave after mu + b_u + b_i.

    Raises ConfigError where an exact decomposition is asked for that no machine should try.
    """
    matrix, mean = Matrix(), 0.0
    if options.unrated == "baseline":
        mean = context.tiles.mean
        matrix = Matrix(_Residuals(mean), {s: context.baseline().blocks(s) for s in SIDES})
    _, numbers = context.grid.sweep("user", f"{context.name}/squares", _Squares(matrix))
    squares = numbers["squares"]
    layout = context.tiles.layout
    side: Side = "user" if layout.n_users <= layout.n_items else "item"
    algorithm = _algorithm(context, options, matrix, side, squares)
    state = context.train(algorithm)
    (spectrum,) = state.kept["spectrum"]
    values = spectrum.read(context.store)["values"]
    kept = _n_kept(options, squares, values)
    kernel = _Factors(matrix.about, spectrum, side, kept)
    user, item = (
        context.grid.sweep(bases.side, context.name, kernel, rows=bases)[0]
        for bases in (state.user, state.item)
    )
    return SVDModel(
        mean,
        user,
        item,
        "rating" if options.unrated == "baseline" else "ranking",
        state.history,
        singular_values=tuple(np.sqrt(values[:kept]).tolist()),
        squares=squares,
    )


def _algorithm(
    context: FitContext, options: SVDOptions, matrix: Matrix, side: Side, squares: float
) -> Algorithm:
    """Choose the exact way or the randomized one."""
    n = context.tiles.layout.n(side)
    all_values = options.energy is not None and options.energy_of == "nuclear"
    exact = options.solver == "gram" or all_values
    if exact and n > _LARGEST_GRAM:
        wanted = 'energy_of = "nuclear"' if all_values else 'solver = "gram"'
        raise ConfigError(
            f"models.svd.{wanted} decomposes a {n:,} x {n:,} matrix; {_LARGEST_GRAM:,} is the most",
            'use energy_of = "frobenius", or a fixed rank, with solver = "auto"',
        )
    if exact or (options.solver == "auto" and n <= _ALWAYS_EXACT):
        return Exact(matrix, side, partial(_n_kept, options, squares))
    rank = options.max_rank if options.energy else options.rank
    return Randomized(
        matrix, side, rank, squares, context.seed, max_iter=options.max_iter, tol=options.tol
    )


def _n_kept(options: SVDOptions, squares: float, values: Array) -> int:
    """Return how many triplets are kept; values: squared singular values, descending."""
    if options.energy is None:
        return min(options.rank, len(values))
    if options.energy_of == "nuclear":
        roots = np.sqrt(values)
        return n_within(options.energy, roots, float(roots.sum()))
    found = float(values.sum())
    if found < options.energy * squares * (1 - 1e-6):
        _log.warning(
            "svd: the %d triplets that were looked at hold %.1f%% of the squares, less than "
            "models.svd.energy = %g: all of them are kept (models.svd.max_rank)",
            *(len(values), 100 * found / squares, options.energy),
        )
    return n_within(options.energy, values, squares)


@dataclass(frozen=True)
class _Residuals:
    """r - mu - b_u - b_i."""

    mean: float

    def __call__(self, tile: Tile, rows: Arrays, columns: Arrays, _side: Side) -> Array:
        explained = rows["bias"][tile.rows] + columns["bias"][tile.indices]
        return tile.values - np.float32(self.mean) - explained


@dataclass(frozen=True)
class _Squares:
    matrix: Matrix

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        parts = (self.matrix.tile(tiles, q).values for q in range(tiles.layout.item_blocks))
        squares = sum(float(np.square(values, dtype=np.float64).sum()) for values in parts)
        return {}, {"squares": squares}


@dataclass(frozen=True)
class _Factors:
    """Sweep kernel: x = U of the users, y = s V of the items, from the bases of their sides."""

    biases: BySide
    """Blocks with the bias of each row; none: there are no biases."""
    spectrum: Blocks
    unit_side: Side
    """Whose basis gives unit vectors: the rows of the iteration."""
    kept: int

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        found, side = self.spectrum.read(tiles.store), tiles.side
        own_rows = side == self.unit_side
        vectors = found["rows" if own_rows else "columns"][:, : self.kept]
        if own_rows != (side == "user"):  # the rows of the iteration were the items
            singular = np.sqrt(found["values"][: self.kept])
            vectors = vectors * singular if side == "item" else vectors / singular
        bias = tiles.read(self.biases[side])["bias"] if side in self.biases else None
        return factor_block(rows["basis"] @ vectors.astype(np.float32), tiles.degrees, bias), {}
