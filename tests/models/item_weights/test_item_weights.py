"""SLIM and EASE on the grid: the contract of all models, dense definitions, choices, reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.item_weights.weight_model import ItemWeights
from tests.support.contract import RATINGS, ModelContract, options_of
from tests.support.grids import Array, Fit, Fitted, Ratings, bits, fitter, movielens, whole
from tests.support.reference import elastic_net, shallow_autoencoder

CHOICES_FROM = 3.5


def weights_of(fitted: Fitted) -> Array:
    """W with w_ij in row i, column j."""
    model, n = fitted.model, fitted.grid.layout.n_items
    assert isinstance(model, ItemWeights)
    W = np.zeros((n, n))
    for q, reference in enumerate(model.weights.references):
        arrays, own = fitted.grid.store.get(reference), fitted.grid.layout.indices("item", q)
        if "matrix" in arrays:
            W[:, own] = arrays["matrix"].T
            continue
        target = np.repeat(own, np.diff(arrays["indptr"]))
        W[arrays["indices"], target] = arrays["weights"]
    return W


class ItemWeightsContract(ModelContract):
    def blocks(self, fitted: Fitted) -> Any:
        assert isinstance(fitted.model, ItemWeights)
        return bits(fitted.grid.store, fitted.model.weights)

    def check_equal_ratings(self, known: Array) -> None:
        """Scores say how likely a choice is, not how it is rated."""
        assert np.abs(known).max() < 1.5

    # Who rated or was rated alone is told of by no other choice.
    def test_an_item_rated_by_everyone(self, fit: Fit) -> None:
        R = RATINGS.dense
        R[:, 7] = 5.0
        fitted = fit(Ratings.of_dense(R), 2)
        assert not any(7 in listed for listed in fitted.lists(25))
        self.check_ranked(fitted, Ratings.of_dense(R), 8)

    def test_the_weights_do_not_depend_on_the_blocks(self, fit: Fit) -> None:
        one = weights_of(fit(RATINGS))
        for blocks in ((2, 2), (7, 7), (2, 5)):
            many = weights_of(fit(RATINGS, blocks[0], item_blocks=blocks[1]))
            np.testing.assert_array_equal(many, one)

    def test_the_unit_of_the_ratings_does_not_matter(self, fit: Fit) -> None:
        stars = fit(RATINGS, 2, choices_from=3.5)
        percent = fit(replace(RATINGS, values=20 * RATINGS.values), 2, choices_from=70.0)
        np.testing.assert_array_equal(weights_of(percent), weights_of(stars))
        assert percent.lists(10) == stars.lists(10)

    def test_choices_alone_count_and_lists_leave_out_all_that_was_rated(self, fit: Fit) -> None:
        X = np.where(RATINGS.dense >= CHOICES_FROM, 1.0, 0.0)
        X[5] = 0.0
        fitted = fit(replace(RATINGS, values=np.where(RATINGS.users == 5, 1.0, RATINGS.values)), 3,
                     choices_from=CHOICES_FROM)  # fmt: skip
        scores = X @ self.dense_weights(X)
        indices, found = fitted.ranked(25)
        assert (indices[5] == NOBODY).all()
        for u in range(40):
            listed = indices[u][indices[u] != NOBODY]
            assert np.isnan(RATINGS.dense[u, listed]).all()
            np.testing.assert_allclose(found[u, : len(listed)], scores[u, listed], atol=1e-4)

    def dense_weights(self, X: Array) -> Array:
        raise NotImplementedError

    def test_against_the_dense_definition(self, fit: Fit) -> None:
        X = np.where(RATINGS.dense >= CHOICES_FROM, 1.0, 0.0)
        W = weights_of(fit(RATINGS, 3, choices_from=CHOICES_FROM))
        np.testing.assert_allclose(W, self.dense_weights(X), atol=1e-4)

    def test_reasons_are_the_choices_that_speak_most(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 3, choices_from=CHOICES_FROM)
        X, W = np.where(RATINGS.dense >= CHOICES_FROM, 1.0, 0.0), weights_of(fitted)
        model = fitted.model
        assert isinstance(model, ItemWeights)
        lists = model.recommend(fitted.grid, 4, "ranked")
        reasons = whole(fitted.grid, model.list_reasons(fitted.grid, lists, "why"), "reason")
        for u, listed in enumerate(whole(fitted.grid, lists, "indices")):
            for item, reason in zip(listed, reasons[u], strict=True):
                share = X[u] * W[:, item] * (item != NOBODY)
                best = [int(i) for i in np.argsort(-share, kind="stable")[:3] if share[i] > 0]
                assert reason[reason != NOBODY].tolist() == best

    def test_similar_items_have_the_largest_weights(self, fit: Fit) -> None:
        fitted = fit(RATINGS, 3)
        W, model = weights_of(fitted), fitted.model
        assert isinstance(model, ItemWeights)
        similar = whole(fitted.grid, model.similar_items(fitted.grid, 4, "similar"), "indices")
        for j, row in enumerate(similar):
            best = [int(i) for i in np.argsort(-W[:, j], kind="stable")[:4] if W[i, j] > 0]
            assert row[row != NOBODY].tolist() == best

    def test_movielens(self, data_set: Any, tmp_path: Path) -> None:
        """Precision at 10 (test ratings of 4 and 5) against popularity's."""
        train, test = movielens(data_set("ml-100k"))
        liked = test.take(test.values >= 4)
        relevant = Ratings(liked.users, liked.items, liked.values, 943, 1682).dense
        precision = {}
        for name in (self.name, "popularity"):
            fit = fitter(tmp_path / name, name, options_of(name))
            lists = fit(train, 2, choices_from=4.0).ranked(10)[0]
            hits = ~np.isnan(np.take_along_axis(relevant, lists, 1)) & (lists != NOBODY)
            precision[name] = hits[~np.isnan(relevant).all(1)].mean()
        assert precision[self.name] > 1.6 * precision["popularity"]


