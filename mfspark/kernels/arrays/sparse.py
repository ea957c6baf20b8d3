"""Tiles as torch sparse matrices, for products of all rows at once."""

import warnings
from functools import cache

import numpy as np
import torch

from mfspark.kernels.arrays.tile import Array, Tile


def sparse_rows(tile: Tile, values: Array) -> torch.Tensor:
    """Return values that go with a tile's ratings as a sparse matrix (n_rows, n_columns).

    >>> from mfspark.kernels.arrays.tile import Tile
    >>> tile = Tile.from_triples([0, 1], [2, 0], [5, 3], 2, 3)
    >>> sparse_rows(tile, tile.values).to_dense().tolist()
    [[0.0, 0.0, 5.0], [3.0, 0.0, 0.0]]
    """
    return compressed_rows(
        torch.from_numpy(tile.indptr.astype(np.int32)),
        torch.from_numpy(tile.indices),
        torch.from_numpy(values),
        tile.n_columns,
    )


def compressed_rows(
    starts: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, n_columns: int
) -> torch.Tensor:
    """Return a sparse matrix (n_rows, n_columns) of starts (n_rows + 1), columns and values (n).

    >>> starts, columns = torch.tensor([0, 1, 2]), torch.tensor([2, 0])
    >>> compressed_rows(starts, columns, torch.tensor([5.0, 3.0]), 3).to_dense().tolist()
    [[0.0, 0.0, 5.0], [3.0, 0.0, 0.0]]
    """
    _note_that_csr_is_new()
    shape = len(starts) - 1, n_columns
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


@cache
def _note_that_csr_is_new() -> None:
    """Let torch say once, unheard, that its sparse rows are in beta: our tests cover our use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 0], [], [], (1, 0), check_invariants=False)
