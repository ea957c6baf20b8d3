"""The served list made more varied: by what its items are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.errors import ConfigError
from mfspark.grid.block_store import BlockStore
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.lists.genres import genre_rows, unit_rows
from mfspark.kernels.lists.reranking import Variety, chosen_places
from mfspark.models.records import Subset

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.dataset import Dataset
    from mfspark.pipeline.fits import Fits


@dataclass(frozen=True)
class Reranker:
    """Chooses the entries of a list among more candidates."""

    variety: Variety
    n_candidates: int
    items: str
    """Reference of a block: vectors float32 (items, d), and genres bool (items, G)."""

    def places(self, store: BlockStore, lists: RankedLists, n: int) -> np.ndarray:
        """Return which n places of each list are taken, in this order; NOBODY where it ends."""
        items = store.get(self.items)
        return chosen_places(lists, n, self.variety, items["vectors"], items["genres"])


def genres_of(dataset: Dataset) -> np.ndarray:
    """Collect which genres each item has, bool (items, G)."""
    rows = dataset.columns("items", "item_idx", "genres").sort_by("item_idx")
    return genre_rows(rows["genres"].to_pylist())


def check_variety(dataset: Dataset) -> None:
    """Raise ConfigError where genres are asked for and no item has any."""
    options = dataset.context.config.publish
    by_genres = options.variety > 0 and options.variety_by == "genres"
    if not options.max_per_genre and not by_genres:
        return
    if not any(dataset.columns("items", "genres")["genres"].to_pylist()):
        what = "max_per_genre" if options.max_per_genre else 'variety_by = "genres"'
        raise ConfigError(
            f"publish.{what} needs genres, and no item has any",
            "name a file with genres (--items), or leave the option out",
        )


def reranker_of(fits: Fits, name: ModelName, subset: Subset, n: int) -> Reranker | None:
    """Return what chooses the n entries that are served of a model; None where nothing does."""
    options, store = fits.context.config.publish, fits.context.store
    if not options.reranks:
        return None
    genres = genres_of(fits.dataset)
    items = f"{subset}/{name}/variety/items"
    nothing = np.zeros((len(genres), 0), np.float32)
    vectors = _vectors(fits, name, subset, genres) if options.variety else nothing
    limited = genres if options.max_per_genre else nothing.astype(bool)
    store.put(items, {"vectors": vectors, "genres": limited})
    variety = Variety(options.variety, options.max_per_genre)
    return Reranker(variety, max(n, options.variety_from), items)


def _vectors(fits: Fits, name: ModelName, subset: Subset, genres: np.ndarray) -> np.ndarray:
    """Return what items are alike by, rows of length 1: factors of the model, or genres."""
    by, model = fits.context.config.publish.variety_by, fits.model(name, subset)
    if by != "genres" and (able := model.factors):
        blocks = able.blocks("item")
        factors = blocks.gathered(fits.context.store, fits.dataset.layout, "factors")
        if factors.shape[1]:  # averages have none
            return unit_rows(factors)
    if by != "factors" and genres.any():
        return unit_rows(genres)
    lacks = "" if by == "factors" else ", and no item has genres"
    raise ConfigError(
        f"the lists of {name} are served, which has no factors{lacks}: publish.variety has nothing "
        "to tell items apart by",
        "serve a model with factors (serving.model), name a file with genres (--items) with "
        'publish.variety_by = "auto", or set publish.variety = 0',
    )
