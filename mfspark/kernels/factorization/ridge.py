"""Ridge regressions of many rows at once: the heart of alternating least squares.

For a row u the ALS step solves (notation: kernels.factorization.normal_equations)

    (A_u + reg * (n_u + prior_count) * I) w_u = b_u

(Zhou et al. 2008, "Large-scale parallel collaborative filtering", weighted-lambda regularisation;
`prior_count` is a number of ratings that every row is taken to have more, without which rows of one
rating fit it too well).

Conjugate gradients never form A_u. A product of all systems at once with all vectors is a sampled
dense-dense product, s_ui = v_u . f_i for every rating, and a sparse-dense one, sum_i s_ui f_i: both
read each rating once, need no padding and know no heavy rows. Measured at rank 64, one thread: 10 M
ratings/s with 3 steps, where forming and solving the systems makes 2 M.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mfspark.kernels.arrays.sparse import sparse_rows
from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.factorization.normal_equations import RatingBlock, degrees_of, normal_equations

_LEAST_DIAGONAL = 1e-6  # of the trace of A; float32 has 1.2e-7


@dataclass(frozen=True)
class RidgeSolver:
    """How the rows of a block are solved."""

    reg: float
    """L2 weight a rating: column by column reg * (n_u + prior_count)."""
    method: Literal["cholesky", "cg"] = "cholesky"
    cg_steps: int = 3
    prior_count: float = 0.0
    """Ratings that every row is taken to have more, where its regularisation is weighed."""
    last_damping: float | None = None
    """Regularisation of the last column alone (a bias), whatever n_u is; None: as the others."""
    nonnegative: bool = False
    """Keep the solution at 0 or above, but for a last column with a damping of its own."""
    sweeps: int = 4
    """Rounds of coordinate descent of a nonnegative solution, from the last one."""
    device: str = "cpu"
    """Where conjugate gradients compute; the other methods compute on the CPU."""

    def solve(
        self, blocks: Sequence[RatingBlock], start: Array, shared: Array | None = None
    ) -> tuple[Array, float]:
        """Return the solution w of every row and the sum of w'A w - 2 w'b.

        Added to the sum of squared targets, that is the sum of squared errors; no second pass over
        the ratings is needed for it. start float32 (n_rows, k): the last solution; shared float32
        (k, k), see `normal_equations`. Returns float32 (n_rows, k), zero in rows without ratings.
        """
        degrees = degrees_of(blocks)
        diagonal = self._diagonal(degrees, start.shape[1])
        if self.method == "cg" and not self.nonnegative:
            equations = _MatrixFree(blocks, shared, self.device)
            begin = torch.from_numpy(np.where(degrees[:, None] > 0, start, np.float32(0)))
            system = equations, diagonal.to(self.device), begin.to(self.device)
            w, fit = _conjugate_gradient(*system, self.cg_steps)
            return w.cpu().numpy(), fit
        solution = np.zeros_like(start)
        fit = 0.0
        for rows, A, b in normal_equations(blocks, shared):
            if self.nonnegative:
                free = None if self.last_damping is None else A.shape[2] - 1
                begin = torch.from_numpy(start[rows])
                w = descend(A, b, diagonal[rows], begin, self.sweeps, free)
                fit += float((w * (torch.bmm(A, w.unsqueeze(2)).squeeze(2) - 2 * b)).sum())
            else:
                w, batch_fit = _cholesky(A, b, diagonal[rows])
                fit += batch_fit
            solution[rows] = w.numpy()
        return solution, fit

    def _diagonal(self, degrees: Array, k: int) -> torch.Tensor:
        """Return what is added to the diagonals, float32 (n_rows, k)."""
        n = torch.from_numpy(degrees).to(torch.float32)
        diagonal = (self.reg * (n + self.prior_count)).unsqueeze(1).repeat(1, k)
        if self.last_damping is not None:
            diagonal[:, -1] = self.last_damping
        return diagonal


class _MatrixFree:
    """The systems of all rows as products with their sparse ratings; nothing is formed."""

    def __init__(self, blocks: Sequence[RatingBlock], shared: Array | None, device: str) -> None:
        def there(array: Array | None) -> torch.Tensor | None:
            return None if array is None else torch.from_numpy(array).to(device)

        self._ratings = [sparse_rows(block.tile, block.targets).to(device) for block in blocks]
        self._features = [torch.from_numpy(block.features).to(device) for block in blocks]
        self._weights = [there(block.weights) for block in blocks]
        self._shared = there(shared)

    def residual(self, w: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return b_u - A_u w_u of every row, float32 (n_rows, k), and the sum of w'A w - 2 w'b.

        One pass for both: they are sum_i f_i (t_ui - c_ui s_ui) and
        sum_ui s_ui (c_ui s_ui - 2 t_ui) over the ratings, beside what is shared.
        """
        residual = torch.zeros_like(w) if self._shared is None else -(w @ self._shared)
        fit = -(w * residual).sum(dtype=torch.float64)
        for ratings, F, weights in zip(self._ratings, self._features, self._weights, strict=True):
            errors = torch.sparse.sampled_addmm(ratings, w, F.T, beta=0.0)
            scores, targets = errors.values(), ratings.values()
            explained = scores if weights is None else scores * weights
            fit += (scores * (explained - 2 * targets)).sum(dtype=torch.float64)
            torch.sub(targets, explained, out=scores)
            residual.addmm_(errors, F)
        return residual, float(fit)

    def times(self, v: torch.Tensor) -> torch.Tensor:
        """Return A_u v_u of every row; v and the result float32 (n_rows, k)."""
        product = torch.zeros_like(v) if self._shared is None else v @ self._shared
        for ratings, F, weights in zip(self._ratings, self._features, self._weights, strict=True):
            scores = torch.sparse.sampled_addmm(ratings, v, F.T, beta=0.0)  # s_ui = v_u . f_i
            if weights is not None:
                scores.values().mul_(weights)
            product.addmm_(scores, F)
        return product


