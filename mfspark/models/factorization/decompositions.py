"""Two ways to the singular triplets of a matrix on the grid: exact, and by subspace iteration.

Both end with a basis of either side and a spectrum, as `models.factorization.subspace` describes
them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks
from mfspark.grid.training import Loss, State
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.kernels.factorization.spectrum import FLOAT64_NOTHING, eigenpairs, signs
from mfspark.models.factorization.subspace import Matrix, Product, start_columns, turn
from mfspark.schemas import Side, other

OVERSAMPLING = 16


@dataclass(frozen=True)
class Randomized:
    """Subspace iteration from a random basis (models.factorization.subspace); two sweeps a turn."""

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
