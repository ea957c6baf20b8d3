"""A list for a user who came after the night, by what they rated; needs no Spark.

Nothing in the warehouse is changed. Many users at once: queries.fold_in_files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mfspark.errors import ConfigError
from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.newcomers import POPULARITY, Newcomers, model_for
from mfspark.models.published_facts import ingest_of
from mfspark.models.published_items import PublishedItems
from mfspark.queries.lookup import Id, as_id, check_named, look_up_item, near_items
from mfspark.tables.run import PublishedRun


@dataclass(frozen=True)
class FoldedIn:
    """The list of a new user."""

    model: str
    """Who made it: popularity where the ratings say nothing that the model goes by."""
    items: list[tuple[Id, str | None, float]]
    """Item id, title and score, the best first."""
    unknown: list[str]
    """Rated items that the model knows nothing of; they count for nothing."""
    notes: list[str]
    """What is odd about the ratings."""


def fold_in(
    run: PublishedRun,
    ratings: Mapping[str, float] | list[tuple[str, float]],
    model: str | None = None,
    n: int = 10,
) -> FoldedIn:
    """Return the n best items for somebody with these ratings by item id or exact title.

    Rated items are left out, and those that no list of the run may hold. Raises NotFoundError where
    the run has no model that can do it and for a title that several items have, ConfigError where
    no rated item is known or one is rated twice.
    """
    name = model_for(run, model)
    pairs = ratings if isinstance(ratings, list) else list(ratings.items())
    found, unknown = _found(run, PublishedItems(run).place, pairs)
    newcomers = Newcomers.of(run, name, np.array(list(found), np.int64))
    known = {place: value for place, (_, value) in found.items() if newcomers.knows[place]}
    unknown += [text for place, (text, _) in found.items() if place not in known]
    if not known:
        raise ConfigError(
            f"model '{name}' knows none of the {len(unknown)} rated items",
            f"name items by the ids or titles of table items; {near_items(run, unknown[0])}",
        )
    rated, values = np.array(list(known)), np.array(list(known.values()))
    tile = Tile.from_triples(np.zeros(len(rated), int), rated, values, 1, len(newcomers.items))
    (lists,) = newcomers.lists(tile, n)
    notes = _off_the_scale(run, pairs)
    if popular := bool(lists.by_popularity[0]):
        notes.append(_why_popular(newcomers, tile))
    ids, titles = newcomers.items.ids, newcomers.items.titles
    listed = [
        (ids[place], titles[place], score)
        for place, score in zip(
            lists.lists.indices[0].tolist(), lists.lists.scores[0].tolist(), strict=True
        )
        if place != NOBODY
    ]
    return FoldedIn(POPULARITY if popular else name, listed, sorted(unknown), notes)


def _why_popular(newcomers: Newcomers, rated: Tile) -> str:
    name, choices = newcomers.name, newcomers.items.choices
    if rated.at_least(choices.least).n_ratings:
        why = f"nothing that was chosen speaks for any item, by {name}"
    else:
        why = f"{name} goes by what was chosen, and no rating here is a choice ({choices.named})"
    return f"{why}; this is the list of popularity, as the night's own for such a user"


def _found(
    run: PublishedRun, places: Mapping[Id, int], pairs: Iterable[tuple[str, float]]
) -> tuple[dict[int, tuple[str, float]], list[str]]:
    """Return what was rated and how, by the place of the item, and what is no item of the run.

    Raises ConfigError for an item that is rated twice.
    """
    found: dict[int, tuple[str, float]] = {}
    unknown: list[str] = []
    for text, value in pairs:
        check_named("item", text)
        key = as_id(run, "item", text)
        if key not in places:  # a title, or spelled in another way
            row = look_up_item(run, text)
            key = row["id"] if row else None
        if key is None or key not in places:
            unknown.append(text)
            continue
        place = places[key]
        if place in found:
            named, before = found[place]
            twice = f"{named}={before:g} and {text}={value:g}"
            raise ConfigError(f"item {key} is rated twice: {twice}", "give each item one rating")
        found[place] = text, value
    return found, unknown


def _off_the_scale(run: PublishedRun, pairs: Iterable[tuple[str, float]]) -> list[str]:
    low, high = ingest_of(run).rating_scale
    off = ", ".join(f"{text}={value:g}" for text, value in pairs if not low <= value <= high)
    return [f"off the night's scale, {low:g} to {high:g}: {off}"] if off else []
