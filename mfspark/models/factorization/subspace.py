"""The leading singular vectors of a sparse matrix on the grid: exact, or by subspace iteration.

The matrix F has its entries in the places of the ratings. A turn takes a basis C of the columns to

    P = F C W_c        (a sweep over the rows)         W_c makes C orthonormal
    C = F' P W_p       (a sweep over the columns)      W_p makes P orthonormal

(Halko, Martinsson & Tropp 2011, algorithm 4.4). With C'C = V diag(s^2) V' the singular values are
s, the left vectors P W_p V, and the right ones C V / s. Only w x w matrices are decomposed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.training import Loss, State
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.random import normal_rows
from mfspark.kernels.arrays.sparse import sparse_rows
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.spectrum import FLOAT64_NOTHING, eigenpairs, signs, whitening
from mfspark.schemas import Side, other

OVERSAMPLING = 16
_NO_ROW = 1e-12
"""Length of a row of orthonormal vectors, float64, below which it is rounding: a row of zeros has
no part in any of them, and nor has one that shares no column with those that have."""
Entries = Callable[[Tile, Arrays, Arrays, Side], Array]
"""Gives an entry for each rating of a tile, float32 (n), from what is known of its rows and its
columns; the side is that of its rows."""


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


@dataclass(frozen=True)
class Randomized:
    """Subspace iteration from a random basis; two sweeps a turn."""

    matrix: Matrix
    side: Side
    """The rows of the iteration: the smaller side."""
    rank: int
    """How many triplets are wanted."""
    squares: float
    """Of all entries."""
    seed: int
    max_iter: int
    tol: float

    def start(self, grid: Grid, name: str) -> State:
        """Start with random columns, and no rows yet."""
        columns = start_columns(
            grid, self.side, f"{name}/start", self.rank + OVERSAMPLING, self.seed
        )
        return _state(0, Blocks(self.side, ()), columns)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Take one turn; the loss is what the wanted triplets leave, over all cells."""
        columns = state.item if self.side == "user" else state.user
        found = turn(grid, self.matrix, self.side, name, columns)
        explained = float(found.spectrum.read(grid.store)["values"][: self.rank].sum())
        cells = grid.layout.n_users * grid.layout.n_items
        iteration = state.iteration + 1
        loss = Loss(iteration, "train", (max(0.0, self.squares - explained) / cells) ** 0.5)
        after = _state(iteration, found.rows, found.columns, found.spectrum)
        return replace(after, history=(*state.history, loss))

    def finished(self, state: State) -> bool:
        """Stop after max_iter turns, or when the loss changes by less than `tol` of itself."""
        return state.iteration >= self.max_iter or state.stalled(self.tol)


@dataclass(frozen=True)
class Exact:
    """The leading singular triplets by the Gram matrix F F' of the smaller side; no iterations.

    Memory of the one task that decomposes it: 8 n^2 bytes, three times over.
    """

    matrix: Matrix
    side: Side
    """The rows of F: the smaller side."""
    n_kept: Callable[[Array], int]
    """Says how many triplets are wanted, given all squared singular values, descending."""

    def start(self, grid: Grid, name: str) -> State:
        """Decompose the Gram matrix: F F' = U diag(s^2) U', and F'U = s V."""
        side = self.side
        gram = grid.all_pairs(side, f"{name}/gram", _GramRows(self.matrix))
        spectrum = grid.reduce(f"{name}/spectrum", _ExactSpectrum(self.n_kept), gram)
        rows, _ = grid.sweep(side, f"{name}/rows", _RowsOf(spectrum))
        columns, _ = grid.sweep(other(side), f"{name}/columns", Product(self.matrix), columns=rows)
        grid.store.discard(gram.references)
        return _state(0, rows, columns, spectrum)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Never taken."""
        raise NotImplementedError

    def finished(self, _state: State) -> bool:
        """All is done when it starts."""
        return True


def _state(iteration: int, rows: Blocks, columns: Blocks, *spectrum: Blocks) -> State:
    """Return a state whose user and item blocks are the bases of the two sides."""
    user, item = (rows, columns) if rows.side == "user" else (columns, rows)
    return State(iteration, user, item, kept={"spectrum": spectrum})


@dataclass(frozen=True)
class _GramRows:
    """All-pairs kernel: the rows of F F' that belong to a block, float64 (rows, n)."""

    matrix: Matrix

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        layout, side = strips.tiles.layout, strips.side
        gram = np.zeros((layout.rows(side, strips.block), layout.n(side)))
        for q in range(layout.blocks(other(side))):
            own = self._tile(strips, strips.block, q)
            for block in range(layout.blocks(side)):
                products = own @ self._tile(strips, block, q).T
                gram[:, layout.indices(side, block)] += products.toarray()
        return {"gram": gram}

    def _tile(self, strips: Strips, block: int, q: int) -> Any:
        from scipy.sparse import csr_array

        tile = self.matrix.tile(strips.tiles_of(block), q)
        values = tile.values.astype(np.float64)
        return csr_array((values, tile.indices, tile.indptr), shape=(tile.n_rows, tile.n_columns))


@dataclass(frozen=True)
class _ExactSpectrum:
    """Reduce kernel: eigenpairs of F F', of which all values and the wanted vectors are kept.

    The bases are the vectors themselves.
    """

    n_kept: Callable[[Array], int]

    def __call__(self, blocks: Iterable[Arrays], _store: BlockStore) -> Arrays:
        parts = [block["gram"] for block in blocks]
        n = parts[0].shape[1]
        gram = np.empty((n, n))
        for block, part in enumerate(parts):
            gram[block :: len(parts)] = part  # as GridLayout deals rows out to blocks
        values, vectors = eigenpairs(gram, FLOAT64_NOTHING)
        vectors = vectors[:, : self.n_kept(values)]
        vectors = vectors * signs(vectors.sum(0))
        vectors[np.linalg.norm(vectors, axis=1) < _NO_ROW] = 0.0
        identity = np.eye(vectors.shape[1])
        return {"values": values, "vectors": vectors, "rows": identity, "columns": identity}


@dataclass(frozen=True)
class _RowsOf:
    """Sweep kernel: the vectors of a block's rows, as the basis of its side."""

    spectrum: Blocks

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        vectors = self.spectrum.read(tiles.store)["vectors"]
        mine = vectors[tiles.layout.indices(tiles.side, tiles.block)]
        return {"basis": mine.astype(np.float32)}, {}
