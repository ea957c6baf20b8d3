"""How the ratings of neighbors become scores, with what those ratings are centered on."""

from dataclasses import dataclass

import numpy as np

from mfspark.grid.layout import BySide
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.aggregation import Aggregation, Centering, means_and_spreads
from mfspark.schemas import Side, other


@dataclass(frozen=True)
class CenteredAggregation:
    """An aggregation, and where lies what ratings are centered on."""

    side: Side
    """Whose neighbors."""
    aggregation: Aggregation
    mean: float
    levels: BySide
    """Levels on top of the mean: bias (rows) of either side; spread (rows) for `zscore`."""
    choices_from: float | None = None
    """Ratings from here on are choices, which are what a sum of s r counts; None: all."""

    @property
    def least(self) -> float | None:
        """Ratings from here on count: for sums those that are choices; None: all."""
        return self.choices_from if self.aggregation.summed else None

    def telling(self, lists: RankedLists) -> RankedLists:
        """Return lists up to the first item for which nothing speaks: a sum of s r that is 0.

        Such items stand in the order of their indices; how many have chosen them says more.
        """
        return lists.until(lists.scores == 0) if self.aggregation.summed else lists

    def centering(self, strips: Strips) -> Centering:
        """Return the centering of all ratings (reads the levels of all rows of both sides)."""
        layout, store, across = strips.tiles.layout, strips.store, other(self.side)
        centering = Centering.none(layout.n(self.side), layout.n(across))
        if self.aggregation.summed or not self.levels:
            return centering
        own = self.levels[self.side]
        level = self.mean + own.gathered(store, layout, "bias").astype(np.float64)
        spread, column_level = centering.spread, centering.column_level
        if self.aggregation.method == "zscore":
            spread = own.gathered(store, layout, "spread")
        if across in self.levels:
            biases = self.levels[across].gathered(store, layout, "bias")
            column_level = biases.astype(np.float64)
        return Centering(level, spread, column_level)


@dataclass(frozen=True)
class MeansAndSpreads:
    """Sweep kernel: mean of each row's ratings and, if `overall` is given, their deviation."""

    overall: float | None

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return bias float64 (rows) and, if asked for, spread float64 (rows)."""
        mean, spread = means_and_spreads(tiles.strip(), self.overall or 1.0)
        return {"bias": mean} | ({} if self.overall is None else {"spread": spread}), {}
