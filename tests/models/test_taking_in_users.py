"""Users who came after training: what a fitted model says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfspark.config.models import ModelName, Models
from mfspark.grid.training import Checkpoint
from mfspark.models.factor_model import FactorModel
from mfspark.models.in_process import context_in_process
from mfspark.models.registry import MODELS, fold_in, folds_in
from mfspark.storage.posix import PosixStorage
from tests.support.contract import RATINGS
from tests.support.grids import Array, Fitted, Ratings, cut, fitter, whole
from tests.support.reference import ials_rows, ridge_rows

OLD = RATINGS.users % 3 != 0
"""Ratings of the users whom the model is fitted on; the other third comes later."""


def taken_in(folder: Path, name: ModelName, blocks: int, **options: Any) -> tuple[Fitted, Fitted]:
    """Return the model fitted on some users, and the one with the others in their place."""
    models = Models().changed(name, options)
    old, new = RATINGS.take(OLD), RATINGS.take(~OLD)
    fitted = fitter(folder, name, models)(old, blocks)
    store, theirs = fitted.grid.store, fitted.grid.tiles
    tiles = cut(new, blocks, blocks, "new", store).with_facts_of(theirs)
    checkpoint = Checkpoint(PosixStorage(str(folder)), "new.json", "new")
    context = context_in_process(models, tiles, store, checkpoint, name="taken-in")
    model = fold_in(name, context, models, fitted.model)
    return fitted, Fitted(model, fitted.grid.over(tiles))


def factors(fitted: Fitted, array: str = "factors") -> tuple[Array, Array]:
    model = fitted.model
    assert isinstance(model, FactorModel)
    return whole(fitted.grid, model.user, array), whole(fitted.grid, model.item, array)


@pytest.mark.parametrize("blocks", [1, 3])
def test_ials_solves_for_them_over_all_cells(tmp_path: Path, blocks: int) -> None:
    options: dict[str, Any] = {"rank": 4, "max_iter": 6, "alpha": 5.0, "by_rating": False}
    fitted, new = taken_in(tmp_path, "ials", blocks, **options)
    X, Y = factors(new)
    np.testing.assert_array_equal(Y, factors(fitted)[1])
    W = np.where(np.nan_to_num(RATINGS.take(~OLD).dense) > 0, 5.0, 0.0)
    known = Y.any(axis=1)  # cells of items that nobody had chosen count for nothing
    expected, _ = ials_rows(W[:, known], Y[known].astype(np.float64), 0.03, 5.0)
    expected[W.sum(1) == 0] = 0
    np.testing.assert_allclose(X, expected, atol=2e-4)
    assert not X[np.unique(RATINGS.users[OLD])].any()  # who is not asked about


@pytest.mark.parametrize("blocks", [1, 3])
def test_als_solves_for_them_in_the_unit_of_its_training(tmp_path: Path, blocks: int) -> None:
    fitted, new = taken_in(tmp_path, "als", blocks, rank=3, max_iter=6, reg=0.1, prior_count=5.0)
    (X, Y), (b, c) = factors(new), factors(new, "bias")
    tiles = fitted.grid.tiles
    R = (RATINGS.take(~OLD).dense - tiles.mean - c[None, :]) / tiles.std
    features = np.column_stack([Y / tiles.std**0.5, np.ones(len(Y))]).astype(np.float64)
    expected, _ = ridge_rows(R, features, 0.1, 5.0, last_damping=2.0)
    np.testing.assert_allclose(X, expected[:, :-1] * tiles.std**0.5, atol=1e-4)
    np.testing.assert_allclose(b, expected[:, -1] * tiles.std, atol=1e-4)


@pytest.mark.parametrize("name", ["ials", "als", "item_knn"])
def test_a_user_who_was_there_gets_the_list_they_had(tmp_path: Path, name: ModelName) -> None:
    """With all iterations done, taking in somebody who was fitted changes nothing."""
    options: dict[str, Any] = {} if name == "item_knn" else {"rank": 3, "max_iter": 150, "tol": 0}
    models = Models().changed(name, options)
    fitted = fitter(tmp_path, name, models)(RATINGS, 2)
    checkpoint = Checkpoint(PosixStorage(str(tmp_path)), "new.json", "new")
    grid = fitted.grid
    context = context_in_process(models, grid.tiles, grid.store, checkpoint, name="taken-in")
    again = Fitted(fold_in(name, context, models, fitted.model), grid)
    np.testing.assert_allclose(again.ranked(3)[1], fitted.ranked(3)[1], atol=5e-3)


def test_who_takes_in_users_is_known() -> None:
    able = {name for name in MODELS if folds_in(name, Models())}
    assert able == {"popularity", "item_knn", "als", "ials", "slim", "ease"}
    by_rating = Models().changed("item_knn", {"rank_by": "rating"})
    assert not folds_in("item_knn", by_rating)


def test_the_others_are_asked_in_vain(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="svd"):
        taken_in(tmp_path, "svd", 1, rank=3)


def test_nobody_with_ratings_is_left_without_a_list(tmp_path: Path) -> None:
    _, new = taken_in(tmp_path, "ials", 2, rank=4, max_iter=4)
    lists = new.lists(3)
    asked = set(np.unique(RATINGS.users[~OLD]).tolist())
    assert {user for user, items in enumerate(lists) if items} == asked
    seen = Ratings.take(RATINGS, ~OLD).dense
    assert all(np.isnan(seen[u, i]) for u, items in enumerate(lists) for i in items)
