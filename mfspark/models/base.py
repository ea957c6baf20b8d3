"""What all models share: how they are fitted, and what a fitted model can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

from mfspark.config.config import GridOptions
from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide, TileSet
from mfspark.grid.runners import Runner
from mfspark.grid.training import (
    Algorithm,
    Checkpoint,
    Loss,
    State,
    ratings_of_one_task,
    train,
    train_in_one_task,
)
from mfspark.kernels.arrays.tile import Array
from mfspark.schemas import Side

Kind = Literal["rating", "ranking"]
MOST_REASONS = 3
"""Reasons that an entry of a list has at most."""


@dataclass(frozen=True)
class FitContext:
    """Everything a model needs to be fitted on one set of ratings."""

    master: str
    """Of the Spark session, see `system.spark.master_of`."""
    runner: Runner
    tiles: TileSet
    store: BlockStore
    name: str
    """Prefix of the references this fit may write, such as "train/als"."""
    seed: int
    grid_options: GridOptions
    checkpoint: Checkpoint
    """Where the training state is recorded, and what it is of."""
    baseline: Callable[[], HasFactors]
    """Gives the baseline fitted on the same ratings, which is fitted only once a night."""
    choices_from: float | None = None
    """Ratings from here on are choices (option feedback.choices_from); None: all of them."""
    attributes: Callable[[Side], Blocks | None] = lambda _: None
    """Gives blocks of attributes float32 (rows, A) of one side; None where there are none."""
    start_factors: BySide | None = None
    """Factors of the base run, as `grid.cut.cut_factors` gives them, from which training starts.
    None: from random factors."""

    def of_choices(self) -> Self:
        """Return the context of a fit on choices alone."""
        return replace(self, tiles=self.tiles.at_least(self.choices_from))

    @property
    def grid(self) -> Grid:
        """The tiles, with whoever runs the tasks."""
        return Grid(self.tiles, self.store, self.runner)

    def train(self, algorithm: Algorithm) -> State:
        """Run a training loop, in one task while the ratings are few, otherwise by sweeps."""
        options = self.grid_options
        limit = options.one_task_ratings or ratings_of_one_task(self.master)
        small = self.tiles.n_ratings <= limit
        if options.engine == "one_task" or (options.engine == "auto" and small):
            place = self.tiles, self.store, algorithm, self.name, self.checkpoint
            return train_in_one_task(self.runner, self.master, *place)
        return train(self.grid, algorithm, self.name, self.checkpoint)


class RanksSimilar(Protocol):
    """It ranks items by how much they are like one another."""

    def similar_items(self, grid: Grid, n: int, name: str) -> Blocks:
        """Rank the n items most like every item; blocks of the items, as `Model.recommend`."""
        ...


class HasItemWeights(Protocol):
    """Its scores are sums of weights of what a user chose: s(u, j) = sum over i of w_ij."""

    @property
    def weights(self) -> Blocks:
        """Blocks of the items j; see kernels.item_weights.weights."""
        ...


class HasFactors(RanksSimilar, Protocol):
    """It has a row of biases and factors for every user and item: mu + b_u + b_i + x_u . y_i."""

    @property
    def mean(self) -> float:
        """Global mean mu."""
        ...

    def blocks(self, side: Side) -> Blocks:
        """Return the factor blocks of one side: factors (rows, rank), bias and n (rows)."""
        ...


class HasIntervals(Protocol):
    """It knows how far a rating may lie from its score."""

    @property
    def half_width(self) -> float:
        """Half the width of an interval, in standard deviations."""
        ...

    def deviations(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Return blocks of deviation float64 (n), in the order of the pairs' strip."""
        ...

    def list_deviations(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Return blocks of deviation float64 (users, n), NaN where a list has no entry."""
        ...


class Explains(Protocol):
    """It can name the users, or the rated items, that contributed most to an entry of a list."""

    @property
    def side(self) -> Side:
        """Whether reasons are users or items."""
        ...

    def list_reasons(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Return blocks of reason int32 (users, n, most), indices of that side; NOBODY: none."""
        ...


class Model(ABC):
    """A fitted model. Its blocks lie in the store it was fitted in.

    Whoever wants more of a model than lists and predictions asks for a capability and gets the
    model itself, or None:

        if (intervals := model.intervals) is not None:
            deviations = intervals.deviations(grid, pairs, name)
    """

    kind: Kind
    """Whether it predicts ratings (in the scale) or only ranks items."""
    history: tuple[Loss, ...] = ()
    """Losses of the fit; empty for models without iterations."""

    @property
    def factors(self) -> HasFactors | None:
        """Itself, where it has factors."""
        return None

    @property
    def item_weights(self) -> HasItemWeights | None:
        """Itself, where it has weights between items."""
        return None

    @property
    def alike(self) -> RanksSimilar | None:
        """Itself, where it can tell similar items."""
        return self.factors

    @property
    def intervals(self) -> HasIntervals | None:
        """Itself, where it has intervals."""
        return None

    @property
    def explains(self) -> Explains | None:
        """Itself, where it gives reasons."""
        return None

    @property
    def list_kind(self) -> Kind:
        """Whether the scores of its lists are ratings."""
        return self.kind

    @abstractmethod
    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score the pairs of a tile set; NaN where the model knows nothing.

        `grid` holds the ratings the model was fitted on. Blocks of the users: prediction float64
        (n), in the order of the pairs' strip.
        """

    @abstractmethod
    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None = None) -> Blocks:
        """Rank the n best unseen items of every user, among the `eligible` bool (items) if given.

        Blocks of the users: indices int32 and scores float64, both (users, n); see RankedLists.
        """

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Return what is needed to load the model again, as JSON types."""
