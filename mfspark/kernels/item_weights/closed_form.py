"""EASE (Steck 2019): dense weights of items in closed form.

minimise  |X - X B|^2 + l2 |B|^2     with  B_jj = 0

P = (X'X + l2 I)^-1,    B_ij = -P_ij / P_jj  for i != j
"""

import numpy as np
import torch

from mfspark.kernels.arrays.tile import Array

BYTES_A_CELL = 28
"""What `closed_form` holds of each pair of items at most: the Gramian in float32 and float64, its
factor, and the inverse."""


def closed_form(gram: Array, l2: float) -> Array:
    """Return B' float32 (items, items): row j has the weights of target j.

    gram (items, items): X'X.
    """
    system = torch.from_numpy(gram.astype(np.float64))
    system.diagonal().add_(l2)
    P = torch.cholesky_inverse(torch.linalg.cholesky(system))
    diagonal = P.diagonal().clone()
    P.diagonal().zero_()
    return P.div_(-diagonal[:, None]).to(torch.float32).numpy()
