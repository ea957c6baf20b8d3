"""Coordinate descent over nonnegative rows (HALS: Cichocki & Phan 2009).

Minimise w'A w - 2 w'b + w'D w with w >= 0 in every row, one coordinate of all rows at a time:

    w_d = max(0, w_d - ((A w)_d + D_d w_d - b_d) / (A_dd + D_d))

Each is the exact minimum given the others, so the sum never rises.
"""

from torch import Tensor


def descend(
    A: Tensor, b: Tensor, diagonal: Tensor, start: Tensor, sweeps: int, free: int | None = None
) -> Tensor:
    """Return the rows after some rounds over all coordinates, float32 (n, k).

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
