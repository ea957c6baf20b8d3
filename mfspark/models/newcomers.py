"""Users who came after a night, taken in by a model that it published: one of them, or millions.

What the night published of a model is read once, into one block of items. Some users at a time
become a grid of one block in memory, which the model takes in (`registry.fold_in`) and ranks for as
for any other: lists are those of the same kernels as the night's. Where the model has nothing to
say of what somebody rated, the list is popularity's, as the night fills its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.config.models import ModelName, Models, PopularityOptions
from mfspark.errors import NotFoundError
from mfspark.evaluation.catalog import NDCG
from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.layout import GridLayout, TileSet
from mfspark.grid.training import Checkpoint
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, top_up
from mfspark.models.base import Model
from mfspark.models.in_process import context_in_process
from mfspark.models.published_facts import options_of, scale_of
from mfspark.models.published_items import PublishedItems
from mfspark.models.records import SERVING
from mfspark.models.registry import MODELS, fold_in, folds_in, of_published
from mfspark.schemas import IdTypes, new_lists_schema
from mfspark.storage.posix import PosixStorage
from mfspark.tables.run import PublishedRun

POPULARITY: ModelName = "popularity"
UNKNOWN_ITEM = "unknown_item"
"""Why a rating is left out whose item the model does not know."""
USERS_AT_ONCE = 4096
"""Users that are taken in together: enough that what a block of items costs is shared."""
_AGE = "date_diff('minute', coalesce(rated_at, oldest), newest)"
_NOWHERE = Checkpoint(PosixStorage("."), "", "")  # nothing is trained


@dataclass(frozen=True)
class NewLists:
    """Lists of some new users."""

    first: int
    """The row of the first of them."""
    lists: RankedLists
    """Items by their place, with scores as they are published."""
    by_popularity: Array
    """Whose list is popularity's, bool (users)."""


