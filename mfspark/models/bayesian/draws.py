"""What a draw of Bayesian matrix factorization does with one block of a grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.random import derive_seed, normal_rows
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.kernels.factorization.gibbs import (
    Prior,
    RowSums,
    sample_prior,
    sample_rows,
    weighted_columns,
)
from mfspark.kernels.factorization.noise_levels import NoiseLevel, NoiseSums, sample_level
from mfspark.kernels.factorization.normal_equations import (
    RatingBlock,
    degrees_of,
    squares_of_rows,
)
from mfspark.models.bayesian.time_biases import TimeBiases
from mfspark.models.factor_model import factor_block
from mfspark.models.factorization.als import rating_block_of

_NOISE = 1  # stream of random numbers beside that of the rows
_SUMS = {each.name for kind in (RowSums, NoiseSums) for each in fields(kind)}


@dataclass(frozen=True)
class Design:
    """Sweep kernel: a 1 and the features of each row, zero where there are no ratings."""

    attributes: Blocks | None

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return features float32 (rows, R) with their scales float64 (R) and groups int64 (R)."""
        n = tiles.degrees
        features, scales = [np.ones((len(n), 1), np.float32)], [np.ones(1)]
        if "features" in rows:
            features.append(rows["features"])
            scales.append(rows["scales"])
        if self.attributes:
            found = tiles.read(self.attributes)["attributes"]
            features.append(found)
            scales.append(np.ones(found.shape[1]))
        V = np.column_stack(features)
        V[n == 0] = 0.0
        return {
            "features": V,
            "scales": np.concatenate(scales),
            "groups": np.repeat(np.arange(len(scales)) - 1, [len(s) for s in scales]),
            "gram": (V.T @ V).astype(np.float64),
        }, {}


@dataclass(frozen=True)
class StartPrior:
    """Reduce kernel: the features of a side as a whole, and the prior before the first draw."""

    k: int

    def __call__(self, blocks: Iterable[Arrays], _store: BlockStore) -> Arrays:
        """Return gram float64 (R, R), scales (R), groups (R), and what DrawPrior returns."""
        designs = [{k: block[k] for k in ("gram", "scales", "groups")} for block in blocks]
        groups = designs[0]["groups"]
        prior = Prior.start(len(groups), int(groups.max()) + 1, self.k)
        gram = np.sum([design["gram"] for design in designs], axis=0)
        return designs[0] | {"gram": gram} | prior.arrays() | NoiseLevel.start().arrays()


@dataclass(frozen=True)
class DrawRows:
    """Sweep kernel: the rows of one block drawn given all columns, and of users alpha given those.

    The rows and columns of users hold alpha as it was drawn last; it starts at 1.
    """

    mean: float
    scale: float
    seed: int
    prior: Blocks
    """The prior of these rows, and of users the level of the noise."""
    designs: Blocks
    biases: TimeBiases | None = None

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias, n and RowSums; of users also those of `_noise`, and numbers.

        Memory: as ALS, and the features of the rows (4 bytes each).
        """
        prior = Prior.from_arrays(self.prior.read(tiles.store))
        features = tiles.read(self.designs)["features"]
        ratings = list(self._ratings(tiles))
        n, indices = degrees_of(ratings), tiles.layout.indices(tiles.side, tiles.block)
        alpha = rows["alpha"] if "alpha" in rows else np.ones(len(n), np.float32)
        noise = normal_rows(self.seed, indices, len(prior.precision))
        drawn, fit = sample_rows(ratings, prior.mean(features), prior.precision, alpha, noise)
        sums = RowSums.of(features, drawn, n)
        block = factor_block(drawn[:, :-1], n, drawn[:, -1]) | sums.arrays()
        if tiles.side == "item":
            return block, {}
        errors = np.maximum(squares_of_rows(ratings) + fit, 0.0)
        numbers = {"squared_error": float(errors.sum()), "weight": float(n.sum())}
        return block | self._noise(errors, n, tiles), numbers

    def _ratings(self, tiles: RowTiles) -> Iterator[RatingBlock]:
        """Yield what is left of the ratings of each tile; those of an item weigh by their users."""
        for q, (tile, columns) in enumerate(tiles):
            block = rating_block_of(tile, columns, self.mean, scale=self.scale)
            if self.biases:
                block.targets[:] -= self.biases.of_tile(tiles, q)
            yield weighted_columns(block, columns["alpha"]) if tiles.side == "item" else block

    def _noise(self, errors: Array, n: Array, tiles: RowTiles) -> Arrays:
        """Return alpha and noise_variance, E[1 / alpha], float32 (rows) each, and NoiseSums."""
        level = NoiseLevel.from_arrays(self.prior.read(tiles.store))
        seed, indices = derive_seed(self.seed, _NOISE), tiles.layout.indices("user", tiles.block)
        alpha = level.sample(errors, n, seed, indices)
        return {
            "alpha": alpha.astype(np.float32),
            "noise_variance": level.expected_variance(errors, n).astype(np.float32),
        } | NoiseSums.of(alpha, n).arrays()


@dataclass(frozen=True)
class DrawPrior:
    """Reduce kernel: the prior of a side, and the level of noise, given the rows drawn last."""

    seed: int
    last: Blocks
    sums: Blocks
    """Of the features."""

    def __call__(self, blocks: Iterable[Arrays], store: BlockStore) -> Arrays:
        """Return the arrays of a Prior, and of users those of a NoiseLevel."""
        design, last = self.sums.read(store), self.last.read(store)
        totals: Arrays = {}
        for block in blocks:
            totals = {name: totals.get(name, 0) + block[name] for name in _SUMS & block.keys()}
        rng = np.random.default_rng(self.seed)
        of_rows = RowSums.from_arrays(totals), design["gram"], design["scales"], design["groups"]
        found = sample_prior(*of_rows, Prior.from_arrays(last), rng).arrays()
        if self.last.side == "user":
            of_noise = NoiseSums.from_arrays(totals), NoiseLevel.from_arrays(last)
            found |= sample_level(*of_noise, rng).arrays()
        return found


@dataclass(frozen=True)
class Join:
    """Sweep kernel: the kept samples of one block side by side, in the scale of the ratings."""

    samples: tuple[Blocks, ...]
    scale: float

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors float32 (rows, samples * rank), bias, sample_bias and n; of users noise.

        noise float32 (rows): the standard deviation of a user's ratings around the truth. rows:
        those of AverageBiases, or none.
        """
        kept = [tiles.read(blocks) for blocks in self.samples]
        weight = np.float32((self.scale / len(kept)) ** 0.5)
        biases = np.column_stack([sample["bias"] for sample in kept]) * np.float32(self.scale)
        if "average" in rows:
            biases += rows["average"].sum(1, keepdims=True)
        factors = np.column_stack([sample["factors"] for sample in kept]) * weight
        block = factor_block(factors, kept[0]["n"], biases.mean(1))
        block["sample_bias"] = biases
        if tiles.side == "user":
            variance = np.mean([sample["noise_variance"] for sample in kept], axis=0)
            block["noise"] = np.float32(self.scale) * np.sqrt(variance)
        return block, {}
