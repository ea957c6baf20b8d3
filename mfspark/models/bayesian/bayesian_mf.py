"""Bayesian matrix factorization by Gibbs sampling, with features in the prior (kernels.gibbs).

An iteration is that of ALS with a draw in place of each solution, and one small task a side that
draws what the rows have in common. Predictions are averaged over samples; a sample is the factors
of one iteration, which are kept as they are and joined side by side at the end:

    s(u, i) = mu + mean_s b_u^s + mean_s b_i^s + mean_s x_u^s . y_i^s

so that the posterior mean is a factor model of rank (samples * rank). Ratings are standardised.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.grid.layout import Blocks
from mfspark.grid.training import Loss
from mfspark.kernels.arrays.random import derive_seed, normal_rows
from mfspark.kernels.factorization.gibbs import (
    Prior,
    RowSums,
    sample_noise_precision,
    sample_prior,
    sample_rows,
)
from mfspark.kernels.factorization.normal_equations import degrees_of
from mfspark.models.bayesian.posterior import PosteriorModel
from mfspark.models.bayesian.rating_patterns import pattern_features
from mfspark.models.bayesian.time_biases import (
    AverageBiases,
    DrawPrecision,
    DrawTimeBiases,
    KnownTimeBiases,
    StartPrecision,
    TimeBiases,
    start_time_bins,
)
from mfspark.models.factor_model import StartRows, start_state
from mfspark.models.factorization.als import biased_ratings
from mfspark.schemas import SIDES, other

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mfspark.config.models import BayesianMFOptions
    from mfspark.grid.block_store import BlockStore
    from mfspark.grid.grid import Grid
    from mfspark.grid.layout import BySide
    from mfspark.grid.runners import Numbers
    from mfspark.grid.training import State
    from mfspark.grid.views import RowTiles
    from mfspark.kernels.arrays.tile import Arrays
    from mfspark.models.base import FitContext
    from mfspark.models.bayesian.time_biases import Lengths
    from mfspark.schemas import Side

_PATTERNS, _ROWS, _PRIOR, _TIME_BIASES = 1, 2, 3, 4  # streams of random numbers of one seed
_START_STD = 0.1


def fit(context: FitContext, options: BayesianMFOptions) -> PosteriorModel:
    """Fit by Gibbs sampling and join the samples that were kept."""
    tiles, grid = context.tiles, context.grid
    scale = tiles.std
    attributes: dict[Side, Blocks | None] = {}
    if options.attributes:
        attributes = {side: context.attributes(side) for side in SIDES}
    algorithm = BayesianMF(options, tiles.mean, scale, context.seed, attributes, context.previous)
    state = context.train(algorithm)
    chain = Chain.of(state)
    samples = chain.samples
    time_biases = _known_time_biases(context, chain) if chain.bins else None
    user, item = (
        grid.sweep(
            side,
            f"{context.name}/posterior",
            Join(samples[side], scale),
            time_biases.blocks(side) if time_biases else None,
        )[0]
        for side in SIDES
    )
    # The training error of a sample is a draw of the noise's variance, but for its prior.
    noise = np.mean(np.square(state.losses("train")[-options.samples :])) ** 0.5
    return PosteriorModel(
        *(tiles.mean, user, item),
        history=state.history,
        n_samples=len(samples["user"]),
        noise=float(noise),
        level=options.level,
        time_biases=time_biases,
    )


def _known_time_biases(context: FitContext, chain: Chain) -> KnownTimeBiases:
    """Average the time-bin biases over the samples that were kept."""
    n_draws, scale = len(chain.samples["user"]), context.tiles.std
    average = AverageBiases(n_draws, scale)
    blocks, variances = {}, {}
    for side in SIDES:
        blocks[side], _ = context.grid.sweep(
            side, f"{context.name}/posterior-bins", average, rows=chain.bins[side]
        )
        total = context.store.get(chain.precisions[side].references[0])["variance"]
        variances[side] = tuple((scale**2 * total / n_draws).tolist())
    return KnownTimeBiases(blocks["user"], blocks["item"], variances)


@dataclass(frozen=True)
class Chain:
    """What a state keeps beside the factors of the last sample, by side."""

    designs: dict[Side, Blocks]
    """Feature blocks: features float32 (rows, R), zero in rows without ratings."""
    sums: dict[Side, Blocks]
    """One block: the features' gram, scales and groups."""
    priors: dict[Side, Blocks]
    """One block: the last prior, and alpha as it was when that was drawn."""
    samples: dict[Side, tuple[Blocks, ...]]
    """The factor blocks of earlier iterations that predictions are averaged over."""
    bins: BySide = field(default_factory=dict)
    """Time-bin blocks with their biases drawn last; empty where there are none."""
    numbers: BySide = field(default_factory=dict)
    """Strips with the bins of each rating."""
    precisions: BySide = field(default_factory=dict)
    """One block: lambda of the time-bin biases."""

    @classmethod
    def of(cls, state: State) -> Chain:
        """Read a chain from what a state keeps."""
        kept: dict[str, Any] = {
            name: {each.side: each for each in blocks} for name, blocks in state.kept.items()
        }
        samples = state.kept["samples"]
        kept["samples"] = {side: tuple(b for b in samples if b.side == side) for side in SIDES}
        return cls(**kept)

    @property
    def kept(self) -> dict[str, tuple[Blocks, ...]]:
        """The chain as a state keeps it: the blocks of both sides, by name."""
        by_side = {each.name: getattr(self, each.name) for each in fields(self)}
        kept = {name: tuple(blocks.values()) for name, blocks in by_side.items()}
        return kept | {"samples": self.samples["user"] + self.samples["item"]}

    @property
    def biases(self) -> TimeBiases | None:
        """The time-bin biases drawn last; None where there are none."""
        return TimeBiases(self.bins, self.numbers) if self.bins else None


