"""Items by their number of ratings: what a top-N list has to beat."""

from dataclasses import dataclass

import numpy as np

from mfspark.config.models import PopularityOptions
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.models.base import FitContext
from mfspark.models.factor_model import FactorModel, factor_block


def fit(context: FitContext, _options: PopularityOptions) -> FactorModel:
    """Count; the score of an item is its number of ratings, for every user."""
    user, _ = context.grid.sweep("user", context.name, _Count(scored=False))
    item, _ = context.grid.sweep("item", context.name, _Count(scored=True))
    return FactorModel(0.0, user, item, kind="ranking")


@dataclass(frozen=True)
class _Count:
    scored: bool

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        n = tiles.degrees
        return factor_block(np.zeros((len(n), 0), np.float32), n, n if self.scored else None), {}
