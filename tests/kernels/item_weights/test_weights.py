from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.item_weights import weights as kernels
from mfspark.kernels.item_weights.weights import (
    SparseWeights,
    choices_of,
    scores,
    scores_by_chunk,
    scores_of_pairs,
    strongest,
    top_choices,
    weights_of,
)
from tests.support.grids import Array

RNG = np.random.default_rng(3)
X = (RNG.random((9, 14)) < 0.4).astype(float)
X[4] = 0.0
W = np.where(RNG.random((6, 14)) < 0.5, RNG.random((6, 14)), 0.0).astype(np.float32)
W[2] = 0.0
TILE = Tile.from_triples(*np.nonzero(X), np.full(int(X.sum()), 4.0), *X.shape)
SPARSE = SparseWeights.of_rows(np.broadcast_to(np.arange(14), W.shape), W).arrays()
DENSE = {"matrix": W}
BOTH = pytest.mark.parametrize("arrays", [SPARSE, DENSE], ids=["sparse", "dense"])


@BOTH
def test_scores_sum_the_weights_of_what_was_chosen(arrays: dict[str, Array]) -> None:
    found = scores(choices_of(TILE), weights_of(arrays, 14))
    np.testing.assert_allclose(found, X @ W.T.astype(np.float64), atol=1e-12)


@BOTH
def test_nothing_speaks_where_the_sum_is_0(
    arrays: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_CELLS", 20)  # three users at a time
    parts = list(scores_by_chunk(choices_of(TILE), weights_of(arrays, 14)))
    assert [len(users) for users, _ in parts] == [3, 3, 3]
    found, expected = np.concatenate([each for _, each in parts]), X @ W.T
    assert (found[4] == -np.inf).all()
    assert (found[:, 2] == -np.inf).all()
    np.testing.assert_allclose(found[expected > 0], expected[expected > 0], rtol=1e-6)
    pairs = Tile.from_triples([0, 0, 4, 8], [2, 5, 1, 3], np.zeros(4), 9, 6)
    scored = scores_of_pairs(choices_of(TILE), weights_of(arrays, 14), pairs)
    known = [expected[0, 5], expected[8, 3]]
    np.testing.assert_allclose(scored, [np.nan, known[0], np.nan, known[1]], rtol=1e-6)


@BOTH
def test_the_choices_that_speak_most(arrays: dict[str, Array]) -> None:
    users, targets = np.divmod(np.arange(54), 6)
    found = top_choices(choices_of(TILE), weights_of(arrays, 14), users, targets, 3)
    for u, j, reasons in zip(users, targets, found, strict=True):
        share = X[u] * W[j]
        expected = [int(i) for i in np.argsort(-share, kind="stable")[:3] if share[i] > 0]
        assert reasons[reasons != NOBODY].tolist() == expected


@BOTH
def test_the_items_with_the_largest_weights(arrays: dict[str, Array]) -> None:
    lists = strongest(weights_of(arrays, 14), 5)
    for j, row in enumerate(lists.indices):
        expected = [int(i) for i in np.argsort(-W[j], kind="stable")[:5] if W[j, i] > 0]
        assert row[row != NOBODY].tolist() == expected


def test_what_speaks_against_an_item_is_not_among_the_strongest() -> None:
    negative = csr_array(np.where(W > 0.5, -1.0, W.astype(np.float64)))
    scores = strongest(negative, 14).scores
    assert 0 < scores.max() <= 0.5
