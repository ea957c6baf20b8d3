"""New users taken in by what a run published: the lists of the grid, whoever else comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.grid.training import Checkpoint
from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.models import newcomers
from mfspark.models.in_process import context_in_process
from mfspark.models.newcomers import Newcomers
from mfspark.models.registry import fold_in
from mfspark.storage.posix import PosixStorage
from tests.support.fitted_run import FittedRun, publish_fits
from tests.support.grids import Fitted, Ratings, cut, stars

NAMES: tuple[ModelName, ...] = ("als", "ials", "slim", "ease", "item_knn")
OPTIONS: dict[str, dict[str, Any]] = {
    "als": {"rank": 4, "max_iter": 6},
    "ials": {"rank": 5, "max_iter": 6},
    "slim": {"l1": 0.2, "l2": 2.0},
    "ease": {"l2": 5.0},
    "item_knn": {"num_neighbors": 8},
}
CHOICES_FROM = 3.5
KNOWN = stars(5, 120, 40, 0.2).widened(0, 2)
"""Two items have no ratings."""
NEW = stars(6, 60, 40, 0.15).widened(0, 2)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("fitted")
    return publish_fits(folder, KNOWN, NAMES, OPTIONS, CHOICES_FROM)


def known_to(taken: Newcomers, ratings: Ratings) -> Ratings:
    return ratings.take(taken.knows[ratings.items])


def lists_of(taken: Newcomers, tile: Tile, n: int = 10, threads: int = 1) -> RankedLists:
    return RankedLists.stacked([found.lists for found in taken.lists(tile, n, threads)])


@pytest.mark.parametrize("name", NAMES)
def test_lists_are_those_of_the_grid_that_the_model_was_fitted_on(
    fitted: FittedRun, name: ModelName, tmp_path: Path
) -> None:
    taken = Newcomers.of(fitted.run, name)
    ratings, before = known_to(taken, NEW), fitted.models[name]
    tiles = cut(ratings, 2, 2, "new", before.grid.store).with_facts_of(before.grid.tiles)
    layout = replace(before.grid.layout, n_users=ratings.n_users)
    assert tiles.layout == layout
    context = context_in_process(
        taken.options,
        tiles,
        before.grid.store,
        Checkpoint(PosixStorage(str(tmp_path)), "x.json", "x"),
        name=f"new-{name}",
        choices_from=CHOICES_FROM,
    )
    model = fold_in(name, context, taken.options, before.model)
    expected = Fitted(model, context.grid).ranked(10)
    found = lists_of(taken, ratings.tile)
    listed = expected[0] != NOBODY
    own = listed.any(axis=1)  # who gets popularity's list has none on the grid
    np.testing.assert_array_equal(found.indices[own], expected[0][own])
    shown = np.clip(expected[1], 0.5, 5.0) if name == "als" else expected[1]
    np.testing.assert_allclose(found.scores[listed], shown[listed], atol=2e-6)
    assert own.sum() > 50
    assert listed.sum() > 300


@pytest.mark.parametrize("name", NAMES)
def test_a_list_has_the_same_bits_whoever_else_comes(
    fitted: FittedRun, name: ModelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Newcomers.of(fitted.run, name)
    tile = known_to(taken, NEW).tile
    together = lists_of(taken, tile)
    for row in range(tile.n_rows):
        rated = tile.indices[tile.indptr[row] : tile.indptr[row + 1]]
        alone = Newcomers.of(fitted.run, name, rated.astype(np.int64)) if row < 5 else taken
        one = lists_of(alone, tile.take(np.array([row])))
        np.testing.assert_array_equal(one.indices[0], together.indices[row])
        np.testing.assert_array_equal(one.scores[0], together.scores[row])
    monkeypatch.setattr(newcomers, "USERS_AT_ONCE", 7)
    for threads in (1, 3):
        parts = lists_of(taken, tile, threads=threads)
        np.testing.assert_array_equal(parts.indices, together.indices)
        np.testing.assert_array_equal(parts.scores, together.scores)
