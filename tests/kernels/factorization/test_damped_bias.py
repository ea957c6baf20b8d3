from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.factorization.scores import damped_bias
from tests.support.grids import Ratings, stars
from tests.support.reference import damped_biases


@pytest.mark.parametrize("damping", [0.0, 1.0, 25.0])
def test_damped_bias(damping: float) -> None:
    ratings = stars(1, 20, 15, 0.3).widened(2, 3)
    other = np.random.default_rng(2).normal(size=ratings.n_items)
    bias = damped_bias(ratings.tile, 3.2, other, damping)
    np.testing.assert_allclose(bias, damped_biases(ratings.dense, 3.2, other, damping), atol=1e-6)
    assert bias[-2:].tolist() == [0.0, 0.0]


def test_by_hand() -> None:
    tile = Ratings.of_dense(np.array([[5.0, 4.0], [np.nan, 1.0]])).tile
    bias = damped_bias(tile, 3.0, np.array([1.0, 0.0]), damping=2.0)
    assert bias.tolist() == [(1.0 + 1.0) / 4, -2.0 / 3]