@dataclass(frozen=True)
class BayesianMF:
    """Draws users, their prior, items and their prior in turn."""

    options: BayesianMFOptions
    mean: float
    scale: float
    """Standard deviation of the ratings."""
    seed: int
    attributes: dict[Side, Blocks | None] = field(default_factory=dict)
    previous: BySide | None = None
    """Factors to start from, those of a last sample or of several; None: random ones."""

    def start(self, grid: Grid, name: str) -> State:
        """Find the features and start both sides with small random factors, or earlier ones."""
        options = self.options
        start = StartRows(options.rank, _START_STD, self.seed, self.scale)
        skipped = max(0, options.burn_in - options.warm_burn_in) if self.previous else 0
        state = start_state(grid, name, start, self.previous, iteration=skipped)
        designs, sums, priors = {}, {}, {}
        for side in SIDES:
            patterns = None
            if options.pattern_features:
                seed = derive_seed(self.seed, _PATTERNS, side == "item")
                patterns = pattern_features(
                    grid, side, f"{name}/{side}-patterns", options.pattern_features, seed
                )
            designs[side], _ = grid.sweep(
                side, f"{name}/design", Design(self.attributes.get(side)), rows=patterns
            )
            if patterns:
                grid.store.discard(patterns.references)
            sums[side] = Blocks(
                side, (grid.reduce(f"{name}/{side}-sums", DesignSums(), designs[side]),)
            )
            start = StartPrior(options.rank + 1)
            priors[side] = Blocks(side, (grid.reduce(f"{name}/{side}-prior", start, sums[side]),))
        chain = Chain(designs, sums, priors, {"user": (), "item": ()})
        if options.uses_times and grid.tiles.timed:
            chain = self._with_time_bins(grid, name, chain)
        return replace(state, kept=chain.kept)

    def _with_time_bins(self, grid: Grid, name: str, chain: Chain) -> Chain:
        lengths: Lengths = {"user": self.options.user_periods, "item": self.options.item_periods}
        bins, numbers = start_time_bins(grid, name, lengths)
        precisions = {
            side: Blocks(
                side, (grid.reduce(f"{name}/{side}-lambda", StartPrecision(), bins[side]),)
            )
            for side in SIDES
        }
        return replace(chain, bins=bins, numbers=numbers, precisions=precisions)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Draw one sample of everything."""
        chain, iteration = Chain.of(state), state.iteration + 1
        blocks: dict[Side, Blocks] = {"user": state.user, "item": state.item}
        priors = dict(chain.priors)
        numbers: dict[str, float] = {}
        pairs: tuple[tuple[Side, Side], ...] = (("user", "item"), ("item", "user"))
        for side, across in pairs:
            seeds = [derive_seed(self.seed, s, iteration, side == "item") for s in (_ROWS, _PRIOR)]
            draw = DrawRows(
                *(self.options.rank, self.mean, self.scale, seeds[0]),
                *(priors[side].references[0], priors[across].references[0], chain.designs[side]),
                chain.biases,
            )
            blocks[side], numbers = grid.sweep(side, name, draw, columns=blocks[across])
            draw_prior = DrawPrior(
                *(seeds[1], priors[side].references[0], chain.sums[side].references[0]),
                *(numbers["squared_error"], numbers["weight"]),
            )
            prior = grid.reduce(f"{name}/{side}-prior", draw_prior, blocks[side])
            priors[side] = Blocks(side, (prior,))
        rmse = self.scale * (max(0.0, numbers["squared_error"]) / max(1, numbers["weight"])) ** 0.5
        samples = chain.samples
        if self._keeps(iteration):
            samples = {side: (*samples[side], blocks[side]) for side in SIDES}
        chain = replace(chain, priors=priors, samples=samples)
        if chain.bins:
            chain = self._draw_time_biases(grid, name, chain, blocks, iteration)
        return replace(
            state,
            iteration=iteration,
            **blocks,
            history=(*state.history, Loss(iteration, "train", rmse)),
            kept=chain.kept,
        )

    def _draw_time_biases(
        self, grid: Grid, name: str, chain: Chain, blocks: dict[Side, Blocks], iteration: int
    ) -> Chain:
        """Draw the time-bin biases of both sides, and lambda with each."""
        counts = self._keeps(iteration)
        for side in SIDES:
            seed = derive_seed(self.seed, _TIME_BIASES, iteration, side == "item")
            draw = DrawTimeBiases(
                *(TimeBiases(chain.bins, chain.numbers), blocks[side]),
                *(self.mean, self.scale, chain.precisions[side].references[0]),
                *(chain.priors["item"].references[0], seed, counts),
            )
            drawn, _ = grid.sweep(side, f"{name}/bins", draw, chain.bins[side], blocks[other(side)])
            draw_precision = DrawPrecision(seed, chain.precisions[side].references[0], counts)
            reference = grid.reduce(f"{name}/{side}-lambda", draw_precision, drawn)
            chain = replace(
                chain,
                bins={**chain.bins, side: drawn},
                precisions={**chain.precisions, side: Blocks(side, (reference,))},
            )
        return chain

    def finished(self, state: State) -> bool:
        """Stop after burn_in + samples iterations."""
        return state.iteration >= self.options.burn_in + self.options.samples

    def _keeps(self, iteration: int) -> bool:
        """Keep `keep` of the samples after burn-in, evenly spaced, the last among them."""
        samples = self.options.samples
        keep, number = min(self.options.keep, samples), iteration - self.options.burn_in
        return number > 0 and number * keep // samples > (number - 1) * keep // samples


@dataclass(frozen=True)
class Design:
    """Sweep kernel: a 1 and the features of each row, zero where there are no ratings."""

    attributes: Blocks | None

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return features float32 (rows, R) with their scales float64 (R) and groups int64 (R)."""
        n = sum((tile.degrees for tile, _ in tiles), start=np.int64(0))
        n = np.broadcast_to(n, tiles.layout.rows(tiles.side, tiles.block))
        features, scales = [np.ones((len(n), 1), np.float32)], [np.ones(1)]
        if "features" in rows:
            features.append(rows["features"])
            scales.append(rows["scales"])
        if self.attributes:
            found = tiles.store.get(self.attributes.references[tiles.block])["attributes"]
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
class DesignSums:
    """Reduce kernel: the gram, scales and groups of the features of a side."""

    def __call__(self, blocks: Iterable[Arrays], _store: BlockStore) -> Arrays:
        """Return gram float64 (R, R), scales (R) and groups (R)."""
        designs = [{k: block[k] for k in ("gram", "scales", "groups")} for block in blocks]
        return designs[0] | {"gram": np.sum([design["gram"] for design in designs], axis=0)}


