"""What a fitted model may be able to do besides predicting and ranking.

Whoever wants more of a model asks for the capability and gets the model itself, or None:

    if (intervals := model.intervals) is not None:
        deviations = intervals.deviations(grid, pairs, name)
"""

from typing import Literal, Protocol

from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, TileSet
from mfspark.schemas import Side

Kind = Literal["rating", "ranking"]
MOST_REASONS = 3
"""Reasons that an entry of a list has at most."""


class HasFactors(Protocol):
    """It has a row of biases and factors for every user and item: mu + b_u + b_i + x_u . y_i."""

    @property
    def mean(self) -> float:
        """Global mean mu."""
        ...

    def blocks(self, side: Side) -> Blocks:
        """Return the factor blocks of one side: factors (rows, rank), bias and n (rows)."""
        ...

    def similar_items(self, grid: Grid, n: int, name: str) -> Blocks:
        """Rank the n items nearest to every item; blocks of the items, as `Model.recommend`."""
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
    """It can name the users, or the rated items, that told most of an entry of a list."""

    @property
    def side(self) -> Side:
        """Whether reasons are users or items."""
        ...

    def list_reasons(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Return blocks of reason int32 (users, n, most), indices of that side; NOBODY: none."""
        ...


class Capabilities:
    """Base of all models: nothing of the above, unless a model says otherwise."""

    @property
    def factors(self) -> HasFactors | None:
        """Itself, where it has factors."""
        return None

    @property
    def intervals(self) -> HasIntervals | None:
        """Itself, where it has intervals."""
        return None

    @property
    def explains(self) -> Explains | None:
        """Itself, where it gives reasons."""
        return None
