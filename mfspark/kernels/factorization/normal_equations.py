"""The normal equations of many rows at once: what every alternating method solves or samples from.

The ratings of a row block come in blocks, one for each block of columns. A rating (u, i) has a
target t_ui and, in iALS, a weight c_ui; its column brings the features f_i. For each row

    A_u = shared + sum_i c_ui f_i f_i'        b_u = sum_i f_i t_ui

Rows are grouped by degree and padded to the longest of their batch; a batch is kept near the size
of the L2 cache. Measured at rank 64, one thread: 2.0 M ratings/s formed and solved with batches of
2^13 or 2^14 padded entries, 1.4 M with 2^16.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mfspark.kernels.arrays.sparse import sparse_rows
from mfspark.kernels.arrays.tile import Array, Tile, stack_columns

_PADDED_ENTRIES = 1 << 14  # entries of one batch: 2^14 rows of 65 float32 are 4 MiB
_HEAVY = 1 << 14  # longer rows are accumulated in chunks of this many ratings


@dataclass(frozen=True)
class RatingBlock:
    """The ratings of some rows for one block of columns, with what the columns contribute."""

    tile: Tile
    features: Array
    """float32 (n_columns, k)."""
    targets: Array
    """float32 (n_ratings)."""
    weights: Array | None = None
    """float32 (n_ratings); None: 1 each."""


def scores_of_ratings(block: RatingBlock, w: Array) -> Array:
    """Return w_u . f_i of each rating of a block, float32 (n_ratings); w float32 (n_rows, k)."""
    places, factors = sparse_rows(block.tile, block.targets), torch.from_numpy(w)
    features = torch.from_numpy(block.features).T
    return torch.sparse.sampled_addmm(places, factors, features, beta=0.0).values().numpy()


def degrees_of(blocks: Sequence[RatingBlock]) -> Array:
    """Return the ratings of each row over all blocks, int64 (n_rows)."""
    return np.sum([block.tile.degrees for block in blocks], axis=0)


def squared_targets(ratings: Sequence[RatingBlock]) -> float:
    """Return the sum of all squared targets."""
    return sum(float(np.square(each.targets, dtype=np.float64).sum()) for each in ratings)


def squares_of_rows(blocks: Sequence[RatingBlock]) -> Array:
    """Return the sum of the squared targets of each row over all blocks, float64 (n_rows)."""
    return np.sum(
        [
            np.bincount(
                each.tile.rows,
                weights=np.square(each.targets, dtype=np.float64),
                minlength=each.tile.n_rows,
            )
            for each in blocks
        ],
        axis=0,
    )


def normal_equations(
    blocks: Sequence[RatingBlock], shared: Array | None = None
) -> Iterator[tuple[Array, torch.Tensor, torch.Tensor]]:
    """Yield (rows, A, b) in batches; rows without ratings are left out.

    shared float32 (k, k) is added to every A. rows int64 (n), A float32 (n, k, k), b (n, k).
    """
    whole = _Stacked.of(blocks)
    degrees = whole.tile.degrees
    extra = None if shared is None else torch.from_numpy(shared)
    for rows in _batches(degrees, whole.features.shape[1]):
        A, b = whole.gram(rows, degrees[rows])
        yield rows, (A if extra is None else A.add_(extra)), b


def _batches(degrees: Array, k: int) -> Iterator[Array]:
    """Yield row numbers in batches of similar degree.

    A row takes as much memory as its ratings or, where it has fewer than k, its k x k system.
    """
    order = np.argsort(degrees, kind="stable")
    order = order[np.searchsorted(degrees[order], 1) :]
    end = len(order)
    while end:
        longest = int(degrees[order[end - 1]])
        size = max(1, _PADDED_ENTRIES // max(longest, k))
        start = max(0, end - size)
        yield order[start:end]
        end = start


@dataclass(frozen=True)
class _Stacked:
    """All blocks side by side as one, in torch."""

    tile: Tile
    indices: torch.Tensor
    features: torch.Tensor
    """float32 (n_columns + 1, k); the last row is 0, for padding."""
    targets: torch.Tensor
    weights: torch.Tensor | None

    @classmethod
    def of(cls, blocks: Sequence[RatingBlock]) -> _Stacked:
        compact = [_only_used(block) for block in blocks]
        tile = _stacked(compact, [block.targets for block in compact])
        features, k = [block.features for block in compact], compact[0].features.shape[1]
        weights = [block.weights for block in compact if block.weights is not None]
        return cls(
            tile,
            torch.from_numpy(tile.indices),
            torch.from_numpy(np.concatenate([*features, np.zeros_like(features[0], shape=(1, k))])),
            torch.from_numpy(tile.values),
            torch.from_numpy(_stacked(compact, weights).values) if weights else None,
        )

    def gram(self, rows: Array, degrees: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """Return sum c f f' (b, k, k) and sum f t (b, k) of a batch of rows."""
        if degrees[-1] > _HEAVY:
            return self._gram_of_heavy_row(int(rows[-1]))
        longest = int(degrees[-1])
        position = torch.from_numpy(self.tile.indptr[rows]).unsqueeze(1) + torch.arange(longest)
        padding = torch.arange(longest) >= torch.from_numpy(degrees).unsqueeze(1)  # (b, longest)
        position[padding] = 0
        flat = position.view(-1)
        shape = len(rows), longest
        columns = self.indices.index_select(0, flat)
        columns[padding.view(-1)] = len(self.features) - 1
        gathered = self.features.index_select(0, columns).view(*shape, -1)
        target = self.targets.index_select(0, flat).view(shape)  # padding meets features of 0
        weighted = gathered
        if self.weights is not None:
            weighted = gathered * self.weights.index_select(0, flat).view(*shape, 1)
        A = torch.bmm(weighted.transpose(1, 2), gathered)
        b = torch.bmm(gathered.transpose(1, 2), target.unsqueeze(2)).squeeze(2)
        return A, b

    def _gram_of_heavy_row(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for one row with more ratings than a batch holds, a chunk at a time."""
        k = self.features.shape[1]
        A, b = torch.zeros(k, k), torch.zeros(k)
        end = int(self.tile.indptr[row + 1])
        for start in range(int(self.tile.indptr[row]), end, _HEAVY):
            chunk = slice(start, min(start + _HEAVY, end))
            gathered = self.features.index_select(0, self.indices[chunk])
            weighted = gathered
            if self.weights is not None:
                weighted = gathered * self.weights[chunk].unsqueeze(1)
            A.addmm_(weighted.T, gathered)
            b.addmv_(gathered.T, self.targets[chunk])
        return A.unsqueeze(0), b.unsqueeze(0)


def _stacked(blocks: Sequence[RatingBlock], values: Sequence[Array]) -> Tile:
    """Return the blocks side by side as one tile that holds values of their ratings."""
    return stack_columns([b.tile.with_values(v) for b, v in zip(blocks, values, strict=True)])


def _only_used(block: RatingBlock) -> RatingBlock:
    """Leave out columns without ratings where a tile is so sparse that it is worth the while."""
    if block.tile.n_ratings >= block.tile.n_columns:
        return block
    tile, used = block.tile.used_columns()
    return RatingBlock(tile, block.features[used], block.targets, block.weights)
