"""Bayesian matrix factorization by Gibbs sampling, with features in the prior.

An iteration is that of ALS with a draw (kernels.factorization.gibbs) in place of each solution, and
one small task a side that draws what the rows have in common. With a user's row the level of their
noise is drawn, by which their ratings weigh. Predictions are averaged over
samples; a sample is the factors of one iteration, which are kept as they are and joined side by
side at the end:

    s(u, i) = mu + mean_s b_u^s + mean_s b_i^s + mean_s x_u^s . y_i^s

so that the posterior mean is a factor model of rank (samples * rank). Ratings are standardised.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from mfspark.config.models import BayesianMFOptions
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.training import Loss, State
from mfspark.kernels.arrays.random import derive_seed
from mfspark.kernels.arrays.tile import Numbers
from mfspark.models.base import FitContext
from mfspark.models.bayesian.draws import Design, DrawPrior, DrawRows, Join, StartPrior
from mfspark.models.bayesian.posterior import PosteriorModel
from mfspark.models.bayesian.rating_patterns import pattern_features
from mfspark.models.bayesian.time_biases import (
    AverageBiases,
    DrawPrecision,
    DrawTimeBiases,
    KnownTimeBiases,
    Lengths,
    StartPrecision,
    TimeBiases,
    start_time_bins,
)
from mfspark.models.factor_model import StartRows, start_state
from mfspark.schemas import SIDES, Side, other

_PATTERNS, _ROWS, _PRIOR, _TIME_BIASES = 1, 2, 3, 4  # streams of random numbers of one seed
_START_STD = 0.1


def fit(context: FitContext, options: BayesianMFOptions) -> PosteriorModel:
    """Fit by Gibbs sampling and join the samples that were kept."""
    tiles, grid = context.tiles, context.grid
    attributes: dict[Side, Blocks | None] = {}
    if options.attributes:
        attributes = {side: context.attributes(side) for side in SIDES}
    algorithm = BayesianMF(
        options, tiles.mean, tiles.std, context.seed, attributes, context.start_factors
    )
    state = context.train(algorithm)
    chain = Chain.of(state)
    biases = _known_time_biases(context, chain) if chain.bins else None
    user, item = (
        grid.sweep(
            side,
            f"{context.name}/posterior",
            Join(chain.samples[side], tiles.std),
            biases.blocks[side] if biases else None,
        )[0]
        for side in SIDES
    )
    return PosteriorModel(
        *(tiles.mean, user, item),
        history=state.history,
        n_samples=len(chain.samples["user"]),
        level=options.level,
        time_biases=biases,
    )


def _known_time_biases(context: FitContext, chain: Chain) -> KnownTimeBiases:
    """Average the time-bin biases over the samples that were kept."""
    n_draws, scale = len(chain.samples["user"]), context.tiles.std
    average = AverageBiases(n_draws, scale)
    blocks: BySide = {}
    variances: dict[Side, tuple[float, ...]] = {}
    for side in SIDES:
        blocks[side], _ = context.grid.sweep(
            side, f"{context.name}/posterior-bins", average, rows=chain.bins[side]
        )
        total = chain.precisions[side].read(context.store)["variance"]
        variances[side] = tuple((scale**2 * total / n_draws).tolist())
    return KnownTimeBiases(blocks, variances)


@dataclass(frozen=True)
class Chain:
    """What a state keeps beside the factors of the last sample, by side."""

    designs: BySide
    """Feature blocks: features float32 (rows, R), zero in rows without ratings."""
    sums: BySide
    """One block: the features' gram, scales and groups."""
    priors: BySide
    """One block: the last prior, and of users the level of the noise."""
    samples: dict[Side, tuple[Blocks, ...]]
    """The factor blocks of earlier iterations that predictions are averaged over."""
    bins: BySide = field(default_factory=dict)
    """Time-bin blocks with their biases drawn last; empty where there are none."""
    strips: BySide = field(default_factory=dict)
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
        return TimeBiases(self.bins, self.strips) if self.bins else None


