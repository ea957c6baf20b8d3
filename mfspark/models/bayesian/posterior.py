"""Factor models with intervals: samples of a posterior side by side."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from mfspark.grid.grid import Grid
from mfspark.grid.kernels import SweepKernel
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.factorization.scores import deviations_of_samples
from mfspark.models.base import HasIntervals
from mfspark.models.bayesian.time_biases import KnownTimeBiases
from mfspark.models.factor_model import FactorModel


@dataclass(frozen=True)
class PosteriorModel(FactorModel):
    """A factor model of rank (samples * rank) whose score is the mean over the samples.

    Its blocks also hold sample_bias float32 (rows, samples), and those of users noise float32
    (rows), the standard deviation of a user's ratings around the truth. A rating is taken to be
    normal around its score, with the variance of the samples' scores plus that of the noise.
    """

    n_samples: int = 1
    level: float = 0.9
    """Probability with which a rating lies in its interval."""
    time_biases: KnownTimeBiases | None = None
    """Time-bin biases, which count for pairs whose time is known."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Load what `record` gave."""
        known = record["time_biases"]
        biases = KnownTimeBiases.from_record(known) if known else None
        return super().from_record(record | {"time_biases": biases})

    @property
    def intervals(self) -> HasIntervals:
        """Itself."""
        return self

    @property
    def half_width(self) -> float:
        """Half the width of an interval, in standard deviations."""
        return NormalDist().inv_cdf((1 + self.level) / 2)

    def pair_kernel(self) -> SweepKernel:
        """Return the kernel of `predict`: scores of pairs, at their times where those were cut."""
        kernel = super().pair_kernel()
        return _AtTheirTimes(kernel, self.time_biases) if self.time_biases else kernel

    def deviations(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Return the standard deviation of the ratings of pairs by one sweep over their tiles.

        Blocks of the users: deviation float64 (n), in the order of the pairs' strip.
        """
        kernel = _OfPairs(self.n_samples, self.time_biases)
        return grid.over(pairs).sweep("user", name, kernel, self.user, self.item)[0]

    def list_deviations(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Return the same for the entries of lists, as `recommend` gave them.

        Blocks of the users: deviation float64 (users, n), NaN where a list has no entry.
        """
        unknown = self.time_biases.variance_at_no_time if self.time_biases else 0.0
        kernel = _OfLists(self.n_samples, unknown, lists)
        return grid.sweep("user", name, kernel, self.user, self.item)[0]


@dataclass(frozen=True)
class _AtTheirTimes:
    """Sweep kernel: the predictions of another one with the biases of their time bins."""

    kernel: SweepKernel
    time_biases: KnownTimeBiases

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        scored, numbers = self.kernel(rows, tiles)
        prediction = scored["prediction"] + self.time_biases.of_pairs(tiles)[0]
        return {"prediction": prediction}, numbers


@dataclass(frozen=True)
class _OfPairs:
    n_samples: int
    time_biases: KnownTimeBiases | None

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        def deviations(tile: Tile, items: Arrays) -> Array:
            pairs = tile.rows, tile.indices
            return deviations_of_samples(rows, items, *pairs, self.n_samples)

        deviation = tiles.of_ratings(deviations)
        if self.time_biases:
            deviation = np.sqrt(deviation**2 + self.time_biases.of_pairs(tiles)[1])
        return {"deviation": deviation}, {}


@dataclass(frozen=True)
class _OfLists:
    n_samples: int
    unknown: float
    """Variance of what lists do not know."""
    lists: Blocks

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        indices: Array = tiles.read(self.lists)["indices"]
        result = np.full(indices.shape, np.nan)
        n_blocks = tiles.layout.item_blocks
        for q in range(n_blocks):
            users, ranks = np.nonzero((indices % n_blocks == q) & (indices != NOBODY))
            columns = indices[users, ranks] // n_blocks
            of_samples = deviations_of_samples(
                rows, tiles.column(q), users, columns, self.n_samples
            )
            result[users, ranks] = np.sqrt(of_samples**2 + self.unknown)
        return {"deviation": result}, {}
