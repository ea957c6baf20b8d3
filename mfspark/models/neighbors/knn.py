"""Predictions and lists from nearest neighbors: of users (`user_knn`) or of items (`item_knn`).

    user_knn   what neighbors of the user rated the item          rows x = users, columns c = items
    item_knn   what the user rated neighbors of the item          rows x = items, columns c = users

One mechanism serves both: rows are compared, and the ratings that neighbors have for a column are
averaged. Whose ratings count is up to models.neighbors.neighbor_lists, or to
models.neighbors.nearest_raters.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mfspark.config.models import KNNOptions
from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide, TileSet
from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.aggregation import Aggregation
from mfspark.kernels.neighbors.measures import MEASURES
from mfspark.kernels.neighbors.similarity import Neighbors
from mfspark.models.base import Explains, FitContext, Kind, Model
from mfspark.models.neighbors.centered_aggregation import CenteredAggregation, MeansAndSpreads
from mfspark.models.neighbors.nearest_raters import NearestRaters
from mfspark.models.neighbors.neighbor_lists import NeighborLists
from mfspark.models.neighbors.search import RowComparison, nearest_neighbors
from mfspark.models.published_items import PublishedItems, put_items
from mfspark.schemas import SIDES, Side


def fit(side: Side, context: FitContext, options: KNNOptions) -> KNN:
    """Find every row's nearest neighbors, and what ratings are centered on."""
    options = KNNOptions.model_construct(**options.model_dump())  # of whichever model they were
    grid, biases, levels, mean = context.grid, BySide(), BySide(), 0.0
    if options.aggregation == "baseline" or MEASURES[options.similarity].needs_biases:
        biases |= {side: context.baseline().blocks(side) for side in SIDES}
    if options.aggregation == "baseline":
        mean, levels = context.tiles.mean, biases
    elif options.aggregation in ("centered", "zscore"):
        spread = context.tiles.std if options.aggregation == "zscore" else None
        levels[side], _ = grid.sweep(side, f"{context.name}/levels", MeansAndSpreads(spread))
    neighbors, comparison = nearest_neighbors(grid, side, context.name, options, biases)
    return KNN(options, neighbors, comparison, mean, levels, choices_from=context.choices_from)


def of_published(
    items: PublishedItems, options: KNNOptions, store: BlockStore
) -> tuple[KNN, Array]:
    """Return `item_knn` of published neighbors, in one block of a store, and which items have any.

    It ranks by similarity alone: all else it knew is not published.
    """
    pairs = items.neighbors()
    rank = np.arange(len(pairs.items)) - np.searchsorted(pairs.items, pairs.items)
    shape = len(items), int(rank.max(initial=0)) + 1
    lists = RankedLists.empty(*shape)
    lists.indices[pairs.items, rank], lists.scores[pairs.items, rank] = pairs.others, pairs.values
    found = Neighbors(lists.indices, lists.scores, np.zeros(shape, np.int32))
    blocks = put_items(store, found.arrays())
    options = KNNOptions.model_construct(**options.model_dump())
    return KNN(options, blocks, None, 0.0, {}, choices_from=items.choices.least), pairs.known


@dataclass(frozen=True)
class KNN(Model):
    """Nearest neighbors of all rows of one side, and what ratings are centered on."""

    options: KNNOptions
    neighbors: Blocks
    """See kernels.neighbors.similarity.Neighbors."""
    comparison: RowComparison | None
    """How rows were compared; None where neighbors were read from published tables."""
    mean: float
    levels: BySide
    """See CenteredAggregation."""
    kind: Kind = "rating"
    choices_from: float | None = None
    """Ratings from here on are what lists by similarity count; None: all."""

    @property
    def side(self) -> Side:
        """Whose neighbors count."""
        return self.neighbors.side

    @property
    def explains(self) -> Explains:
        """Itself."""
        return self

    @property
    def list_kind(self) -> Kind:
        """Lists are ranked by ratings or by similarity."""
        return "rating" if self.options.rank_by == "rating" else "ranking"

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> KNN:
        """Load what `record` gave."""
        return cls(
            KNNOptions.model_validate(record["options"]),
            Blocks.from_record(record["neighbors"]),
            RowComparison.from_record(record["comparison"]),
            record["mean"],
            {side: Blocks.from_record(blocks) for side, blocks in record["levels"].items()},
            record["kind"],
            record["choices_from"],
        )

    def record(self) -> dict[str, Any]:
        """Return the model as JSON types; the blocks stay where they are."""
        return asdict(self) | {"options": self.options.model_dump()}

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs by one all-pairs pass over the ratings the neighbors were found in."""
        aggregation = self._aggregation(summed=False)
        return self._scorer(aggregation).predict(grid, pairs, name)

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None = None) -> Blocks:
        """Rank the items that some neighbor has a rating for."""
        return self._scorer(self._of_lists).recommend(grid, n, name, eligible)

    def list_reasons(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Name the neighbors with most part in each entry of lists, as `recommend` gave them.

        Blocks of the users: reason int32 (users, n, MOST_REASONS): users, or rated items, by
        index; NOBODY where there are fewer.
        """
        return NeighborLists(self._of_lists, self.neighbors).list_reasons(grid, lists, name)

    def _scorer(self, aggregation: CenteredAggregation) -> NeighborLists | NearestRaters:
        if self.options.among == "raters":
            assert self.comparison is not None
            return NearestRaters(aggregation, self.comparison, self.options.num_neighbors)
        return NeighborLists(aggregation, self.neighbors)

    @property
    def _of_lists(self) -> CenteredAggregation:
        return self._aggregation(summed=self.options.rank_by == "similarity")

    def _aggregation(self, *, summed: bool) -> CenteredAggregation:
        method, min_k = self.options.aggregation, self.options.min_k
        aggregation = Aggregation(method, min_k, self.options.damping, summed=summed)
        return CenteredAggregation(
            self.side, aggregation, self.mean, self.levels, self.choices_from
        )
