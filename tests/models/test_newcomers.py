"""New users taken in by what a run published: the lists of the grid, and of plain sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfspark.config.models import ModelName, Models
from mfspark.errors import NotFoundError
from mfspark.grid.training import Checkpoint
from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.models import newcomers
from mfspark.models.in_process import context_in_process
from mfspark.models.newcomers import Newcomers, model_for, models_that_can
from mfspark.models.registry import fold_in
from mfspark.storage.posix import PosixStorage
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made
from tests.support.fitted_run import FittedRun, item_id, publish_fits
from tests.support.grids import Fitted, Ratings, cut, stars
from tests.support.reference import ials_rows, ridge_rows

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
def test_a_list_is_the_same_whoever_else_comes(
    fitted: FittedRun, name: ModelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Newcomers.of(fitted.run, name)
    tile = known_to(taken, NEW).tile
    together = lists_of(taken, tile)
    rtol = 2.0**-22 if name in ("als", "ials") else 0.0  # batches of other shapes round otherwise
    for row in range(tile.n_rows):
        rated = tile.indices[tile.indptr[row] : tile.indptr[row + 1]]
        alone = Newcomers.of(fitted.run, name, rated.astype(np.int64)) if row < 5 else taken
        one = lists_of(alone, tile.take(np.array([row])))
        np.testing.assert_array_equal(one.indices[0], together.indices[row])
        np.testing.assert_allclose(one.scores[0], together.scores[row], rtol)
    monkeypatch.setattr(newcomers, "USERS_AT_ONCE", 7)
    for threads in (1, 3):
        parts = lists_of(taken, tile, threads=threads)
        np.testing.assert_array_equal(parts.indices, together.indices)
        np.testing.assert_allclose(parts.scores, together.scores, rtol)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_dense_formulas(fitted: FittedRun, name: ModelName) -> None:
    """One user after the other, by what the run published, in float64."""
    taken = Newcomers.of(fitted.run, name)
    ratings = known_to(taken, NEW)
    found, expected = lists_of(taken, ratings.tile), dense_scores(fitted, name, ratings.dense)
    chosen = np.nan_to_num(ratings.dense) >= CHOICES_FROM
    for user in np.flatnonzero(chosen.any(axis=1)):
        scores = np.where(np.isnan(ratings.dense[user]) & taken.knows, expected[user], -np.inf)
        if name in ("slim", "ease", "item_knn"):
            scores[scores == 0] = -np.inf  # nothing speaks for it
        best = np.sort(scores[scores > -np.inf])[::-1][:10]
        if not len(best):
            continue
        listed = found.indices[user] != NOBODY
        shown = np.clip(best, 0.5, 5.0) if name == "als" else best
        np.testing.assert_allclose(found.scores[user][listed], shown, atol=2e-4)
        items = found.indices[user][listed]
        np.testing.assert_allclose(scores[items], best, atol=2e-4)


def dense_scores(fitted: FittedRun, name: ModelName, R: Array) -> Array:
    """Return the scores of all items for each row of ratings, NaN where not rated."""
    run, n_items = fitted.run, KNOWN.n_items
    place = {item_id(i): i for i in range(n_items)}
    chosen = np.nan_to_num(R) >= CHOICES_FROM
    if name in ("slim", "ease"):
        W = np.zeros((n_items, n_items))
        for row in run.rows("from {item_weights} where model = ?", name):
            W[place[row["item_id"]], place[row["target_item_id"]]] = row["weight"]
        return chosen @ W
    if name == "item_knn":
        S = np.zeros((n_items, n_items))
        for row in run.rows("from {item_neighbors}"):
            S[place[row["neighbor_item_id"]], place[row["item_id"]]] = max(0, row["similarity"])
        return np.where(chosen, R, 0.0) @ S
    rows = {
        place[row["item_id"]]: row for row in run.rows("from {item_factors} where model = ?", name)
    }
    Y = np.array([rows[i]["factors"] for i in range(n_items)], np.float64)
    tiles, options = fitted.models[name].grid.tiles, Models.model_validate(OPTIONS | {"run": NAMES})
    if name == "ials":
        known = Y.any(axis=1)
        W = np.where(chosen, options.ials.alpha * np.nan_to_num(R) / tiles.unit, 0.0)
        return ials_rows(W[:, known], Y[known], options.ials.reg, options.ials.alpha)[0] @ Y.T
    bias = np.array([rows[i]["bias"] for i in range(n_items)], np.float64)
    penalty = options.als.penalty(tiles.n_ratings)
    features = np.column_stack([Y / tiles.std**0.5, np.ones(n_items)])
    targets = (R - tiles.mean - bias) / tiles.std
    given = penalty.reg, penalty.prior_count, options.als.damping
    weights = ridge_rows(targets, features, *given)[0]
    return tiles.mean + bias + tiles.std * (weights @ features.T)


def test_the_model_that_is_served_takes_in_users_or_the_best_that_can(
    fitted: FittedRun, tmp_path: Path
) -> None:
    assert models_that_can(fitted.run) == list(NAMES)  # nothing was measured: as they were run
    names: tuple[ModelName, ...] = ("svd", "item_knn", "ials", "slim", "popularity")
    served = {"ials": 0.2, "slim": 0.3}
    run_id = made.publish_run(tmp_path, models={"run": names}, ndcg=served, served="item_knn")
    run = PublishedRun(tmp_path, run_id)
    run.manifest.metrics.extend(
        {"model": name, "metric": "ndcg", "value": value} for name, value in served.items()
    )
    assert models_that_can(run) == ["item_knn", "slim", "ials"]
    assert model_for(run, None) == "item_knn"
    assert model_for(run, "ials") == "ials"
    by_rating = {"run": names, "item_knn": {"rank_by": "rating"}}
    other = PublishedRun(tmp_path, made.publish_run(tmp_path, mark=1, models=by_rating))
    with pytest.raises(NotFoundError, match=r"'item_knn' cannot take in new users\n.*ials, slim"):
        model_for(other, "item_knn")


def test_a_run_without_a_model_that_can_says_which_could(tmp_path: Path) -> None:
    run = PublishedRun(tmp_path, made.publish_run(tmp_path, models={"run": ("svd",)}))
    with pytest.raises(NotFoundError, match="item_knn or als or ials or slim or ease, run one"):
        model_for(run, None)


def test_lists_hold_what_the_night_s_lists_may(tmp_path: Path) -> None:
    few: tuple[ModelName, ...] = ("ials", "slim")
    allowed = [item_id(i) for i in (3, 4, 5)]
    publish = {"allow_items": [*allowed, "Nosuch"]}
    limited = publish_fits(tmp_path, KNOWN, few, OPTIONS, CHOICES_FROM, publish=publish)
    for name in few:
        taken = Newcomers.of(limited.run, name)
        found = lists_of(taken, known_to(taken, NEW).tile, n=5)
        assert set(np.unique(found.indices).tolist()) == {NOBODY, 3, 4, 5}
        unrated = np.isnan(known_to(taken, NEW).dense[:, 3:6]).sum(axis=1)
        assert (found.lengths <= unrated).all()
        assert name == "slim" or (found.lengths == unrated).all()


def test_a_user_of_no_choice_and_one_of_no_weight_get_what_is_popular(fitted: FittedRun) -> None:
    taken = Newcomers.of(fitted.run, "slim")
    alone = int(np.flatnonzero(taken.knows)[0])
    rows, items = np.array([0, 1]), np.array([alone, alone])
    tile = Tile.from_triples(rows, items, np.array([1.0, 5.0]), 2, KNOWN.n_items)
    (found,) = taken.lists(tile, 3)
    assert found.by_popularity.tolist() == [True, False]
    counts = np.bincount(KNOWN.items[KNOWN.values >= CHOICES_FROM], minlength=KNOWN.n_items)
    counts[alone] = -1
    assert found.lists.indices[0].tolist() == np.argsort(-counts, kind="stable")[:3].tolist()


def test_ratings_are_brought_into_the_scale_after_they_were_ranked(fitted: FittedRun) -> None:
    """Clamped first, all would be 5 and stand in the order of their indices."""
    taken = Newcomers.of(fitted.run, "als")
    rated = np.flatnonzero(taken.knows)[:3]
    tile = Tile.from_triples(np.zeros(3, int), rated, np.full(3, 500.0), 1, KNOWN.n_items)
    (found,) = taken.lists(tile, 10)
    best = found.lists.indices[0][found.lists.scores[0] == 5.0].tolist()
    assert found.lists.scores.max() == 5.0
    assert len(best) > 2
    assert best != sorted(best)
