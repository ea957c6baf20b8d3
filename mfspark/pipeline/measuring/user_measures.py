"""Models measured block by block: a user's test ratings, predictions and lists lie in one block.

A task measures one model for the users of one block, and keeps their numbers beside the sums that
metrics are made of; nothing is joined, and nothing is shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mfspark.evaluation.catalog import Metric, of_users
from mfspark.evaluation.metrics import (
    MetricFigure,
    Users,
    as_published,
    errors_of_users,
    figure_of,
    intervals_of_users,
    ranking_of_users,
    sums_of_users,
)
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, TileSet
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers, Tile
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.lists.figures import diversity, hits, novelty, self_information
from mfspark.kernels.lists.genres import unit_rows
from mfspark.kernels.lists.thirds import Thirds
from mfspark.pipeline.ranking.ranked import Ranked
from mfspark.pipeline.ranking.reranker import Reranker, genres_of
from mfspark.pipeline.scoring import Predicted, Predictions

if TYPE_CHECKING:
    from mfspark.pipeline.fits import Fits

BY_ACTIVITY, BY_POPULARITY = "users by activity", "items by popularity"


@dataclass(frozen=True)
class Segments:
    """Users by activity and items by popularity, thirds of each by their training ratings."""

    activity: Thirds
    popularity: Thirds
    users: Blocks
    """Of arrays `n` (rows), the training ratings of each user."""
    items: str
    """Reference of a block of what is known of items: information, genres and part."""

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Segment and part of all sums but the first, which are of everything; in order."""
        return [
            (segment, label)
            for segment, thirds in ((BY_ACTIVITY, self.activity), (BY_POPULARITY, self.popularity))
            for label in thirds.labels
        ]


def segments_of(fits: Fits) -> Segments:
    """Cut users and items of the training part into thirds, and put what is known of items."""
    store, layout = fits.context.store, fits.dataset.layout
    popularity = fits.popularity("train")
    rated, n_of_users = (
        blocks.gathered(store, layout, "n") for blocks in (popularity.item, popularity.user)
    )
    items, thirds = "measured/items", Thirds.of(rated)
    known = {
        "information": self_information(rated, int((n_of_users > 0).sum())),
        "genres": unit_rows(genres_of(fits.dataset)),
        "part": thirds.part_of(rated),
    }
    store.put(items, known)
    return Segments(Thirds.of(n_of_users), thirds, popularity.user, items)


@dataclass(frozen=True)
class MeasureUsers:
    """Measures one model, a block of users a task."""

    store: BlockStore
    test: TileSet
    """With its exact ratings."""
    relevant_from: float
    k: int
    segments: Segments
    ranked: Ranked
    predictions: Predictions | None = None
    """None where ratings are not measured."""
    reranker: Reranker | None = None

    def __call__(self, block: int) -> tuple[Users, Array, Array]:
        """Return the numbers of each user, sums by part, and which items are in a list.

        Sums float64 (1 + parts, metrics, 6); bool (items).
        """
        known = self.store.get(self.segments.items)
        lists = self.ranked.indices(self.k, self.reranker, block)
        pairs = RowTiles("user", block, self.test, self.store).strip()
        actual = self.test.exact_values(self.store, block)
        predicted = self.predictions.block(block) if self.predictions else None
        judged = _Judged(lists, pairs, actual, predicted)
        users = judged.users(self.relevant_from, known)
        active = self.segments.activity.part_of(self.segments.users.read(self.store, block)["n"])
        views = [users]
        views += [
            {name: column[active == part] for name, column in users.items()}
            for part in range(len(self.segments.activity.labels))
        ]
        views += [
            judged.of_items(known["part"] == part).users(self.relevant_from, known)
            for part in range(len(self.segments.popularity.labels))
        ]
        listed = np.zeros(self.test.layout.n_items, bool)
        listed[lists[lists != NOBODY]] = True
        return users, np.stack([sums_of_users(view) for view in views]), listed


@dataclass(frozen=True)
class _Judged:
    """What one model did for the users of a block, beside what they rated."""

    lists: Array
    """int32 (users, k)."""
    pairs: Tile
    """The test part; its values do not count."""
    actual: Array
    """Ratings of the pairs, float64 (n)."""
    predicted: Predicted | None

    def of_items(self, chosen: Array) -> _Judged:
        """Return the same of some items alone, bool (items): the ranks of hits stay."""
        mask = chosen[self.pairs.indices]
        predicted = self.predicted and self.predicted.where(mask)
        there = chosen[self.lists] & (self.lists != NOBODY)
        lists = np.where(there, self.lists, np.int32(NOBODY))
        return _Judged(lists, self.pairs.where(mask), self.actual[mask], predicted)

    def users(self, relevant_from: float, known: Arrays) -> Users:
        """Return the numbers of each user, float64 (users)."""
        relevant = self.pairs.where(self.actual >= relevant_from)
        users = ranking_of_users(hits(self.lists, relevant), relevant.degrees)
        users["novelty"] = novelty(self.lists, known["information"])
        users["diversity"] = diversity(self.lists, known["genres"])
        if self.predicted:
            whose, n_users = self.pairs.rows, self.pairs.n_rows
            low, high = self.predicted.low, self.predicted.high
            users |= errors_of_users(whose, self.predicted.prediction - self.actual, n_users)
            users |= intervals_of_users(whose, low, high, self.actual, n_users)
        return users


class Measured(NamedTuple):
    """What came of measuring one model."""

    users: Blocks
    """The numbers of each user, as `evaluation.metrics.Users`."""
    sums: Array
    """float64 (1 + parts, metrics, 6): of everything, then of each of `Segments.parts`."""
    n_listed: int
    """Items that are in any list."""
    n_items: int

    def figures(self, part: int = 0) -> list[tuple[Metric, MetricFigure]]:
        """Return the metrics of everything, or of one of the parts after that."""
        return [
            (metric, figure_of(metric, sums))
            for metric, sums in zip(of_users(), self.sums[part], strict=True)
        ]

    @property
    def coverage(self) -> MetricFigure:
        """The share of all items that is in any list."""
        return MetricFigure(self.n_listed / self.n_items, None, None, self.n_items)


def measure(fits: Fits, models: Sequence[MeasureUsers], name: str) -> list[Measured]:
    """Measure models, all blocks of all of them in one pass; what it keeps lies below `name`.

    Sums are added up in the order of the blocks, so they have the same bits whoever ran the tasks.
    """
    context, layout = fits.context, fits.dataset.layout
    store, n_blocks = context.store, layout.user_blocks
    kept = [Blocks.named("user", f"{name}/{one.ranked.name}", n_blocks) for one in models]

    def task(number: int) -> Numbers:
        model, block = divmod(number, n_blocks)
        users, sums, listed = models[model](block)
        summed = {"sums": sums, "listed": np.packbits(listed)}
        store.put(kept[model].references[block], as_published(users), summed)
        return {}

    context.runner.run(len(models) * n_blocks, task, f"measure {name}")
    found: list[Measured] = []
    for blocks in kept:
        sums: Array | float = 0.0
        listed = np.zeros(-(-layout.n_items // 8), np.uint8)
        for reference in blocks.references:
            summed = store.get(reference, 1)
            sums, listed = sums + summed["sums"], listed | summed["listed"]
        n_listed = int(np.unpackbits(listed).sum())
        found.append(Measured(blocks, np.asarray(sums), n_listed, layout.n_items))
    return found
