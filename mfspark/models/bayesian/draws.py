"""What a draw of Bayesian matrix factorization does with one block of a grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.random import normal_rows
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.kernels.factorization.gibbs import (
    Prior,
    RowSums,
    sample_noise_precision,
    sample_prior,
    sample_rows,
)
from mfspark.kernels.factorization.normal_equations import degrees_of, squared_targets
from mfspark.models.bayesian.time_biases import TimeBiases
from mfspark.models.factor_model import factor_block
from mfspark.models.factorization.als import rating_block_of


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
        """Return gram float64 (R, R), scales (R), groups (R), the arrays of a Prior, and alpha."""
        designs = [{k: block[k] for k in ("gram", "scales", "groups")} for block in blocks]
        groups = designs[0]["groups"]
        prior = Prior.start(len(groups), int(groups.max()) + 1, self.k)
        gram = np.sum([design["gram"] for design in designs], axis=0)
        return designs[0] | prior.arrays() | {"gram": gram, "alpha": np.asarray(1.0)}


@dataclass(frozen=True)
class DrawRows:
    """Sweep kernel: the rows of one block drawn given all columns."""

    mean: float
    scale: float
    seed: int
    prior: Blocks
    """The prior of these rows."""
    latest: Blocks
    """The prior drawn last, with the latest alpha."""
    designs: Blocks
    biases: TimeBiases | None = None

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias, n and RowSums, and the numbers squared_error and weight.

        Memory: as ALS, and the features of the rows (4 bytes each).
        """
        prior = Prior.from_arrays(self.prior.read(tiles.store))
        alpha = float(self.latest.read(tiles.store)["alpha"])
        features = tiles.read(self.designs)["features"]
        ratings = [rating_block_of(*each, self.mean, scale=self.scale) for each in tiles]
        if self.biases:
            for q, each in enumerate(ratings):
                each.targets[:] -= self.biases.of_tile(tiles, q)
        indices = tiles.layout.indices(tiles.side, tiles.block)
        noise = normal_rows(self.seed, indices, len(prior.precision))
        drawn, fit = sample_rows(ratings, prior.mean(features), prior.precision, alpha, noise)
        n = degrees_of(ratings)
        numbers = {"squared_error": squared_targets(ratings) + fit, "weight": float(n.sum())}
        sums = RowSums.of(features, drawn, n)
        return factor_block(drawn[:, :-1], n, drawn[:, -1]) | sums.arrays(), numbers


@dataclass(frozen=True)
class DrawPrior:
    """Reduce kernel: the prior of a side, and alpha, given the rows drawn last."""

    seed: int
    last: Blocks
    sums: Blocks
    """Of the features."""
    numbers: Numbers
    """Those of DrawRows, summed up."""

    def __call__(self, blocks: Iterable[Arrays], store: BlockStore) -> Arrays:
        """Return the arrays of a Prior, and alpha."""
        design, last = self.sums.read(store), Prior.from_arrays(self.last.read(store))
        totals = {"n_rows": 0, "cross": 0.0, "squares": 0.0}
        for block in blocks:
            totals = {name: total + block[name] for name, total in totals.items()}
        rng = np.random.default_rng(self.seed)
        sums = RowSums.from_arrays(totals)
        prior = sample_prior(sums, design["gram"], design["scales"], design["groups"], last, rng)
        squared_error = max(0.0, self.numbers["squared_error"])
        alpha = sample_noise_precision(squared_error, self.numbers["weight"], rng)
        return prior.arrays() | {"alpha": np.asarray(alpha)}


@dataclass(frozen=True)
class Join:
    """Sweep kernel: the kept samples of one block side by side, in the scale of the ratings."""

    samples: tuple[Blocks, ...]
    scale: float

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors float32 (rows, samples * rank), bias, sample_bias and n.

        rows: those of AverageBiases, or none.
        """
        kept = [tiles.read(blocks) for blocks in self.samples]
        weight = np.float32((self.scale / len(kept)) ** 0.5)
        biases = np.column_stack([sample["bias"] for sample in kept]) * np.float32(self.scale)
        if "average" in rows:
            biases += rows["average"].sum(1, keepdims=True)
        factors = np.column_stack([sample["factors"] for sample in kept]) * weight
        block = factor_block(factors, kept[0]["n"], biases.mean(1))
        return block | {"sample_bias": biases}, {}
