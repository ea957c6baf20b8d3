"""Predictions and lists from nearest neighbors: of users (`user_knn`) or of items (`item_knn`).

    user_knn   what neighbors of the user rated the item          rows x = users, columns c = items
    item_knn   what the user rated neighbors of the item          rows x = items, columns c = users

One mechanism serves both: rows are compared, and neighbors tell what they have of a column
(kernels.neighbors.knn). Lists of neighbors are used here; where only raters count,
models.neighbors.nearest_raters takes over.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.config.models import KNNOptions
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.neighbors.aggregation import Rule
from mfspark.kernels.neighbors.centering import Expectation, means_and_spreads
from mfspark.kernels.neighbors.knn import (
    answers,
    best_of_chunks,
    contributors,
    ratings_at,
    ratings_of_neighbors,
    told,
    weight_matrix,
)
from mfspark.kernels.neighbors.similarity import Neighbors
from mfspark.models.capabilities import MOST_REASONS, Capabilities
from mfspark.models.neighbors import nearest_raters as raters
from mfspark.models.neighbors.search import Comparison, nearest_neighbors
from mfspark.schemas import SIDES, other

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scipy.sparse import csr_array

    from mfspark.grid.block_store import BlockStore
    from mfspark.grid.grid import Grid
    from mfspark.grid.kernels import PairKernel
    from mfspark.grid.layout import GridLayout, TileSet
    from mfspark.grid.runners import Numbers
    from mfspark.grid.training import Loss
    from mfspark.grid.views import Strips
    from mfspark.kernels.arrays.tile import Array, Arrays, Tile
    from mfspark.models.base import FitContext
    from mfspark.models.capabilities import Explains, Kind
    from mfspark.schemas import Side

_CELLS = 1 << 22  # predictions held at once: a few arrays of 32 MiB
_EXPLAINED = 1 << 14  # entries of lists explained at once


def fit(side: Side, context: FitContext, options: KNNOptions) -> KNN:
    """Find every row's nearest neighbors, and what is expected of ratings."""
    options = KNNOptions.model_validate(options.model_dump())  # of whichever model they were
    fitted, levels, mean = BySide(), BySide(), 0.0
    if options.aggregation == "baseline" or options.similarity == "pearson_baseline":
        fitted |= {side: context.baseline().blocks(side) for side in SIDES}
    if options.aggregation == "baseline":
        mean, levels = context.tiles.mean, fitted
    elif options.aggregation in ("centered", "zscore"):
        spread = context.tiles.std if options.aggregation == "zscore" else None
        name = f"{context.name}/levels"
        levels[side] = context.grid.sweep(side, name, _MeansAndSpreads(spread))[0]
    compared_with = fitted if options.similarity == "pearson_baseline" else None
    neighbors, comparison = nearest_neighbors(
        context.grid, side, context.name, options, compared_with
    )
    return KNN(options, neighbors, comparison, mean, levels)


