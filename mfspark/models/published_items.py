"""The items of a published run as arrays, and what it published of them: what takes in new users.

Arrays are in the order of the items' indices, so that of equal scores the same item comes first as
in the lists of the night.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mfspark.config.models import ModelName
from mfspark.grid.block_store import BlockStore
from mfspark.grid.layout import Blocks, TileSet
from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.models.published_facts import PublishedChoices, fitted_ratings
from mfspark.tables.run import PublishedRun

_PLACES = """with places as (
    select item_id, row_number() over (order by item_idx, item_id) - 1 as n from {items})"""


def put_items(store: BlockStore, arrays: Arrays) -> Blocks:
    """Put what was published of all items into a store, as the one block of a model."""
    blocks = Blocks.named("item", "published", 1)
    store.put(blocks.references[0], arrays)
    return blocks


@dataclass(frozen=True)
class PublishedPairs:
    """What a table says of pairs of items, by their places: int64, int64 and floats, (n) each."""

    items: Array
    others: Array
    values: Array
    known: Array
    """Which items it names at all, bool (items)."""


@dataclass(frozen=True)
class PublishedItems:
    """The items of a run. The tables of a model are read anew by each question."""

    run: PublishedRun
    rated: Array | None = None
    """Items int (m) that are all that anybody has rated: only what they say is read. None: all."""

    @cached_property
    def ids(self) -> list[int | str]:
        """The ids, in the type of the run."""
        return self._items["item_id"].tolist()

    @cached_property
    def titles(self) -> list[str | None]:
        """The titles."""
        return np.ma.asarray(self._items["title"]).tolist()

    @cached_property
    def choices(self) -> PublishedChoices:
        """What the run took for a choice."""
        return PublishedChoices.of(self.run)

    @cached_property
    def fitted(self) -> TileSet:
        """The facts of the ratings that the models were fitted on."""
        return fitted_ratings(self.run)

    @property
    def n_ratings(self) -> Array:
        """Ratings of each item, int64 (items)."""
        return self._items["n_ratings"]

    def __len__(self) -> int:
        return len(self.n_ratings)

    @cached_property
    def place(self) -> dict[int | str, int]:
        """The place of each id among the items."""
        return {key: place for place, key in enumerate(self.ids)}

    @cached_property
    def listable(self) -> Array | None:
        """Which items lists may hold (publish.allow_items, deny_items), bool (items); None: all."""
        options = self.run.manifest.config["publish"]
        allowed, denied = (set(options.get(f"{name}_items", ())) for name in ("allow", "deny"))
        if not allowed and not denied:
            return None
        names = [str(key) for key in self.ids]
        return np.array([(not allowed or i in allowed) and i not in denied for i in names], bool)

    def factors(self, model: ModelName) -> Arrays:
        """Return the factor block of a model; n is 0 where it knows nothing of an item."""
        rows = self.run.arrays(
            f"{_PLACES} select n, bias, factors from {{item_factors}} join places using (item_id)"
            " where model = ?",
            model,
        )
        places, found = rows["n"], rows["factors"].tolist()
        factors = np.zeros((len(self), len(found[0]) if found else 0), np.float32)
        bias = np.zeros(len(self), np.float32)
        if found:
            factors[places], bias[places] = np.stack(found), rows["bias"]
        known = factors.any(axis=1) | (bias != 0)  # rows that were never fitted are zeros
        n = np.where(known, np.maximum(self.n_ratings, 1), 0)
        return {"factors": factors, "bias": bias, "n": n}

    def weights(self, model: ModelName) -> PublishedPairs:
        """Return what a choice of each item says for others; float32."""
        return self._pairs("item_weights", "target_item_id", "weight", "item_id", model)

    def neighbors(self) -> PublishedPairs:
        """Return the neighbors of each item, the nearest first, and their similarity; float64."""
        return self._pairs("item_neighbors", "neighbor_item_id", "similarity", "neighbor_item_id")

    def _pairs(
        self, table: str, other: str, value: str, rated: str, model: ModelName | None = None
    ) -> PublishedPairs:
        """Read a table of pairs of items; the column `rated` is of those that users rated."""
        of_model, given = ("where model = ?", [model]) if model else ("", [])
        source = f"(select * from {{{table}}} {of_model})"
        joined = (
            f"from {source} w join places i using (item_id) join places o on o.item_id = {other}"
        )
        side = "o.n" if rated == other else "i.n"
        order = "order by item, rank" if value == "similarity" else ""
        rows = self.run.arrays(
            f"{_PLACES} select i.n as item, o.n as other, {value} as value {joined}"
            f" where {self._only(side)} {order}",
            *given,
        )
        known = np.zeros(len(self), bool)
        if self.rated is None:
            known[rows["item"]], known[rows["other"]] = True, True
        else:
            every = f"select i.n {joined} union select o.n {joined}"
            known[self.run.arrays(f"{_PLACES} {every}", *given, *given)["n"]] = True
        return PublishedPairs(rows["item"], rows["other"], rows["value"], known)

    def _only(self, column: str) -> str:
        """Return the condition that a column of places is among what anybody has rated."""
        if self.rated is None:
            return "true"
        return f"{column} in ({', '.join(map(str, self.rated.tolist())) or 'null'})"

    @cached_property
    def _items(self) -> Arrays:
        return self.run.arrays(
            "select item_id, title, coalesce(n_ratings, 0) as n_ratings from {items}"
            " order by item_idx, item_id"
        )