@dataclass(frozen=True)
class StartPrior:
    """Reduce kernel: the prior before the first draw."""

    k: int

    def __call__(self, blocks: Iterable[Arrays], _store: BlockStore) -> Arrays:
        """Return the arrays of a Prior, and alpha."""
        groups = next(iter(blocks))["groups"]
        prior = Prior.start(len(groups), int(groups.max()) + 1, self.k)
        return prior.arrays() | {"alpha": np.asarray(1.0)}


@dataclass(frozen=True)
class DrawRows:
    """Sweep kernel: the rows of one block drawn given all columns."""

    rank: int
    mean: float
    scale: float
    seed: int
    prior: str
    """Reference of the prior of these rows."""
    latest: str
    """Reference of the prior drawn last, with the latest alpha."""
    designs: Blocks
    biases: TimeBiases | None = None

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return factors, bias, n and RowSums, and the numbers squared_error and weight.

        Memory: as ALS, and the features of the rows (4 bytes each).
        """
        prior = Prior.from_arrays(tiles.store.get(self.prior))
        alpha = float(tiles.store.get(self.latest)["alpha"])
        features = tiles.store.get(self.designs.references[tiles.block])["features"]
        parts = [biased_ratings(tile, columns, self.mean, self.scale) for tile, columns in tiles]
        if self.biases:
            for q, part in enumerate(parts):
                part.targets[:] -= self.biases.of_tile(tiles, q)
        indices = tiles.layout.indices(tiles.side, tiles.block)
        noise = normal_rows(self.seed, indices, self.rank + 1)
        mean = prior.mean(features)
        drawn, fit = sample_rows(parts, mean, prior.precision, alpha, noise)
        n = degrees_of(parts)
        sums = RowSums.of(features, drawn, n)
        squares = sum(float(np.square(part.targets, dtype=np.float64).sum()) for part in parts)
        return {
            "factors": drawn[:, : self.rank],
            "bias": drawn[:, self.rank],
            "n": n,
            **sums.arrays(),
        }, {"squared_error": squares + fit, "weight": float(n.sum())}


@dataclass(frozen=True)
class DrawPrior:
    """Reduce kernel: the prior of a side, and alpha, given the rows drawn last."""

    seed: int
    last: str
    design: str
    squared_error: float
    """Of all rows, and the ratings they have."""
    weight: float

    def __call__(self, blocks: Iterable[Arrays], store: BlockStore) -> Arrays:
        """Return the arrays of a Prior, and alpha."""
        design, last = store.get(self.design), Prior.from_arrays(store.get(self.last))
        totals = {"n_rows": 0, "cross": 0.0, "squares": 0.0}
        for block in blocks:
            totals = {name: total + block[name] for name, total in totals.items()}
        rng = np.random.default_rng(self.seed)
        sums = RowSums.from_arrays(totals)
        prior = sample_prior(sums, design["gram"], design["scales"], design["groups"], last, rng)
        alpha = sample_noise_precision(max(0.0, self.squared_error), self.weight, rng)
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
        kept = [tiles.store.get(blocks.references[tiles.block]) for blocks in self.samples]
        weight = np.float32((self.scale / len(kept)) ** 0.5)
        biases = np.column_stack([sample["bias"] for sample in kept]) * np.float32(self.scale)
        if "average" in rows:
            biases += rows["average"].sum(1, keepdims=True)
        return {
            "factors": np.column_stack([sample["factors"] for sample in kept]) * weight,
            "bias": biases.mean(1),
            "sample_bias": biases,
            "n": kept[0]["n"],
        }, {}