@dataclass(frozen=True)
class BayesianMF:
    """Draws users, their prior, items and their prior in turn."""

    options: BayesianMFOptions
    mean: float
    scale: float
    """Standard deviation of the ratings."""
    seed: int
    attributes: dict[Side, Blocks | None] = field(default_factory=dict)
    start_factors: BySide | None = None
    """Factors to start from, those of a last sample or of several; None: random ones."""

    def start(self, grid: Grid, name: str) -> State:
        """Find the features and start both sides with small random factors, or start factors."""
        options = self.options
        start = StartRows(options.rank, _START_STD, self.seed, self.scale)
        skipped = max(0, options.burn_in - options.warm_burn_in) if self.start_factors else 0
        state = start_state(grid, name, start, self.start_factors, iteration=skipped)
        designs: BySide = {side: self._design(grid, side, name) for side in SIDES}
        start_prior = StartPrior(options.rank + 1)
        sums: BySide = {s: grid.reduce(f"{name}/prior", start_prior, designs[s]) for s in SIDES}
        chain = Chain(designs, sums, sums, {"user": (), "item": ()})
        if options.uses_times and grid.tiles.timed:
            lengths: Lengths = {"user": options.user_time_bins, "item": options.item_time_bins}
            bins, strips = start_time_bins(grid, name, lengths)
            precisions = {
                side: grid.reduce(f"{name}/lambda", StartPrecision(), bins[side]) for side in SIDES
            }
            chain = replace(chain, bins=bins, strips=strips, precisions=precisions)
        return replace(state, kept=chain.kept)

    def _design(self, grid: Grid, side: Side, name: str) -> Blocks:
        """Return the feature blocks of a side."""
        n_patterns, patterns = self.options.pattern_features, None
        if n_patterns:
            seed = derive_seed(self.seed, _PATTERNS, side == "item")
            patterns = pattern_features(grid, side, f"{name}/{side}-patterns", n_patterns, seed)
        design = Design(self.attributes.get(side))
        designs, _ = grid.sweep(side, f"{name}/design", design, rows=patterns)
        grid.store.discard(patterns.references if patterns else ())
        return designs

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Draw one sample of everything; the loss is that of users beside the items before."""
        chain, iteration = Chain.of(state), state.iteration + 1
        blocks: BySide = {"user": state.user, "item": state.item}
        priors, numbers = dict(chain.priors), dict[Side, Numbers]()
        for side in SIDES:
            across = other(side)
            seeds = [derive_seed(self.seed, s, iteration, side == "item") for s in (_ROWS, _PRIOR)]
            draw = DrawRows(
                *(self.mean, self.scale, seeds[0], priors[side], chain.designs[side]),
                chain.biases,
            )
            known = blocks[side] if side == "user" else None
            blocks[side], numbers[side] = grid.sweep(side, name, draw, known, blocks[across])
            draw_prior = DrawPrior(seeds[1], priors[side], chain.sums[side])
            priors[side] = grid.reduce(f"{name}/prior", draw_prior, blocks[side])
        error = numbers["user"]["squared_error"] / max(1, numbers["user"]["weight"])
        samples = chain.samples
        if self._keeps(iteration):
            samples = {side: (*samples[side], blocks[side]) for side in SIDES}
        chain = replace(chain, priors=priors, samples=samples)
        if chain.bins:
            chain = self._draw_time_biases(grid, name, chain, blocks, iteration)
        history = (*state.history, Loss(iteration, "train", self.scale * error**0.5))
        return replace(state, iteration=iteration, **blocks, history=history, kept=chain.kept)

    def _draw_time_biases(
        self, grid: Grid, name: str, chain: Chain, blocks: BySide, iteration: int
    ) -> Chain:
        """Draw the time-bin biases of both sides, and lambda with each."""
        counts = self._keeps(iteration)
        bins, precisions = dict(chain.bins), dict(chain.precisions)
        for side in SIDES:
            seed = derive_seed(self.seed, _TIME_BIASES, iteration, side == "item")
            draw = DrawTimeBiases(
                *(TimeBiases(bins, chain.strips), blocks[side], self.mean, self.scale),
                *(precisions[side], seed, counts),
            )
            bins[side], _ = grid.sweep(
                side, f"{name}/bins", draw, chain.bins[side], blocks[other(side)]
            )
            draw_precision = DrawPrecision(seed, precisions[side], counts)
            precisions[side] = grid.reduce(f"{name}/lambda", draw_precision, bins[side])
        return replace(chain, bins=bins, precisions=precisions)

    def finished(self, state: State) -> bool:
        """Stop after burn_in + samples iterations."""
        return state.iteration >= self.options.burn_in + self.options.samples

    def _keeps(self, iteration: int) -> bool:
        """Keep `keep` of the samples after burn-in, evenly spaced, the last among them."""
        samples = self.options.samples
        keep, number = min(self.options.keep, samples), iteration - self.options.burn_in
        return number > 0 and number * keep // samples > (number - 1) * keep // samples