class TestSLIM(ItemWeightsContract):
    name: ClassVar[ModelName] = "slim"
    options: ClassVar[dict[str, Any]] = {"l1": 1.0, "l2": 2.0, "tol": 1e-6}

    def dense_weights(self, X: Array) -> Array:
        return np.stack([elastic_net(X, j, 1.0, 2.0) for j in range(X.shape[1])], axis=1)

    def test_few_candidates_are_enough_where_few_were_chosen_together(self, tmp_path: Path) -> None:
        every, few = (
            fitter(tmp_path / str(k), "slim", options_of("slim", candidates=k, **self.options))
            for k in (0, 24)
        )
        wide = RATINGS.widened(0, 40)
        np.testing.assert_allclose(weights_of(few(wide, 3)), weights_of(every(wide)), atol=1e-4)


class TestSLIMOfNearestItems(ItemWeightsContract):
    name: ClassVar[ModelName] = "slim"
    options: ClassVar[dict[str, Any]] = TestSLIM.options | {"candidates": 8}

    def test_against_the_dense_definition(self, fit: Fit) -> None:
        """In tests of the kernel."""

    def test_choices_alone_count_and_lists_leave_out_all_that_was_rated(self, fit: Fit) -> None:
        """In tests of the kernel."""


class TestEASE(ItemWeightsContract):
    name: ClassVar[ModelName] = "ease"
    options: ClassVar[dict[str, Any]] = {"l2": 5.0}

    def dense_weights(self, X: Array) -> Array:
        return shallow_autoencoder(X, 5.0)


def test_ease_is_refused_where_it_takes_too_much_memory(tmp_path: Path) -> None:
    fit = fitter(tmp_path, "ease", options_of("ease", max_memory_gb=1e-6))
    with pytest.raises(ConfigError, match=r"would take 0\.0 GB in one task for its 25 items"):
        fit(RATINGS)