@dataclass(frozen=True)
class KNN(Capabilities):
    """Nearest neighbors of all rows of one side, and what is expected of ratings."""

    options: KNNOptions
    neighbors: Blocks
    """See kernels.neighbors.similarity.Neighbors."""
    comparison: Comparison
    """How rows were compared."""
    mean: float
    levels: BySide
    """What is expected beside the mean: bias (rows) of either side; spread (rows) for `zscore`."""
    kind: Kind = "rating"

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

    @property
    def history(self) -> tuple[Loss, ...]:
        """No iterations, no losses."""
        return ()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> KNN:
        """Load what `record` gave."""
        options = KNNOptions.model_validate(record["options"])
        compared = record["comparison"]
        biases = compared["biases"]
        return cls(
            options,
            _blocks(record["neighbors"]),
            Comparison(
                options,
                _blocks(compared["columns"]),
                None if biases is None else _by_side(biases),
                tuple(compared["off"]),
            ),
            record["mean"],
            _by_side(record["levels"]),
            record["kind"],
        )

    def record(self) -> dict[str, Any]:
        """Return the model as JSON types; the blocks stay where they are."""
        options = self.options.model_dump()
        record = asdict(self) | {"options": options}
        record["comparison"]["options"] = options
        return record

    def predict(self, grid: Grid, pairs: TileSet, name: str) -> Blocks:
        """Score pairs by one all-pairs pass over the ratings the neighbors were found in."""
        if self.options.among == "raters":
            return raters.predict(self, grid, pairs, name)
        return self._of_lists(grid, name, _PredictPairs(self, pairs))

    def recommend(self, grid: Grid, n: int, name: str, eligible: Array | None = None) -> Blocks:
        """Rank the items that neighbors tell something of."""
        if self.options.among == "raters":
            return raters.recommend(self, grid, n, name, eligible)
        return self._of_lists(grid, name, _RankItems(self, n, eligible))

    def list_reasons(self, grid: Grid, lists: Blocks, name: str) -> Blocks:
        """Say which neighbors told most of each entry of lists, as `recommend` gave them.

        Blocks of the users: reason int32 (users, n, MOST_REASONS): users, or rated items, by
        index; NOBODY where there are fewer.
        """
        return self._of_lists(grid, name, _Explain(self, lists))

    def _of_lists(self, grid: Grid, name: str, kernel: PairKernel) -> Blocks:
        rows = self.neighbors if self.side == "user" else None
        return grid.all_pairs("user", name, kernel, rows)

    def rule(self, *, of_lists: bool) -> Rule:
        """Return how neighbors make a prediction, or the score of a list."""
        options = self.options
        summed = of_lists and options.rank_by == "similarity"
        return Rule(options.aggregation, options.min_k, options.damping, summed=summed)

    def all_neighbors(self, strips: Strips) -> Neighbors:
        """Return the neighbors of all rows, by their global index (reads all blocks)."""
        names = ("indices", "similarity", "n_common")
        layout = strips.tiles.layout
        return Neighbors(*(self.neighbors.gathered(strips.store, layout, n) for n in names))

    def expectation(self, store: BlockStore, layout: GridLayout, rule: Rule) -> Expectation:
        """Return what is expected of ratings (reads the levels of all rows of both sides)."""
        side, across = self.side, other(self.side)
        expected = Expectation.nothing(layout.n(side), layout.n(across))
        if rule.summed or not self.levels:
            return expected
        own = self.levels[side]
        level = self.mean + own.gathered(store, layout, "bias").astype(np.float64)
        spread, column_level = expected.spread, expected.column_level
        if self.options.aggregation == "zscore":
            spread = own.gathered(store, layout, "spread")
        if across in self.levels:
            biases = self.levels[across].gathered(store, layout, "bias")
            column_level = biases.astype(np.float64)
        return Expectation(level, spread, column_level)


def _blocks(record: dict[str, Any]) -> Blocks:
    return Blocks(record["side"], tuple(record["references"]))


def _by_side(record: dict[Side, Any]) -> BySide:
    return {side: _blocks(blocks) for side, blocks in record.items()}


@dataclass(frozen=True)
class _MeansAndSpreads:
    """Sweep kernel: mean of each row's ratings and, if `overall` is given, their deviation."""

    overall: float | None

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        mean, spread = means_and_spreads(tiles.strip(), self.overall or 1.0)
        return {"bias": mean} | ({} if self.overall is None else {"spread": spread}), {}


@dataclass(frozen=True)
class _PredictPairs:
    model: KNN
    pairs: TileSet

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        pairs = RowTiles("user", strips.block, self.pairs, strips.store).strip()
        found = [np.empty(0)]
        rule = self.model.rule(of_lists=False)
        for chunk, scores in _in_chunks(self.model, rule, rows, strips):
            wanted = pairs.take(chunk)
            found.append(scores[wanted.rows, wanted.indices])
        prediction = np.concatenate(found)
        return {"prediction": np.where(prediction > -np.inf, prediction, np.nan)}


