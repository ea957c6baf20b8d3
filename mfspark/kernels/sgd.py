"""Matrix factorization by stochastic gradients, the way a torch textbook writes it.

    minimise  sum_(u,i) (r_ui - mu - b_u - b_i - x_u . y_i)^2
              + reg (|x_u|^2 + |y_i|^2 + b_u^2 + b_i^2)

over the ratings of one tile at a time (Koren, Bell & Volinsky 2009). The rows of a tile's two
blocks are torch embeddings with sparse gradients, so a step touches only the rows in its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from mfspark.kernels.tile import Array, Arrays, Tile

Optimizer = Literal["sgd", "adagrad", "adam"]


_BUSIEST, _SMALLEST, _LARGEST = 8, 64, 16_384


def steady_batch_size(tile: Tile) -> int:
    """Return a batch size at which gradient steps on a tile do not overshoot.

    A step adds up the gradients of all the ratings a row has in the batch, so with b of them it is
    b times as long: too long for the busiest user or item when the batch is large. This is the size
    at which the busiest row occurs 8 times on average, between 64 and 16,384 ratings.
    """
    busiest = max(tile.degrees.max(initial=0), np.bincount(tile.indices, minlength=1).max())
    return int(np.clip(_BUSIEST * tile.n_ratings // max(1, busiest), _SMALLEST, _LARGEST))


class MatrixFactorization(nn.Module):
    """r(u, i) = mu + b_u + b_i + x_u . y_i for the users and items of one tile."""

    def __init__(
        self, users: Arrays, items: Arrays, mean: float, biases: bool, sparse: bool
    ) -> None:
        super().__init__()
        self.mean = mean
        self.biases = biases
        self.user_factors = _embedding(users["factors"], sparse)  # (n_users, k)
        self.item_factors = _embedding(items["factors"], sparse)  # (n_items, k)
        self.user_bias = _embedding(users["bias"][:, None], sparse)  # (n_users, 1)
        self.item_bias = _embedding(items["bias"][:, None], sparse)  # (n_items, 1)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions (batch,) and the squared norms of all the rows they used."""
        x, y = self.user_factors(users), self.item_factors(items)  # (batch, k) each
        prediction = self.mean + (x * y).sum(1)
        penalty = x.square().sum() + y.square().sum()
        if self.biases:
            b_u, b_i = self.user_bias(users), self.item_bias(items)  # (batch, 1) each
            prediction = prediction + (b_u + b_i).squeeze(1)
            penalty = penalty + b_u.square().sum() + b_i.square().sum()
        return prediction, penalty


@dataclass(frozen=True)
class Epoch:
    """One pass over a tile: which steps are taken, and with what."""

    optimizer: Optimizer
    learning_rate: float
    reg: float
    batch_size: int
    """Ratings a step; 0 means all at once."""
    biases: bool
    mean: float
    seed: int
    device: str = "cpu"

    def run(
        self, users: Arrays, items: Arrays, tile: Tile, validation: Array
    ) -> tuple[Arrays, Arrays]:
        """Train on a tile and return the new user and item blocks.

        validation bool (n): ratings that are only measured. The returned user block carries the
        numbers train_error, validation_error (sums of squares), n_train and n_validation.
        """
        full_batch = self.batch_size == 0
        model = MatrixFactorization(users, items, self.mean, self.biases, not full_batch)
        model.to(self.device)
        optimizer = self._optimizer(model, sparse=not full_batch)
        _load_state(optimizer, model, users, items)

        u = torch.from_numpy(tile.rows.astype(np.int64)).to(self.device)
        i = torch.from_numpy(tile.indices.astype(np.int64)).to(self.device)
        r = torch.from_numpy(tile.values).to(self.device)
        train = torch.from_numpy(np.flatnonzero(~validation)).to(self.device)
        held_out = torch.from_numpy(np.flatnonzero(validation)).to(self.device)

        generator = torch.Generator().manual_seed(self.seed)
        order = train[torch.randperm(len(train), generator=generator).to(self.device)]
        train_error = torch.zeros((), dtype=torch.float64, device=self.device)
        # No rating, no step: even a gradient of 0 would move rows that have momentum.
        batches = order.split(self.batch_size or len(order)) if len(order) else ()
        for batch in batches:
            optimizer.zero_grad()
            prediction, penalty = model(u[batch], i[batch])
            error = r[batch] - prediction
            squared = error.square().sum()
            (squared + self.reg * penalty).backward()
            optimizer.step()
            train_error += squared.detach()
        with torch.no_grad():
            prediction, _ = model(u[held_out], i[held_out])
            validation_error = (r[held_out] - prediction).square().sum(dtype=torch.float64)

        numbers = {
            "train_error": train_error.item(),
            "n_train": len(train),
            "validation_error": validation_error.item(),
            "n_validation": len(held_out),
        }
        new_users = _block(model.user_factors, model.user_bias, optimizer)
        new_items = _block(model.item_factors, model.item_bias, optimizer)
        return new_users | {k: np.asarray(v, np.float64) for k, v in numbers.items()}, new_items

    def _optimizer(self, model: MatrixFactorization, sparse: bool) -> torch.optim.Optimizer:
        parameters = list(model.parameters())
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=self.learning_rate)
        if self.optimizer == "adagrad":
            return torch.optim.Adagrad(parameters, lr=self.learning_rate)
        if sparse:
            return torch.optim.SparseAdam(parameters, lr=self.learning_rate)
        return torch.optim.Adam(parameters, lr=self.learning_rate)


def _embedding(weight: Array, sparse: bool) -> nn.Embedding:
    return nn.Embedding.from_pretrained(torch.tensor(weight), freeze=False, sparse=sparse)


def _block(factors: nn.Embedding, bias: nn.Embedding, optimizer: torch.optim.Optimizer) -> Arrays:
    """Return a block's arrays with the optimizer's state of its rows, which travels with it."""
    block: Arrays = {
        "factors": factors.weight.detach().cpu().numpy(),
        "bias": bias.weight.detach().cpu().numpy()[:, 0],
    }
    for name, embedding in (("factors", factors), ("bias", bias)):
        for key, value in optimizer.state.get(embedding.weight, {}).items():
            # A step count is one number: kept as an array of one, so that it stays with the block.
            block[f"{name}.{key}"] = np.atleast_1d(torch.as_tensor(value).cpu().numpy())
    return block


def _load_state(
    optimizer: torch.optim.Optimizer, model: MatrixFactorization, users: Arrays, items: Arrays
) -> None:
    """Give the optimizer the state that came with the two blocks."""
    for embedding, block, name in (
        (model.user_factors, users, "factors"),
        (model.user_bias, users, "bias"),
        (model.item_factors, items, "factors"),
        (model.item_bias, items, "bias"),
    ):
        keys = [k for k in block if k.startswith(f"{name}.")]
        device = embedding.weight.device
        state = {k.partition(".")[2]: torch.tensor(block[k], device=device) for k in keys}
        if "step" in state:
            step = state["step"][0].cpu()  # where torch keeps it, on every device
            state["step"] = step if step.is_floating_point() else int(step)  # pyright: ignore
        if state:
            optimizer.state[embedding.weight].update(state)
