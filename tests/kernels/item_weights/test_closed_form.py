from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.item_weights.closed_form import closed_form
from tests.support.reference import shallow_autoencoder


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_the_closed_form_is_the_ridge_regression_of_each_item_on_the_others(l2: float) -> None:
    X = (np.random.default_rng(1).random((60, 15)) < 0.3).astype(float)
    X[:, 7] = 0.0
    found = closed_form((X.T @ X).astype(np.float32), l2)
    np.testing.assert_allclose(found.T, shallow_autoencoder(X, l2), atol=1e-6)
    assert not found.diagonal().any()
    assert not found[7].any()