@dataclass(frozen=True)
class _RankItems:
    model: KNN
    n: int
    eligible: Array | None

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        scores = _in_chunks(self.model, self.model.rule(of_lists=True), rows, strips)
        return best_of_chunks(scores, strips.own(), self.n, self.eligible).arrays()


@dataclass(frozen=True)
class _Explain:
    model: KNN
    lists: Blocks

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:
        lists = RankedLists.from_arrays(strips.store.get(self.lists.references[strips.block]))
        rule = self.model.rule(of_lists=True)
        reason = np.full((*lists.indices.shape, MOST_REASONS), NOBODY, np.int32)
        users, ranks = np.nonzero(lists.indices != NOBODY)
        items = lists.indices[users, ranks]
        of_users = self.model.side == "user"
        if of_users:
            neighbors = Neighbors.from_arrays(rows)
            who, ratings = ratings_of_neighbors(neighbors, strips)
        else:
            neighbors, ratings = self.model.all_neighbors(strips), strips.own()
            who = np.empty(0, np.int64)
        for start in range(0, len(users), _EXPLAINED):
            some = slice(start, start + _EXPLAINED)
            user, item = users[some, None], items[some, None]
            near = neighbors.take((user if of_users else item)[:, 0])
            cells = (np.searchsorted(who, near.indices), item) if of_users else (user, near.indices)
            told_of = np.where(near.indices == NOBODY, np.nan, ratings_at(ratings, *cells))
            reason[users[some], ranks[some]] = contributors(near, told_of, MOST_REASONS, rule)
        return {"reason": reason}


def _in_chunks(
    model: KNN, rule: Rule, rows: Arrays, strips: Strips
) -> Iterator[tuple[Array, Array]]:
    """Yield (rows of the user block, their scores (rows, items)) a chunk at a time; -inf: none."""
    layout = strips.tiles.layout
    expected = model.expectation(strips.store, layout, rule)
    users = layout.indices("user", strips.block)
    lent = _by_users if model.side == "user" else _by_items
    left_of, right = lent(model, rule, expected, rows, strips)
    step = max(1, _CELLS // max(1, layout.n_items))
    for start in range(0, len(users), step):
        chunk = np.arange(start, min(start + step, len(users)))
        q = answers(left_of(chunk), right, rule)
        row, items = np.repeat(np.arange(len(chunk)), np.diff(q.indptr)), q.indices
        whose = users[chunk][row]
        pairs = (whose, items) if model.side == "user" else (items, whose)
        scores = np.full((len(chunk), layout.n_items), -np.inf)
        scores[row, items] = np.nan_to_num(expected.ratings(q.data, *pairs), nan=-np.inf)
        yield chunk, scores


_Factors = tuple["Callable[[Array], csr_array]", "csr_array"]


def _by_users(
    _model: KNN,
    rule: Rule,
    expected: Expectation,
    rows: Arrays,
    strips: Strips,
) -> _Factors:
    """Weights of a chunk of users' neighbors, times what those rated."""
    neighbors = Neighbors.from_arrays(rows)
    who, ratings = ratings_of_neighbors(neighbors, strips)
    z = expected.deviations(ratings.values, who[ratings.rows], ratings.indices)
    return lambda chunk: weight_matrix(neighbors, chunk, who, rule), told(ratings, z)


def _by_items(
    model: KNN,
    rule: Rule,
    expected: Expectation,
    _rows: Arrays,
    strips: Strips,
) -> _Factors:
    """What a chunk of users rated, times the weights of those items as neighbors of all items."""
    layout = strips.tiles.layout
    everything = np.arange(layout.n_items)
    weights = weight_matrix(model.all_neighbors(strips), everything, everything, rule).T.tocsr()
    own: Tile = strips.own()
    users = layout.indices("user", strips.block)
    z = expected.deviations(own.values, own.indices, users[own.rows])
    ratings = told(own, z)
    return lambda chunk: ratings[chunk], weights
