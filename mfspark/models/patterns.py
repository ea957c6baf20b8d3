"""Features that need no side data: what a row rated, whatever the rating (SVD++'s idea).

A row's pattern is a row of F = D^-1/2 B, with B = 1 where there is a rating and D the ratings a
row. Its leading left singular vectors U, with F ~ U diag(s)^1/2 V', are the features: a regression
on the patterns with one prior for all columns of F is one on U with prior variances s. They come by
subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4), two sweeps a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from mfspark.kernels.random import normal_rows
from mfspark.kernels.sparse import sparse_rows
from mfspark.schemas import other

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mfspark.grid.grid import Blocks, Grid, RowTiles
    from mfspark.grid.store import Store
    from mfspark.kernels.tile import Array, Arrays
    from mfspark.schemas import Side

_OVERSAMPLING, _ROUNDS = 32, 3
_NOTHING = 1e-7  # of the largest eigenvalue of a Gram matrix in float32


def pattern_features(grid: Grid, side: Side, name: str, n_features: int, seed: int) -> Blocks:
    """Return blocks of features float32 (rows, r) of one side and their scales float64 (r).

    r is n_features, or less where the patterns have no more dimensions.
    """
    width = min(n_features + _OVERSAMPLING, grid.layout.n_users, grid.layout.n_items)
    across: Side = other(side)
    start = _Start(seed, width)
    columns = grid.create(across, f"{name}/start", start)
    rows, basis = columns, ""
    for turn in range(_ROUNDS):
        step = f"{name}/{turn}"
        last = {basis, *rows.references, *columns.references}
        rows, _ = grid.sweep(side, f"{step}/rows", _Product(side), columns=columns)
        basis = grid.reduce(f"{step}/basis", _Whitening(), rows)
        columns, _ = grid.sweep(across, f"{step}/columns", _Product(side, basis), columns=rows)
        grid.store.discard(last - {""})
    spectrum = grid.reduce(f"{name}/spectrum", _Spectrum(basis, n_features), columns)
    features, _ = grid.sweep(side, name, _Rotated(spectrum), rows=rows)
    grid.store.discard({basis, spectrum, *rows.references, *columns.references})
    return features


@dataclass(frozen=True)
class _Start:
    seed: int
    width: int

    def __call__(self, indices: Array) -> Arrays:
        return {"basis": normal_rows(self.seed, indices, self.width)}


@dataclass(frozen=True)
class _Product:
    """Sweep kernel: rows of F times the other side's basis, or of F' times that of `side`."""

    side: Side
    whitening: str = ""
    """Reference of a matrix that the product is multiplied with; empty: none."""

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:  # noqa: ARG002
        product, n = 0.0, np.int64(0)
        for tile, columns in tiles:
            basis = columns["basis"]
            if tiles.side != self.side:  # F' = B' D^-1/2: the columns are scaled
                basis = basis / np.sqrt(np.maximum(columns["n"], 1), dtype=np.float32)[:, None]
            ones = sparse_rows(tile, np.ones(tile.n_ratings, np.float32))
            product = product + (ones @ torch.from_numpy(basis)).numpy()
            n = n + tile.degrees
        if tiles.side == self.side:  # F = D^-1/2 B: the rows are
            product = product / np.sqrt(np.maximum(n, 1), dtype=np.float32)[:, None]
        if self.whitening:
            product = product @ tiles.store.get(self.whitening)["basis"].astype(np.float32)
        gram = (product.T @ product).astype(np.float64)
        return {"basis": product, "n": n, "gram": gram, "total": product.sum(0)}


@dataclass(frozen=True)
class _Whitening:
    """Reduce kernel: the matrix that makes the columns of a basis orthonormal, and their sums."""

    def __call__(self, blocks: Iterable[Arrays], store: Store) -> Arrays:  # noqa: ARG002
        gram, total = 0.0, 0.0
        for block in blocks:
            gram, total = gram + block["gram"], total + block["total"]
        values, vectors = np.linalg.eigh(gram)
        kept = values > _NOTHING * values[-1]
        return {"basis": vectors[:, kept] / np.sqrt(values[kept]), "total": total}


@dataclass(frozen=True)
class _Spectrum:
    """Reduce kernel: the leading singular vectors in terms of the last basis, and their scales."""

    basis: str
    n_features: int

    def __call__(self, blocks: Iterable[Arrays], store: Store) -> Arrays:
        values, vectors = np.linalg.eigh(sum(block["gram"] for block in blocks))
        leading = np.flatnonzero(values > _NOTHING * values[-1])[::-1][: self.n_features]
        whitening = store.get(self.basis)
        rotation = whitening["basis"] @ vectors[:, leading]
        # A vector's sign is arbitrary: its entries are made to add up to more than 0.
        signs = np.where(whitening["total"] @ rotation < 0, -1.0, 1.0)
        return {"rotation": rotation * signs, "scales": values[leading]}


@dataclass(frozen=True)
class _Rotated:
    """Sweep kernel: the rows' features."""

    spectrum: str

    def __call__(self, rows: Arrays, tiles: RowTiles) -> Arrays:
        spectrum = tiles.store.get(self.spectrum)
        features = rows["basis"] @ spectrum["rotation"].astype(np.float32)
        return {"features": features, "scales": spectrum["scales"]}