@dataclass(frozen=True)
class Newcomers:
    """Takes in users by one published model."""

    name: ModelName
    items: PublishedItems
    options: Models
    model: Model
    """Without users."""
    knows: Array
    """Which items the model knows something of, bool (items)."""
    store: BlockStore
    """Where its blocks are."""

    @classmethod
    def of(
        cls, run: PublishedRun, model: str | None = None, rated: Array | None = None
    ) -> Newcomers:
        """Read what a run published of a model; see `model_for` where none is named.

        rated: places int (m) of the items that are all that anybody has rated, so that less is
        read; None: any. Raises NotFoundError where the run has no model that can do it.
        """
        name = model_for(run, model)
        items, options, store = PublishedItems(run, rated), options_of(run, name), MemoryStore()
        fitted, knows = of_published(name, items, options, store)
        return cls(name, items, options, fitted, knows, store)

    def places(self, ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Return the places of items, int64, by ids of the type of the run.

        -1 where there is no such item, or the model knows nothing of it.
        """
        known = np.flatnonzero(self.knows)
        found = pc.index_in(ids, self._named[0].take(pa.array(known)))
        return pc.fill_null(pc.take(pa.array(known, pa.int64()), found), -1)

    def lists(self, ratings: Tile, n: int, threads: int = 1) -> Iterator[NewLists]:
        """Yield the n best items for each row of a tile, some rows at a time, in order.

        ratings: users x items, of items that the model knows. What was rated is left out, and what
        no list may hold. A list is the same whoever else is taken in, but for the last bit of
        scores of factors, which are solved for in batches. Each thread holds what `USERS_AT_ONCE`
        users take; torch has to be kept to one thread a kernel.
        """
        starts = range(0, ratings.n_rows, USERS_AT_ONCE)

        def some(start: int) -> NewLists:
            rows = np.arange(start, min(start + USERS_AT_ONCE, ratings.n_rows))
            return self._lists(start, ratings.take(rows), n)

        if threads == 1 or len(starts) == 1:
            yield from map(some, starts)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="fold-in") as pool:
            yield from pool.map(some, starts)

    def rows(self, found: NewLists, user_ids: pa.Array) -> pa.RecordBatch:
        """Return lists as rows of `schemas.new_lists_schema`; user_ids: those of the lists' users.

        The model of a row is popularity where the list is popularity's.
        """
        users, ranks = np.nonzero(found.lists.indices != NOBODY)
        items = pa.array(found.lists.indices[users, ranks])
        ids, titles = self._named
        models = pc.if_else(pa.array(found.by_popularity[users]), POPULARITY, self.name)
        return pa.record_batch(
            [
                user_ids.take(pa.array(users)),
                pa.array((ranks + 1).astype(np.int32)),
                ids.take(items),
                pa.array(found.lists.scores[users, ranks]),
                models,
                titles.take(items),
            ],
            names=new_lists_schema(IdTypes()).names,
        )

    def _lists(self, first: int, ratings: Tile, n: int) -> NewLists:
        store, name = MemoryStore(behind=self.store), "new"
        layout = GridLayout(ratings.n_rows, ratings.n_columns, 1, 1)
        tiles = replace(self._fitted, name=name, layout=layout)
        store.put(tiles.strip("user", 0), ratings.arrays())
        context = context_in_process(
            self.options, tiles, store, _NOWHERE, name=name, choices_from=self.items.choices.least
        )
        model = fold_in(self.name, context, self.options, self.model)
        ranked = model.recommend(context.grid, n, f"{name}/lists", self.items.listable)
        lists = RankedLists.from_arrays(ranked.read(store))
        if model.list_kind == "rating":  # after ranking: what lies beyond the scale is not alike
            shown = np.where(lists.indices == NOBODY, -np.inf, self._scale.adjust(lists.scores))
            lists = RankedLists(lists.indices, shown)
        empty = np.flatnonzero(lists.lengths == 0)
        if len(empty):
            popular = self._popular(ratings.take(empty), n)
            lists.indices[empty], lists.scores[empty] = popular.indices, popular.scores
        by_popularity = np.zeros(ratings.n_rows, bool)
        by_popularity[empty] = lists.lengths[empty] > 0
        return NewLists(first, lists, by_popularity)

    def _popular(self, ratings: Tile, n: int) -> RankedLists:
        order, chosen = self._popularity
        nobody = RankedLists.empty(ratings.n_rows, n)
        return top_up(nobody, ratings, order, np.zeros(ratings.n_rows), chosen)[0]

    @property
    def _popularity(self) -> tuple[Array, Array]:
        """Rated items by how often they were chosen, and how often that is, float64 (items)."""
        with _COUNTED:
            return self._counted

    @cached_property
    def _counted(self) -> tuple[Array, Array]:
        chosen, listed = _times_chosen(self.items), self.items.n_ratings > 0
        if self.items.listable is not None:
            listed &= self.items.listable
        order = np.argsort(-chosen, kind="stable")
        return order[listed[order]], chosen

    @cached_property
    def _named(self) -> tuple[pa.Array, pa.Array]:
        kind = pa.int64() if self.items.run.manifest.ids.item == "integer" else pa.string()
        return pa.array(self.items.ids, kind), pa.array(self.items.titles, pa.string())

    @cached_property
    def _fitted(self) -> TileSet:
        fitted = self.items.fitted
        if self.items.choices.in_stars and self.options.of(self.name).ranks_choices:
            return replace(fitted, mean=1.0, variance=0.0)  # of which the unit is 1
        return fitted

    @cached_property
    def _scale(self) -> RatingScale:
        return scale_of(self.items.run)


_COUNTED = Lock()  # the ratings are counted once, whichever thread asks first


def _times_chosen(items: PublishedItems) -> Array:
    """Return what popularity went by, float64 (items): choices, in older versions ratings.

    One pass over table `ratings`.
    """
    run = items.run
    if "feedback" not in run.manifest.config:
        return items.n_ratings.astype(np.float64)
    least, found = items.choices.least, run.manifest.config["models"]["popularity"]
    half_life = PopularityOptions.of_run(found).half_life_days
    weight = "1" if half_life is None else f"pow(0.5, {_AGE} / 1440 / {half_life})"
    rows = run.rows(
        f"""with span as (select min(rated_at) as oldest, max(rated_at) as newest from {{ratings}})
            select item_id, sum({weight}) as n from {{ratings}}, span where rating >= ?
            group by item_id""",
        -np.inf if least is None else least,
    )
    chosen = np.zeros(len(items), np.float64)
    chosen[[items.place[row["item_id"]] for row in rows]] = [row["n"] for row in rows]
    return chosen


def models_that_can(run: PublishedRun) -> list[ModelName]:
    """Return the models of a run that can take in users, the best first.

    That is the one whose lists are served, then by NDCG, then as they were run.
    """
    able: list[ModelName] = [
        name
        for name in MODELS
        if name in run.models and folds_in(name, options_of(run, name), published=True)
    ]
    able.sort(key=lambda name: run.models.index(name))
    ndcg, champion = run.figures(NDCG.name), run.record(SERVING)
    served = champion.model if champion else None
    return sorted(able, key=lambda name: (name != served, -(ndcg.get(name) or 0.0)))


def model_for(run: PublishedRun, asked: str | None) -> ModelName:
    """Return the model that takes in users: the one asked for, or the best that can.

    Raises NotFoundError where there is none.
    """
    able = models_that_can(run)
    found: list[ModelName] = able if asked is None else [one for one in able if one == asked]
    if found:
        return found[0]
    what = f"model '{asked}'" if asked else "the run"
    others = [n for n in MODELS if (e := MODELS[n].fold_in) and e.published]
    raise NotFoundError(
        f"run {run.run_id}: {what} cannot take in new users",
        f"models that can: {', '.join(able) or ' or '.join(others) + ', run one of them'}",
    )
