"""User-based nearest neighbors: similarities by all pairs, predictions from neighbors' ratings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.grid.grid import Blocks, RowTiles
from mfspark.kernels.knn import best_items, predict_pairs, predictions, ratings_of_neighbors
from mfspark.kernels.similarity import Neighbors
from mfspark.kernels.top_n import RankedLists
from mfspark.models.neighbors import nearest_neighbors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mfspark.grid.grid import Grid, Strips, TileSet
    from mfspark.grid.training import Loss
    from mfspark.kernels.knn import Aggregation
    from mfspark.kernels.tile import Array, Arrays, Tile
    from mfspark.model_options import UserKNNOptions
    from mfspark.models.base import FitContext, Kind

_CHUNK_ROWS = 2048  # users predicted at once; bounds the products held in memory


def fit(context: FitContext, options: UserKNNOptions) -> UserKNN:
    """Find every user's nearest neighbors by one all-pairs motion."""
    neighbors = nearest_neighbors(context.grid, "user", context.name, options)[0]
    return UserKNN(neighbors, options.aggregation)


@dataclass(frozen=True)
class UserKNN:
    """Neighbor blocks of all users; see kernels.similarity.Neighbors."""

    neighbors: Blocks
    aggregation: Aggregation
    kind: Kind = "rating"

    @property
    def history(self) -> tuple[Loss, ...]:
        """No iterations, no losses."""
        return ()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> UserKNN:
        """Load what `record` gave."""
        blocks = Blocks("user", tuple(record["neighbors"]["references"]))
        return cls(blocks, record["aggregation"])

    def record(self) -> dict[str, Any]:
        """Return the model as JSON types; the blocks stay where they are."""
        return asdict(self)

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs by one all-pairs motion over the ratings the neighbors were found in."""
        kernel = _PredictPairs(self.aggregation, pairs)
        return grid.all_pairs("user", name, kernel, rows=self.neighbors)[0]

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None = None) -> Blocks:
        """Rank the items that the neighbors rated."""
        kernel = _RankItems(self.aggregation, n, eligible)
        return grid.all_pairs("user", name, kernel, rows=self.neighbors)[0]


@dataclass(frozen=True)
class _PredictPairs:
    aggregation: Aggregation
    pairs: TileSet

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        wanted = RowTiles("user", strips.block, self.pairs, strips.store).strip()
        found = [np.empty(0)]
        for chunk, predicted in _in_chunks(rows, strips, self.aggregation):
            found.append(predict_pairs(predicted, wanted.take(chunk)))
        return {"prediction": np.concatenate(found)}


@dataclass(frozen=True)
class _RankItems:
    aggregation: Aggregation
    n: int
    eligible: Array | None

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        seen = strips.own()
        lists = [RankedLists.empty(0, self.n)]
        for chunk, predicted in _in_chunks(rows, strips, self.aggregation):
            lists.append(best_items(predicted, seen.take(chunk), self.n, self.eligible))
        return {
            "indices": np.concatenate([part.indices for part in lists]),
            "scores": np.concatenate([part.scores for part in lists]),
        }


def _in_chunks(
    rows: Arrays, strips: Strips, aggregation: Aggregation
) -> Iterator[tuple[Array, Any]]:
    """Yield (rows of the block, their sparse predictions) a chunk at a time."""
    neighbors = Neighbors.from_arrays(rows)
    known: tuple[Array, Tile] = ratings_of_neighbors(neighbors, strips)
    n_rows = len(neighbors.indices)
    for start in range(0, n_rows, _CHUNK_ROWS):
        chunk = np.arange(start, min(start + _CHUNK_ROWS, n_rows))
        yield chunk, predictions(neighbors, chunk, known, aggregation)
