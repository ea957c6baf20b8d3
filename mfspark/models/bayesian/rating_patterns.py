"""Features that need no side data: what a row rated, whatever the rating (SVD++'s idea).

A row's pattern is a row of F = D^-1/2 B, with B = 1 where there is a rating and D the ratings a
row. Its leading left singular vectors U, with F ~ U diag(s)^1/2 V', are the features: a regression
on the patterns with one prior for all columns of F is one on U with prior variances s.
"""

from dataclasses import dataclass

import numpy as np

from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.models.factorization.subspace import Matrix, start_columns, turn
from mfspark.schemas import Side

_OVERSAMPLING, _TURNS = 32, 3


def pattern_features(grid: Grid, side: Side, name: str, n_features: int, seed: int) -> Blocks:
    """Return blocks of features float32 (rows, r) of one side and their scales float64 (r).

    r is n_features, or less where the patterns have no more dimensions.
    """
    degrees, _ = grid.sweep(side, f"{name}/degrees", _Degrees())
    patterns = Matrix(_Patterns(side), {side: degrees})
    start = start_columns(grid, side, f"{name}/start", n_features + _OVERSAMPLING, seed)
    found = turn(grid, patterns, side, f"{name}/0", start)
    grid.store.discard(start.references)
    for number in range(1, _TURNS):
        last = found
        found = turn(grid, patterns, side, f"{name}/{number}", last.columns)
        grid.store.discard(last.references)
    features, _ = grid.sweep(side, name, _Features(found.spectrum, n_features), rows=found.rows)
    grid.store.discard({*found.references, *degrees.references})
    return features


@dataclass(frozen=True)
class _Degrees:
    """Sweep kernel: the ratings of each row."""

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        return {"n": tiles.degrees}, {}


@dataclass(frozen=True)
class _Patterns:
    """The entries of F: all those of a row are equal, and their squares add up to 1."""

    side: Side

    def __call__(self, tile: Tile, rows: Arrays, columns: Arrays, side: Side) -> Array:
        if side == self.side:
            return _root(rows["n"])[tile.rows]
        return _root(columns["n"])[tile.indices]


def _root(n: Array) -> Array:
    return (1 / np.sqrt(np.maximum(n, 1))).astype(np.float32)


@dataclass(frozen=True)
class _Features:
    """Sweep kernel: the rows' features."""

    spectrum: Blocks
    n_features: int

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        spectrum, kept = self.spectrum.read(tiles.store), slice(self.n_features)
        features = rows["basis"] @ spectrum["rows"][:, kept].astype(np.float32)
        return {"features": features, "scales": spectrum["values"][kept]}, {}
