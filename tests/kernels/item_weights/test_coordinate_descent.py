"""The elastic net against a dense one, its conditions of optimality, and a planted structure."""

from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.item_weights.coordinate_descent import (
    Choices,
    ElasticNet,
    solve_all,
    solve_among,
)
from mfspark.kernels.item_weights.gramian import add_common
from mfspark.kernels.item_weights.weights import SparseWeights
from tests.support.grids import Array
from tests.support.reference import elastic_net

NETS = [ElasticNet(1.0, 3.0, 1e-9), ElasticNet(0.0, 8.0, 1e-9), ElasticNet(4.0, 0.5, 1e-9)]


def chosen(seed: int, n_users: int, n_items: int) -> Array:
    """Choices of two tastes, some items much more popular than others; the last has none."""
    rng = np.random.default_rng(seed)
    liking = rng.random((n_users, 2)) @ rng.random((2, n_items))
    X = (rng.random((n_users, n_items)) < liking * np.linspace(0.9, 0.1, n_items)).astype(float)
    X[:, -1] = 0.0
    return X


def tile_of(X: Array) -> Tile:
    users, items = np.nonzero(X)
    return Tile.from_triples(users, items, X[users, items], *X.shape)


def choices_of(X: Array) -> Choices:
    return Choices.of([tile_of(X)], np.arange(X.shape[1]))


def dense(found: SparseWeights, n_items: int) -> Array:
    """Put the weights of all targets into rows."""
    W = np.zeros((len(found.indptr) - 1, n_items))
    W[np.repeat(np.arange(len(W)), np.diff(found.indptr)), found.indices] = found.weights
    return W


def gram_of(X: Array) -> Array:
    return (X.T @ X).astype(np.float32)


@pytest.mark.parametrize("net", NETS)
def test_all_items_against_the_dense_elastic_net(net: ElasticNet) -> None:
    X = chosen(1, 80, 30)
    found = dense(solve_all(gram_of(X), np.arange(30), net), 30)
    expected = [elastic_net(X, j, net.l1, net.l2) for j in range(30)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found > 0).sum() > 60
    assert not found.diagonal().any()


@pytest.mark.parametrize("net", NETS)
def test_what_is_found_meets_the_conditions_of_optimality(net: ElasticNet) -> None:
    """More items than a first active set holds: the gradient is 0 inside and below l1 outside."""
    X, near = chosen(2, 400, 150), 5e-3  # of counts up to 360, in float32
    gram = gram_of(X).astype(np.float64)
    W = dense(solve_all(gram_of(X), np.arange(150), net), 150)
    assert max((w > 0).sum() for w in W) > 32
    for j, w in enumerate(W):
        gradient = gram[j] - gram @ w - net.l2 * w - net.l1
        gradient[j] = 0.0
        assert np.abs(gradient[w > 0]).max(initial=0.0) < near
        assert gradient[w == 0].max() < near


def test_with_room_for_all_candidates_the_weights_are_those_of_all_items() -> None:
    X = chosen(3, 200, 60)
    for net in NETS:
        every = solve_all(gram_of(X), np.arange(60), net)
        among = solve_among(choices_of(X), np.arange(60), 59, net)
        np.testing.assert_allclose(dense(among, 60), dense(every, 60), atol=1e-5)


def test_candidates_are_the_nearest_by_cosine() -> None:
    """With k candidates it is the elastic net of those columns alone."""
    X, k, net = chosen(4, 150, 40), 6, ElasticNet(1.0, 2.0, 1e-9)
    G = X.T @ X
    found = dense(solve_among(choices_of(X), np.arange(40), k, net), 40)
    for j in range(39):
        cosine = G[j] / np.sqrt(np.maximum(G.diagonal(), 1e-9))
        cosine[[j, 39]] = -1.0
        cosine[G[j] <= net.l1] = -1.0
        near = np.sort(np.argsort(-cosine, kind="stable")[:k])
        near = near[cosine[near] > 0]
        expected = np.zeros(40)
        columns = [*near, j]
        expected[near] = elastic_net(X[:, columns], len(near), net.l1, net.l2)[:-1]
        np.testing.assert_allclose(found[j], expected, atol=1e-5)


def test_the_gramians_of_a_few_targets_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    X, net = chosen(5, 150, 40), ElasticNet(1.0, 2.0, 1e-6)
    whole = solve_among(choices_of(X), np.arange(40), 10, net)
    monkeypatch.setattr("mfspark.kernels.item_weights.coordinate_descent._GRAMS", 250)
    parts = solve_among(choices_of(X), np.arange(40), 10, net)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(getattr(parts, name), array)


def test_a_planted_structure_is_found() -> None:
    """Who chooses an even item chooses the next one too, nine times in ten; else at random."""
    rng = np.random.default_rng(6)
    X = (rng.random((2000, 20)) < 0.2).astype(float)
    follows = rng.random((2000, 10)) < 0.9
    X[:, 1::2] = np.where(X[:, ::2] > 0, follows, X[:, 1::2] * (rng.random((2000, 10)) < 0.1))
    W = dense(solve_all(gram_of(X), np.arange(20), ElasticNet(1.0, 10.0, 1e-6)), 20)
    assert (W.argmax(1) == np.arange(20) + np.where(np.arange(20) % 2, -1, 1)).all()
    rest = np.sort(W, axis=1)[:, :-1]
    assert W.max(1).min() > 10 * rest.max()


def test_common_users_are_counted() -> None:
    X = chosen(7, 50, 12)
    out = np.zeros((3, 12), np.float32)
    add_common(tile_of(X[:, [2, 5, 11]]).transposed(), tile_of(X), out)
    np.testing.assert_array_equal(out, (X.T @ X)[[2, 5, 11]])


def test_choices_lie_in_both_directions() -> None:
    X = chosen(8, 30, 9)
    columns = np.array([8, 0, 3, 1, 2, 4, 5, 6, 7])
    found = Choices.of([tile_of(X[:20][:, columns]), tile_of(X[20:][:, columns])], columns)
    assert found.user_starts[-1] == found.item_starts[-1] == X.sum()
    for u in range(30):
        items = found.user_items[found.user_starts[u] : found.user_starts[u + 1]]
        assert sorted(items) == np.flatnonzero(X[u]).tolist()
    for i in range(9):
        users = found.item_users[found.item_starts[i] : found.item_starts[i + 1]]
        assert users.tolist() == np.flatnonzero(X[:, i]).tolist()
