"""What a task measures, without Spark: the tasks run in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mfspark.config.config import Config
from mfspark.config.models import ModelName, Models
from mfspark.evaluation.catalog import NDCG, RMSE
from mfspark.grid.block_store import ParquetStore
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.pipeline.beside_nights.folds import Fold
from mfspark.pipeline.beside_nights.measure import Measure, Protocol, Task
from mfspark.storage.posix import PosixStorage
from tests.support.grids import Ratings, cut, fitter, planted
from tests.support.reference import ranking_of_user

TRAIN, HELD = planted(3, 60, 40, 1100)
K, RELEVANT = 5, 4.0
SCALE = RatingScale(1.0, 5.0)


def measure(folder: Path, *, choices_from: float | None = None) -> Measure:
    storage = PosixStorage(str(folder))
    night = SimpleNamespace(storage=storage, scratch=lambda *parts: "/".join(("scratch", *parts)))
    context = SimpleNamespace(
        config=Config(),
        store=ParquetStore(storage, "scratch/blocks"),
        runner=InProcess(),
        night=night,
    )
    protocol = Protocol(K, RELEVANT, choices_from, SCALE, seed=42, attributes={})
    return Measure(cast("Any", context), protocol)


def fold(on: Measure, blocks: int, fitted: Ratings = TRAIN, held: Ratings = HELD) -> Fold:
    store = on.context.store
    return Fold(
        "first",
        cut(fitted, blocks, blocks, "fitted", store),
        cut(held, blocks, blocks, "held", store),
    )


def few(name: ModelName, **more: Any) -> Models:
    iterations = Models().of(name).iterations
    draws = {"samples": 6, "burn_in": 2, "keep": 4} if name == "bayesian_mf" else {}
    return Models().changed(name, draws | ({iterations: 6} if iterations else {}) | more)


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("name", ["als", "item_knn", "ials", "bayesian_mf"])
def test_figures_are_those_of_the_lists_and_predictions(
    tmp_path: Path, name: ModelName, blocks: int
) -> None:
    on, models = measure(tmp_path), few(name)
    rated = models.of(name).predicts_ratings
    kinds = ("ranking", "rating") if rated else ("ranking",)
    (result,) = on([Task(name, models, kinds, fold(on, blocks), "trial")])
    fitted = fitter(tmp_path / "other", name, models)(TRAIN, blocks)
    lists, dense = fitted.lists(K), HELD.dense
    relevant = [set(np.flatnonzero(np.nan_to_num(row) >= RELEVANT).tolist()) for row in dense]
    # Every user has ratings, so that no list is short; popularity fills the others.
    full = [u for u in range(HELD.n_users) if relevant[u] and len(lists[u]) == K]
    expected = [ranking_of_user(lists[u], relevant[u], K)["ndcg"] for u in full]
    assert result.users is not None
    by_user = dict(zip(_users(blocks), result.users["ndcg"], strict=True))
    assert len(full) > 20
    assert [by_user[u] for u in full] == pytest.approx(expected, abs=1e-9)
    if rated:
        predicted = fitted.predict(HELD.users, HELD.items)
        known = ~np.isnan(predicted)
        assert known.mean() > 0.9
        if known.all():
            error = np.clip(predicted, 1, 5) - HELD.values
            assert result.value(RMSE) == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-5)


def _users(blocks: int) -> list[int]:
    """Return the users in the order of blocks, then of rows."""
    return [u for block in range(blocks) for u in range(block, HELD.n_users, blocks)]


@pytest.mark.parametrize("name", ["als", "ials", "torch_mf", "nmf"])
def test_a_short_fit_is_gone_on_with_and_changes_nothing(tmp_path: Path, name: ModelName) -> None:
    on = measure(tmp_path)
    part, key = fold(on, 2), Models().of(name).iterations
    short, whole = (few(name, **{key: n}) for n in (2, 9))
    kind = "rating" if Models().of(name).predicts_ratings else "ranking"
    metric = RMSE if kind == "rating" else NDCG
    on([Task(name, short, (kind,), part, "trial")])
    begun = on.context.night.storage.read("scratch/blocks/trial/state.json")
    assert begun is not None
    assert b'"iteration": 2' in begun
    (gone_on,) = on([Task(name, whole, (kind,), part, "trial")])
    (at_once,) = on([Task(name, whole, (kind,), part, "another")])
    np.testing.assert_array_equal(gone_on.of(metric), at_once.of(metric))
    assert gone_on.value(metric) != on([Task(name, short, (kind,), part, "short")])[0].value(metric)


def test_other_options_never_go_on_from_what_lies_there(tmp_path: Path) -> None:
    """A killed study leaves a fit behind; after its space was changed the trial is another one."""
    on = measure(tmp_path)
    part = fold(on, 1)
    on([Task("als", few("als", rank=3, max_iter=2), ("rating",), part, "trial")])
    (over,) = on([Task("als", few("als", rank=5), ("rating",), part, "trial")])
    (fresh,) = on([Task("als", few("als", rank=5), ("rating",), part, "fresh")])
    np.testing.assert_array_equal(over.of(RMSE), fresh.of(RMSE))


def test_users_held_out_whole_are_listed_by_what_is_known_of_them(tmp_path: Path) -> None:
    on = measure(tmp_path)
    new = TRAIN.users % 4 == 0
    store = on.context.store
    part = replace(
        fold(on, 2, TRAIN.take(~new), HELD.take(HELD.users % 4 == 0)),
        known=cut(TRAIN.take(new), 2, 2, "known", store),
    )
    names: list[ModelName] = ["ials", "als", "slim", "ease", "item_knn", "popularity"]
    results = on([Task(n, few(n), ("ranking",), part, f"trial/{n}") for n in names])
    for name, result in zip(names, results, strict=True):
        assert result.users is not None
        measured = np.array(_users(2))[result.users["n_relevant"] > 0]
        assert (measured % 4 == 0).all(), name
        assert 0 < result.value(NDCG) < 1, name
    # Nothing of the new users' wishes is in what the models were fitted on: with their known
    # ratings turned round, lists that follow tastes get worse.
    values = np.where(TRAIN.users % 4 == 0, 6 - TRAIN.values, TRAIN.values)
    turned = replace(TRAIN, values=values).take(new)
    other = replace(part, known=cut(turned, 2, 2, "turned", store))
    (worse,) = on([Task("als", few("als"), ("ranking",), other, "turned/als")])
    assert worse.value(NDCG) < results[1].value(NDCG)


def test_what_diverges_has_no_value(tmp_path: Path) -> None:
    on = measure(tmp_path)
    wild = few("torch_mf", learning_rate=1e6)
    (result,) = on([Task("torch_mf", wild, ("rating",), fold(on, 1), "trial")])
    assert result.users is None
    assert np.isnan(result.value(RMSE))
