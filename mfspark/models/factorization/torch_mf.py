"""The torch matrix-factorization trainer: strata of tiles, one `nn.Module` a tile.

An epoch is one pass of gradient steps (kernels.factorization.sgd) over all tiles, and then one step
of the rater priors, which are what an item's raters say of it (kernels.factorization.rater_priors):
a sweep over the users and one over the items.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mfspark.config.models import Penalty, TorchMFOptions
from mfspark.errors import ConfigError
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide, GridLayout
from mfspark.grid.training import Loss, State
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.device import device_of
from mfspark.kernels.arrays.random import derive_seed, uniform
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.factorization.rater_priors import (
    item_pulls,
    next_prior_means,
    next_rater_priors,
)
from mfspark.kernels.factorization.sampled_products import sums_over_raters
from mfspark.kernels.factorization.sgd import Epoch, RowPenalty
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, StartRows, start_state
from mfspark.schemas import Side, other

_VALIDATION, _SHUFFLE = 1, 2  # streams of random numbers of one seed
_MOST_ZEROS = 50_000_000  # cells: 1.5 GB of one task
_STEPS = 20  # an epoch and row; more do not lower the error, see docs/decisions.md


def fit(context: FitContext, options: TorchMFOptions) -> FactorModel:
    """Fit by stochastic gradients; every epoch each user block meets each item block once.

    Raises ConfigError where a textbook's objective is asked for on more than small data.
    """
    tiles = context.tiles
    mean = tiles.mean if options.center and options.unrated == "masked" else 0.0
    std = tiles.std
    if options.textbook:
        _check_small(options, tiles.layout)
        std = 1.0
    penalty = options.penalty(tiles.n_ratings)
    algorithm = TorchMF(options, penalty, mean, context.seed, std, context.start_factors)
    state = context.train(algorithm)
    return FactorModel.of(state, mean)


def _check_small(options: TorchMFOptions, layout: GridLayout) -> None:
    """Refuse what would not be one step over everything, or too many cells of zeros."""
    if layout.user_blocks > 1 or layout.item_blocks > 1:
        raise ConfigError(
            f'models.torch_mf.objective = "{options.objective}" takes all ratings in one step, and '
            f"they were cut into {layout.user_blocks} x {layout.item_blocks} tiles",
            'use objective = "weighted", or grid.blocks = 1 where one core can be waited for',
        )
    cells = layout.n_users * layout.n_items
    if options.unrated == "zero" and cells > _MOST_ZEROS:
        raise ConfigError(
            f'models.torch_mf.unrated = "zero" makes {cells:,} ratings, {_MOST_ZEROS:,} at most',
            "model nmf or svd takes unrated cells as zeros at any size",
        )


def steady_batch_size(tile: Tile, layout: GridLayout) -> int:
    """Return the batch size with which a row takes about 20 steps an epoch, however tiles are cut.

    A row meets one tile of each block of the other side, so each tile is dealt out to 20 / blocks
    batches. Equal numbers of steps are what makes the answer the same for any number of blocks.
    """
    steps = max(1, round(_STEPS / max(layout.user_blocks, layout.item_blocks)))
    return -(-tile.n_ratings // steps)


@dataclass(frozen=True)
class TorchMF:
    """Epochs of strata, with a decaying learning rate and early stopping."""

    options: TorchMFOptions
    penalty: Penalty
    mean: float
    seed: int
    std: float = 1.0
    """Of the ratings: the unit of learning_rate, reg and init_std."""
    start_factors: BySide | None = None
    """Factors to start from; None: random ones."""

    def start(self, grid: Grid, name: str) -> State:
        """Start both sides with small random factors, or start factors for the last epochs."""
        options = self.options
        std = options.init_std * self.std**0.5
        start = StartRows(options.rank, std, self.seed, distribution=options.init)
        skipped = max(0, options.epochs - options.warm_epochs) if self.start_factors else 0
        return start_state(grid, name, start, self.start_factors, iteration=skipped)

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Run one epoch."""
        epoch = state.iteration + 1
        kernel = MeetBlocks(
            self.options, self.penalty, self.mean, self.std, self.seed, epoch, grid.layout
        )
        user, item, numbers = grid.strata(name, kernel, state.user, state.item)
        if self.options.implicit and not self.options.textbook:
            user, item = self._learn_rater_priors(grid, name, user, item)
        losses = [
            Loss(epoch, split, (numbers[f"{split}_error"] / max(1.0, n)) ** 0.5)
            for split in ("train", "validation")
            if (n := numbers[f"n_{split}"]) or split == "train"
        ]
        history = (*state.history, *losses)
        return replace(state, iteration=epoch, user=user, item=item, history=history)

    def finished(self, state: State) -> bool:
        """Stop after `epochs`, or when validation has not improved for `patience` epochs."""
        losses = state.losses("validation")
        patience = self.options.patience
        stalled = len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])
        return state.iteration >= self.options.epochs or stalled

    def _learn_rater_priors(
        self, grid: Grid, name: str, user: Blocks, item: Blocks
    ) -> tuple[Blocks, Blocks]:
        """Take a step of the users' rater priors, and draw the items to their new prior means."""
        held_out = HeldOut(self.options.validation_share, self.seed)
        learn = LearnRaterPriors(held_out, self.penalty.prior_count, self.options.rater_damping)
        new_user, _ = grid.sweep("user", name, learn, user, item)
        new_item, _ = grid.sweep("item", name, MovePriorMeans(held_out), item, new_user)
        grid.store.discard({*user.references, *item.references})
        return new_user, new_item


