"""Matrix factorization by stochastic gradients, the way a torch textbook writes it.

    minimise  sum_(u,i) (r_ui - mu - b_u - b_i - x_u . y_i)^2
              + reg sum_u (n_u + prior_count) |x_u|^2 + damping sum_u b_u^2
              + reg sum_i (n_i + prior_count) |y_i - m_i|^2 + damping sum_i (b_i - m_i0)^2

over the ratings of one tile at a time (Koren, Bell & Volinsky 2009; the weights n_u as Zhou et al.
2008; the prior means (m_i, m_i0): see kernels.factorization.rater_priors, 0 without). A rating
carries its share of the penalty, reg (n_u + prior_count) / n_u and damping / n_u for its user.

Inside, ratings are in standard deviations, z = (r - mu) / s, and so b is in s and x in sqrt(s):
learning rates and reg then mean the same on a scale of 5 stars and on one of 100 points.

A step adds up the gradients of all the ratings c a row has in the batch. For the busiest rows of a
large batch that is far too long a step, so plain gradients are damped by 1 / (1 + 2 rate c): a
short step is left as it is, and a long one becomes the mean of the gradients at a rate of 1/2, as
an implicit step would (Toulis & Airoldi 2017). Adagrad and Adam scale each row by themselves.

Two objectives of textbooks, for small data, take all ratings a step and plain steps:

    squares   sum (r - p)^2 + reg (|X|^2 + |Y|^2)        X, Y: all factors, with their biases
    norm      |r - p| + reg (|X| + |Y|)                  Frobenius norms
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.rater_priors import item_rows, prior_means
from mfspark.kernels.factorization.sampled_products import (
    RatingBatch,
    rating_batch,
    sampled_products,
    shuffled_batches,
)

Optimizer = Literal["sgd", "adagrad", "adam"]
Objective = Literal["weighted", "squares", "norm"]


@dataclass(frozen=True)
class RowPenalty:
    """What a row with n ratings costs: reg (n + prior_count) |x|^2 + damping b^2."""

    reg: float
    prior_count: float = 0.0
    damping: float = 0.0

    def shares(self, block: Arrays) -> Tensor:
        """Return what a rating carries of each row's |x|^2 and b^2, float32 (rows, 2).

        Rows of which n is not known are taken to have one rating.
        """
        n = np.maximum(block.get("n", np.ones(len(block["bias"]))), 1)
        weights = np.column_stack(
            [self.reg * (n + self.prior_count), np.full(len(n), self.damping)]
        )
        return torch.from_numpy((weights / n[:, None]).astype(np.float32))


class MatrixFactorization(nn.Module):
    """z(u, i) = b_u + b_i + x_u . y_i for the users and items of one tile."""

    means: Tensor
    user_weight: Tensor
    item_weight: Tensor

    def __init__(self, users: Arrays, items: Arrays, penalty: RowPenalty, std: float, biases: bool):
        super().__init__()
        self.rank, self.biases = users["factors"].shape[1], biases
        scale = _scale(users["factors"].shape[1], std)  # (k + 1)
        rows = item_rows(users), item_rows(items), prior_means(items)
        x, y, m = (torch.from_numpy((a / scale)[:, : None if biases else -1]) for a in rows)
        self.users = nn.Parameter(x)  # (n_users, k + 1): x_u, b_u
        self.items = nn.Parameter(y)  # (n_items, k + 1): y_i, b_i
        self.register_buffer("means", m)  # (n_items, k + 1)
        self.register_buffer("user_weight", penalty.shares(users))  # (n_users, 2)
        self.register_buffer("item_weight", penalty.shares(items))  # (n_items, 2)

    def forward(self, batch: RatingBatch) -> Tensor:
        """Return the prediction of each rating (n)."""
        if not self.biases:
            return sampled_products(self.users, self.items, batch)
        y, b = self.items[:, :-1], self.items[:, -1:]
        X = F.pad(self.users, (0, 1), value=1.0)  # x_u, b_u, 1
        Y = torch.cat([y, torch.ones_like(b), b], 1)  # y_i, 1, b_i
        return sampled_products(X, Y, batch)

    def penalty(self, batch: RatingBatch) -> Tensor:
        """Return the penalty that the ratings of a batch carry."""
        x, y = self.users.square(), (self.items - self.means).square()
        total = torch.zeros((), device=x.device)
        for weight, counts, squares in (
            (self.user_weight, batch.user_counts, x),
            (self.item_weight, batch.item_counts, y),
        ):
            of_factors, of_bias = squares[:, : self.rank].sum(1), squares[:, self.rank :].sum(1)
            total = total + counts @ (weight[:, 0] * of_factors + weight[:, 1] * of_bias)
        return total

    def objective(self, kind: Objective, error: Tensor, reg: float, batch: RatingBatch) -> Tensor:
        """Return what is minimised over a batch, given its errors (n)."""
        if kind == "weighted":
            return error.square().sum() + self.penalty(batch)
        # vector_norm has a gradient at 0 too, where the root of the squares has none
        norms = [torch.linalg.vector_norm(t) for t in (error, self.users, self.items)]
        if kind == "squares":
            norms = [norm.square() for norm in norms]
        return norms[0] + reg * (norms[1] + norms[2])


@dataclass(frozen=True)
class Epoch:
    """One pass over a tile: which steps are taken, and with what."""

    optimizer: Optimizer
    learning_rate: float
    penalty: RowPenalty
    batch_size: int
    """Ratings a step; 0 means all at once."""
    biases: bool
    mean: float
    seed: int
    std: float = 1.0
    """Of the ratings."""
    device: str = "cpu"
    objective: Objective = "weighted"

    def run(
        self, users: Arrays, items: Arrays, tile: Tile, validation: Array
    ) -> tuple[Arrays, Arrays, Numbers]:
        """Train on a tile and return the new user and item blocks, and what was counted.

        validation bool (n): ratings that are only measured. Counted are train_error,
        validation_error (sums of squares), n_train and n_validation.
        """
        model = MatrixFactorization(users, items, self.penalty, self.std, self.biases)
        model.to(self.device)
        optimizer = _OPTIMIZERS[self.optimizer](model.parameters(), lr=self.learning_rate)
        _load_state(optimizer, model, users, items)
        z = (tile.values - np.float32(self.mean)) / np.float32(self.std)

        train_error = torch.zeros((), dtype=torch.float64, device=self.device)
        # No rating, no step: even a gradient of 0 would move rows that have momentum.
        for batch in shuffled_batches(
            tile, ~validation, z, self.batch_size, self.seed, self.device
        ):
            optimizer.zero_grad()
            error = batch.values - model(batch)
            model.objective(self.objective, error, self.penalty.reg, batch).backward()
            if self.optimizer == "sgd" and self.objective == "weighted":
                _damp(model, batch, self.learning_rate)
            optimizer.step()
            train_error += error.detach().square().sum()

        numbers = {
            "train_error": train_error.item() * self.std**2,
            "n_train": int((~validation).sum()),
            "validation_error": self._error(model, tile, z, validation) * self.std**2,
            "n_validation": int(validation.sum()),
        }
        new_users = users | _block(users, model.users, optimizer, self.std)
        new_items = items | _block(items, model.items, optimizer, self.std)
        return new_users, new_items, numbers

    def _error(self, model: MatrixFactorization, tile: Tile, z: Array, some: Array) -> float:
        """Return the sum of squared errors over some ratings, in standard deviations."""
        if not some.any():
            return 0.0
        batch = rating_batch(tile, tile.rows[some], tile.indices[some], z[some], self.device)
        with torch.no_grad():
            error = batch.values - model(batch)
        return error.square().sum(dtype=torch.float64).item()


_OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
}


def _damp(model: MatrixFactorization, batch: RatingBatch, rate: float) -> None:
    """Shorten the steps of rows that have many ratings in a batch."""
    for rows, counts in (
        (model.users, batch.user_counts),
        (model.items, batch.item_counts),
    ):
        assert rows.grad is not None
        rows.grad.div_(1 + 2 * rate * counts[:, None])


def _scale(rank: int, std: float) -> Array:
    """Return the units of x (k times) and b, float32 (k + 1)."""
    return np.array([std**0.5] * rank + [std], np.float32)


def _block(old: Arrays, rows: nn.Parameter, optimizer: torch.optim.Optimizer, std: float) -> Arrays:
    """Return a block's arrays with the optimizer's state of its rows, which travels with it."""
    found = rows.detach().cpu().numpy()
    rank = old["factors"].shape[1]
    found = found * _scale(rank, std)[: found.shape[1]]
    block: Arrays = {
        "factors": np.ascontiguousarray(found[:, :rank]),
        "bias": np.ascontiguousarray(found[:, rank]) if found.shape[1] > rank else old["bias"],
    }
    for key, value in optimizer.state.get(rows, {}).items():
        if value is not None:
            block[f"rows.{key}"] = torch.as_tensor(value).cpu().numpy()
    return block


def _load_state(
    optimizer: torch.optim.Optimizer, model: MatrixFactorization, users: Arrays, items: Arrays
) -> None:
    """Give the optimizer the state that came with the two blocks."""
    for rows, block in ((model.users, users), (model.items, items)):
        keys = [key for key in block if key.startswith("rows.")]
        state = {k.partition(".")[2]: torch.tensor(block[k], device=rows.device) for k in keys}
        if "step" in state:
            state["step"] = state["step"].cpu()  # where torch keeps it, on every device
        optimizer.state[rows].update(state)
