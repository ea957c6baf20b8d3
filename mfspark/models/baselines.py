"""What every model must beat: damped biases r(u, i) = mu + b_u + b_i, and items by popularity."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mfspark.config.models import BaselineOptions, PopularityOptions
from mfspark.errors import ConfigError
from mfspark.grid.grid import Grid
from mfspark.grid.layout import TileSet
from mfspark.grid.training import State
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Arrays, Numbers, stack_columns
from mfspark.kernels.factorization.recency import recency_weights, span_of
from mfspark.kernels.factorization.scores import damped_bias
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, StartRows, factor_block, start_state


def fit_baseline(context: FitContext, options: BaselineOptions) -> FactorModel:
    """Fit biases by alternating the closed solutions of both sides."""
    mean = context.tiles.mean
    state = context.train(Biases(options, mean))
    return FactorModel.of(state, mean, total=True)


@dataclass(frozen=True)
class Biases:
    """Alternates b_i and b_u, items first (as Surprise's baselines do)."""

    options: BaselineOptions
    mean: float

    def start(self, grid: Grid, name: str) -> State:
        """Start without biases."""
        return start_state(grid, name, StartRows(rank=0, std=0.0, seed=0))

    def step(self, grid: Grid, state: State, name: str) -> State:
        """Solve both sides once."""
        of_items = partial(_bias, self.mean, self.options.item_damping)
        item, _ = grid.sweep("item", name, of_items, columns=state.user)
        of_users = partial(_bias, self.mean, self.options.user_damping)
        user, _ = grid.sweep("user", name, of_users, columns=item)
        return replace(state, iteration=state.iteration + 1, user=user, item=item)

    def finished(self, state: State) -> bool:
        """Stop after max_iter alternations."""
        return state.iteration >= self.options.max_iter


def _bias(mean: float, damping: float, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    ratings = list(tiles)
    tile = stack_columns([tile for tile, _ in ratings])
    other_bias = np.concatenate([columns["bias"] for _, columns in ratings])
    bias = damped_bias(tile, mean, other_bias.astype(np.float64), damping)
    return factor_block(np.zeros((tile.n_rows, 0), np.float32), tile.degrees, bias), {}


def fit_popularity(context: FitContext, options: PopularityOptions) -> FactorModel:
    """Count; the score of an item is how often it was chosen, for every user.

    With a half-life each choice counts by its age. Raises ConfigError where no rating has a time.
    """
    grid, name, chosen = context.grid, context.name, context.of_choices().tiles
    user, _ = grid.sweep("user", name, partial(_count, None))
    if options.half_life_days is None:
        item, _ = grid.sweep("item", name, partial(_count, chosen))
    else:
        span = _span(context.tiles, grid, name)
        recent = _CountRecent(context.tiles, chosen.least, *span, options.half_life_days)
        item, _ = grid.sweep("item", name, recent)
    return FactorModel(0.0, user, item, kind="ranking")


def _count(chosen: TileSet | None, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    """Sweep kernel: a block of n, the ratings, with the number of choices as bias, if any."""
    n, count = tiles.degrees, None
    if chosen is not None:
        count = RowTiles(tiles.side, tiles.block, chosen, tiles.store).degrees
    return factor_block(np.zeros((len(n), 0), np.float32), n, count), {}


@dataclass(frozen=True)
class _CountRecent:
    """Sweep kernel: a block of n, the ratings, with the choices by their age as bias."""

    ratings: TileSet
    least: float | None
    """Ratings from here on are choices; None: all of them."""
    oldest: float
    """Minutes, as those of the tiles."""
    newest: float
    half_life: float
    """In days."""

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        times = RowTiles(tiles.side, tiles.block, self.ratings.times, tiles.store).strip()
        weights = recency_weights(times.values, self.newest, self.oldest, self.half_life)
        if self.least is not None:  # both strips are in the order of the other side
            weights = weights * (tiles.strip().values >= self.least)
        counted = np.bincount(times.rows, weights, times.n_rows)
        return factor_block(np.zeros((times.n_rows, 0), np.float32), times.degrees, counted), {}


def _span(ratings: TileSet, grid: Grid, name: str) -> tuple[float, float]:
    """Return when the oldest and the newest rating were made, in minutes."""
    found: list[np.ndarray] = []
    if ratings.timed:
        blocks, _ = grid.over(ratings.times).sweep("user", f"{name}/span", _span_of_block)
        found = [blocks.read(grid.store, block)["span"] for block in range(len(blocks))]
    oldest, newest = span_of(np.concatenate([np.empty(0), *found]))
    if np.isnan(oldest):
        raise ConfigError(
            "models.popularity.half_life_days needs times, but no rating has one (column rated_at)",
            "name the column with the times in ingest.columns.timestamp, "
            "or leave models.popularity.half_life_days out",
        )
    return float(oldest), float(newest)


def _span_of_block(_rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    return {"span": span_of(np.concatenate([tile.values for tile, _ in tiles]))}, {}