@dataclass(frozen=True)
class HeldOut:
    """Chooses validation ratings by a hash of user and item: the same in every epoch and cut."""

    share: float
    seed: int

    def mask(self, tile: Tile, layout: GridLayout, side: Side, p: int, q: int) -> Array:
        """Say which ratings of a tile are held out, bool (n).

        side: what the tile's rows are. p, q: the blocks of its rows and of its columns.
        """
        if self.share == 0:
            return np.zeros(tile.n_ratings, bool)
        row = tile.rows.astype(np.int64) * layout.blocks(side) + p
        column = tile.indices.astype(np.int64) * layout.blocks(other(side)) + q
        user, item = (row, column) if side == "user" else (column, row)
        seed = derive_seed(self.seed, _VALIDATION)
        return uniform(seed, user * layout.n_items + item) < self.share

    def sums(self, tiles: RowTiles, rows_of: Callable[[Arrays], Array]) -> Array:
        """Return sums of some rows of the column blocks over each row's ratings but these."""
        total = np.zeros((), np.float32)
        for q, (tile, columns) in enumerate(tiles):
            held_out = self.mask(tile, tiles.layout, tiles.side, tiles.block, q)
            total = total + sums_over_raters(tile, ~held_out, rows_of(columns))
        return total


@dataclass(frozen=True)
class MeetBlocks:
    """Stratum kernel: one pass of gradient steps over the ratings where two blocks meet."""

    options: TorchMFOptions
    penalty: Penalty
    mean: float
    std: float
    seed: int
    epoch: int
    layout: GridLayout

    def __call__(
        self, users: Arrays, items: Arrays, tile: Tile, pair: tuple[int, int]
    ) -> tuple[Arrays, Arrays, Numbers]:
        """Return the new user and item block, with the optimizer's state, and what they count."""
        options, size = self.options, self.options.batch_size
        if options.textbook:
            size = 0
        if options.unrated == "zero":
            tile = tile.with_zeros()
        epoch = Epoch(
            optimizer=options.optimizer,
            learning_rate=options.learning_rate * options.decay ** (self.epoch - 1),
            penalty=RowPenalty(*self.penalty, options.damping),
            batch_size=steady_batch_size(tile, self.layout) if size == "auto" else size,
            biases=options.biases,
            mean=self.mean,
            std=self.std,
            seed=derive_seed(self.seed, _SHUFFLE, self.epoch, *pair),
            device=device_of(options.device),
            objective=options.objective,
        )
        held_out = HeldOut(options.validation_share, self.seed)
        return epoch.run(users, items, tile, held_out.mask(tile, self.layout, "user", *pair))


@dataclass(frozen=True)
class LearnRaterPriors:
    """Sweep kernel of the users: one step of their rater priors, given the items' rows."""

    held_out: HeldOut
    prior_count: float
    damping: float

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return the user block with its new rater priors."""
        pulls = self.held_out.sums(tiles, lambda items: item_pulls(items, self.prior_count))
        return rows | {"rater_prior": next_rater_priors(rows, pulls, self.damping)}, {}


@dataclass(frozen=True)
class MovePriorMeans:
    """Sweep kernel of the items: their prior means, given the users' rater priors."""

    held_out: HeldOut

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return the item block with its new prior means."""
        rater_priors = self.held_out.sums(tiles, lambda users: users["rater_prior"])
        return rows | {"prior_mean": next_prior_means(rows, rater_priors)}, {}