def _conjugate_gradient(
    equations: _MatrixFree, diagonal: torch.Tensor, start: torch.Tensor, steps: int
) -> tuple[torch.Tensor, float]:
    """Run a few steps from the last solution, every row by itself (Takacs et al. 2011).

    A step lowers w'(A + D) w - 2 w'b by step * |residual|^2, so no product is made for the fit.
    """
    w = start
    residual, fit = equations.residual(w)
    fit += _quadratic(diagonal, w)
    residual -= diagonal * w
    direction = residual.clone()
    norm = residual.square().sum(1, keepdim=True)
    for _ in range(steps):
        image = torch.addcmul(equations.times(direction), diagonal, direction)
        step = norm / (direction * image).sum(1, keepdim=True).clamp_min(1e-30)
        fit -= float((step * norm).sum(dtype=torch.float64))
        w = torch.addcmul(w, step, direction)
        residual.addcmul_(step, image, value=-1)
        next_norm = residual.square().sum(1, keepdim=True)
        direction = torch.addcmul(residual, next_norm / norm.clamp_min(1e-30), direction)
        norm = next_norm
    return w, fit - _quadratic(diagonal, w)


def _quadratic(diagonal: torch.Tensor, w: torch.Tensor) -> float:
    return float((diagonal * w.square()).sum(dtype=torch.float64))


def _cholesky(
    A: torch.Tensor, b: torch.Tensor, diagonal: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """Solve (A + diagonal) w = b for a batch, in place of A; return w and w'A w - 2 w'b."""
    # Less than this is lost to rounding, and A alone is singular where a row has few ratings.
    least = _LEAST_DIAGONAL * A.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)
    diagonal = torch.maximum(diagonal, least)
    A.diagonal(dim1=1, dim2=2).add_(diagonal)
    factor, _ = torch.linalg.cholesky_ex(A)
    w = torch.cholesky_solve(b.unsqueeze(2), factor).squeeze(2)
    return w, -float((w * (b + diagonal * w)).sum(dtype=torch.float64))


def descend(
    A: Tensor, b: Tensor, diagonal: Tensor, start: Tensor, sweeps: int, free: int | None = None
) -> Tensor:
    """Minimise w'A w - 2 w'b + w'D w with w >= 0 in every row, by some rounds over all coordinates.

    Coordinate descent (HALS: Cichocki & Phan 2009), one coordinate of all rows at a time:

        w_d = max(0, w_d - ((A w)_d + D_d w_d - b_d) / (A_dd + D_d))

    Each is the exact minimum given the others, so the sum never rises. Returns w float32 (n, k).

    A (n, k, k), or (k, k) where it is the same for all rows; b, diagonal and start (n, k). The
    coordinate `free` (a bias) may be negative. Several rounds from the last solution cost little
    beside forming b (Gillis & Glineur 2012).
    """
    w, b, diagonal = (t.T.contiguous() for t in (start, b, diagonal))  # a coordinate lies together
    for _ in range(sweeps):
        for d in range(len(w)):
            product = A[d] @ w if A.dim() == 2 else (A[:, d] * w.T).sum(1)
            gradient = product + diagonal[d] * w[d] - b[d]
            curvature = A[..., d, d] + diagonal[d]
            moved = w[d] - gradient / curvature.clamp_min(1e-30)
            w[d] = moved if d == free else moved.clamp_min(0.0)
    return w.T.contiguous()
