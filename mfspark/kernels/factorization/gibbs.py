"""Gibbs sampling of matrix factorization: the draws for many rows, and for what they share.

    r_ui ~ N(w_u . f_i, 1 / alpha_u)      f_i = (y_i, 1) and w_u = (x_u, b_u), as in ALS
    w_u  ~ N(C' v_u, diag(lambda)^-1)     v_u: the features of the row, the first of them 1
    C_jd ~ N(0, s_j / (beta_g lambda_d))  g: the group of features that j belongs to

with a Gamma(1, 1) prior on beta_g and Gamma(1, 0.01) on lambda_d; for alpha_u, the level of a user,
see `noise_levels`. With one alpha for all, and without features but the 1, it is the model of
Salakhutdinov & Mnih (2008, "Bayesian probabilistic matrix factorization using MCMC") with
independent dimensions, as myFM has it; with features that of Simm et al. (2015, "Macau"). Each draw
below is from the exact conditional distribution given all other quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import solve_triangular

from mfspark.kernels.arrays.tile import Array, NamedArrays
from mfspark.kernels.factorization.normal_equations import RatingBlock, normal_equations

# Rate of the Gamma prior of lambda. It weighs like so many squared factors a dimension: 1, as is
# usual, is as much as 50 rows have, and cost 0.003 in RMSE (MovieLens 100K u1, 0.8938 to 0.8908).
RATE = 0.01
_FLAT = 1e-6  # precision of the intercept's prior beside that of the rows: as good as none


@dataclass(frozen=True)
class Prior(NamedArrays):
    """What the rows of one side have in common: R features explain K columns."""

    coefficients: Array
    """C, float64 (R, K)."""
    precision: Array
    """lambda, float64 (K)."""
    group_precision: Array
    """beta, float64 (G): one a group of features."""

    @classmethod
    def start(cls, n_features: int, n_groups: int, k: int) -> Prior:
        """Return the prior of the first draw: small factors around 0."""
        return cls(np.zeros((n_features, k)), np.full(k, 10.0), np.ones(n_groups))

    def mean(self, features: Array) -> Array:
        """Return the prior mean of rows, float32 (n_rows, K); features float32 (n_rows, R)."""
        return features @ self.coefficients.astype(np.float32)


def weighted_columns(block: RatingBlock, alpha: Array) -> RatingBlock:
    """Return a block whose normal equations weigh a rating by alpha (n_columns) of its column."""
    root = np.sqrt(alpha).astype(np.float32)
    features, targets = block.features * root[:, None], block.targets * root[block.tile.indices]
    return replace(block, features=features, targets=targets)


def sample_rows(
    blocks: Sequence[RatingBlock], mean: Array, precision: Array, alpha: Array, noise: Array
) -> tuple[Array, Array]:
    """Draw the rows w of a block given their ratings and prior.

    mean float32 (n_rows, K), precision (K), alpha (n_rows) of all ratings of a row, noise: standard
    normal float32 (n_rows, K). Returns float32 (n_rows, K), zero in rows without ratings, and
    w'A w - 2 w'b of each row float64 (n_rows): its squared errors less its squared targets.
    """
    drawn, fit = np.zeros_like(noise), np.zeros(len(noise))
    weight = torch.from_numpy(precision.astype(np.float32))
    level = torch.from_numpy(alpha.astype(np.float32)).unsqueeze(1)
    for rows, A, b in normal_equations(blocks):
        mine = level[rows]
        right = mine * b + weight * torch.from_numpy(mean[rows])
        A.mul_(mine.unsqueeze(2)).diagonal(dim1=1, dim2=2).add_(weight)
        factor, _ = torch.linalg.cholesky_ex(A)
        half = torch.linalg.solve_triangular(factor, right.unsqueeze(2), upper=False)
        half += torch.from_numpy(noise[rows]).unsqueeze(2)
        w = torch.linalg.solve_triangular(factor.mT, half, upper=True).squeeze(2)
        # w'(alpha A + diag(lambda)) w = |L'w|^2 = |half|^2.
        quadratic = half.squeeze(2).square().sum(1, dtype=torch.float64)
        quadratic -= (weight * w.square()).sum(1, dtype=torch.float64)
        product = (w * b).sum(1, dtype=torch.float64)
        fit[rows] = (quadratic / mine.squeeze(1) - 2 * product).numpy()
        drawn[rows] = w.numpy()
    return drawn, fit


@dataclass(frozen=True)
class RowSums(NamedArrays):
    """What the draw of a prior needs to know of the rows with ratings."""

    n_rows: Array
    """How many have ratings, int64 ()."""
    cross: Array
    """V'W, float64 (R, K)."""
    squares: Array
    """Sum of w_d^2, float64 (K)."""

    @classmethod
    def of(cls, features: Array, rows: Array, degrees: Array) -> RowSums:
        """Sum up rows float32 (n_rows, K), those without ratings being zero."""
        cross = (features.T @ rows).astype(np.float64)
        squares = np.square(rows, dtype=np.float64).sum(0)
        return cls(np.asarray((degrees > 0).sum()), cross, squares)


def sample_prior(
    sums: RowSums, gram: Array, scales: Array, groups: Array, last: Prior, rng: np.random.Generator
) -> Prior:
    """Draw C, lambda and beta given the rows.

    gram: V'V float64 (R, R); scales s float64 (R): the prior variance of a feature's coefficients;
    groups int (R): the group of each feature, -1 for the intercept, whose prior is flat.
    """
    k = sums.cross.shape[1]
    flat = groups < 0
    penalty = np.full(len(groups), _FLAT)
    penalty[~flat] = last.group_precision[groups[~flat]] / scales[~flat]
    factor = np.linalg.cholesky(gram + np.diag(penalty))
    half = solve_triangular(factor, sums.cross, lower=True)
    half += rng.standard_normal(half.shape) / np.sqrt(last.precision)
    C = solve_triangular(factor.T, half, lower=False)
    residual = sums.squares - 2 * (C * sums.cross).sum(0) + (C * (gram @ C)).sum(0)
    residual = np.maximum(residual, 0.0) + (penalty[:, None] * C**2)[~flat].sum(0)
    precision = rng.gamma(1 + (sums.n_rows + (~flat).sum()) / 2, 1.0, k) / (RATE + residual / 2)
    beta = np.ones_like(last.group_precision)
    for g in range(len(beta)):
        mine = groups == g
        quadratic = (C[mine] ** 2 / scales[mine, None]) @ precision
        beta[g] = rng.gamma(1 + mine.sum() * k / 2) / (1 + quadratic.sum() / 2)
    return Prior(C, precision, beta)
