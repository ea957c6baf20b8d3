"""The leading singular vectors of a sparse matrix on the grid, by subspace iteration.

The matrix F has its entries in the places of the ratings. A turn takes a basis C of the columns to

    P = F C W_c        (a sweep over the rows)         W_c makes C orthonormal
    C = F' P W_p       (a sweep over the columns)      W_p makes P orthonormal

(Halko, Martinsson & Tropp 2011, algorithm 4.4). With C'C = V diag(s^2) V' the singular values are
s, the left vectors P W_p V, and the right ones C V / s. Only w x w matrices are decomposed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.random import normal_rows
from mfspark.kernels.arrays.sparse import sparse_rows
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.spectrum import eigenpairs, signs, whitening
from mfspark.schemas import Side, other


class Entries(Protocol):
    """What a matrix holds in the places of the ratings."""

    def __call__(self, tile: Tile, rows: Arrays, columns: Arrays, side: Side, /) -> Array:
        """Return float32 (n): an entry for each rating of a tile whose rows are of `side`."""
        ...


def ratings_themselves(tile: Tile, _rows: Arrays, _columns: Arrays, _side: Side) -> Array:
    """Return the ratings: whatever was not rated counts as 0."""
    return tile.values


@dataclass(frozen=True)
class Matrix:
    """A sparse matrix (users, items) with an entry in the place of each rating."""

    entries: Entries = ratings_themselves
    about: BySide = field(default_factory=dict)
    """Blocks with what the entries depend on besides the ratings; none for a side: empty."""

    def tile(self, tiles: RowTiles, q: int) -> Tile:
        """Return the entries where a row block meets column block q."""
        tile, side = tiles.tile(q), tiles.side
        rows = self._about(side, tiles.block, tiles.store)
        columns = self._about(other(side), q, tiles.store)
        return tile.with_values(self.entries(tile, rows, columns, side))

    def _about(self, side: Side, block: int, store: BlockStore) -> Arrays:
        return self.about[side].read(store, block) if side in self.about else {}


@dataclass(frozen=True)
class Subspace:
    """Where a turn ended."""

    rows: Blocks
    """basis float32 (rows, w): P."""
    columns: Blocks
    """basis float32 (columns, w): C."""
    spectrum: Blocks
    """One block: values float64 (r), s^2, descending, and what takes bases to vectors: rows (w, r),
    so that P rows = U, and columns (w, r), so that C columns = s V."""

    @property
    def references(self) -> set[str]:
        """All blocks it needs."""
        every = (self.spectrum, self.rows, self.columns)
        return {reference for blocks in every for reference in blocks.references}


def start_columns(grid: Grid, side: Side, name: str, width: int, seed: int) -> Blocks:
    """Return random columns to start from, for a matrix whose rows are of `side`."""
    width = min(width, grid.layout.n_users, grid.layout.n_items)
    return grid.create(other(side), name, _Start(seed, width))


def turn(grid: Grid, matrix: Matrix, side: Side, name: str, columns: Blocks) -> Subspace:
    """Take one turn: two sweeps, and three small tasks."""
    across = other(side)
    orthonormal = grid.reduce(f"{name}/orthonormal", _Whitening(), columns)
    rows, _ = grid.sweep(side, f"{name}/rows", Product(matrix, orthonormal), columns=columns)
    basis = grid.reduce(f"{name}/basis", _Whitening(), rows)
    columns, _ = grid.sweep(across, f"{name}/columns", Product(matrix, basis), columns=rows)
    spectrum = grid.reduce(f"{name}/spectrum", _Spectrum(basis), columns)
    grid.store.discard({*orthonormal.references, *basis.references})
    return Subspace(rows, columns, spectrum)


@dataclass(frozen=True)
class Product:
    """Sweep kernel: the matrix, or its transpose, times the basis of the other side."""

    matrix: Matrix
    whitening: Blocks | None = None
    """One block with a matrix that the product is multiplied with, if any."""

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return basis float32 (rows, w), and its gram float64 (w, w) and total (w)."""
        product = np.zeros((), np.float32)
        for q in range(tiles.layout.blocks(other(tiles.side))):
            tile = self.matrix.tile(tiles, q)
            entries = sparse_rows(tile, tile.values)
            product = product + (entries @ torch.from_numpy(tiles.column(q)["basis"])).numpy()
        if self.whitening:
            product = product @ self.whitening.read(tiles.store)["basis"].astype(np.float32)
        return _with_gram(product), {}


@dataclass(frozen=True)
class _Start:
    seed: int
    width: int

    def __call__(self, indices: Array) -> Arrays:
        return _with_gram(normal_rows(self.seed, indices, self.width))


def _with_gram(basis: Array) -> Arrays:
    exact = basis.astype(np.float64)
    return {"basis": basis, "gram": exact.T @ exact, "total": exact.sum(0)}


@dataclass(frozen=True)
class _Whitening:
    """Reduce kernel: the matrix that makes the columns of a basis orthonormal, and their sums."""

    def __call__(self, blocks: Iterable[Arrays], _store: BlockStore) -> Arrays:
        gram = total = np.zeros(())
        for block in blocks:
            gram, total = gram + block["gram"], total + block["total"]
        return {"basis": whitening(gram), "total": np.asarray(total)}


@dataclass(frozen=True)
class _Spectrum:
    """Reduce kernel: singular values, and the singular vectors in terms of the bases."""

    basis: Blocks

    def __call__(self, blocks: Iterable[Arrays], store: BlockStore) -> Arrays:
        values, vectors = eigenpairs(sum((block["gram"] for block in blocks), np.zeros(())))
        basis = self.basis.read(store)
        to_rows = basis["basis"] @ vectors
        sign = signs(basis["total"] @ to_rows)
        return {"values": values, "rows": to_rows * sign, "columns": vectors * sign}
