"""Tiles as torch sparse matrices, for products of all rows at once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from mfspark.kernels.tile import Array, Tile

# torch has called its sparse rows a beta since 2020; what we use of them is tested here.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")


def sparse_rows(tile: Tile, values: Array) -> torch.Tensor:
    """Return values that go with a tile's ratings as a sparse matrix (n_rows, n_columns)."""
    return torch.sparse_csr_tensor(
        torch.from_numpy(tile.indptr.astype(np.int32)),
        torch.from_numpy(tile.indices),
        torch.from_numpy(values),
        size=(tile.n_rows, tile.n_columns),
        check_invariants=False,
    )
