from __future__ import annotations

import numpy as np

from mfspark.kernels.neighbors.aggregation import Centering, means_and_spreads
from tests.support.grids import Ratings, stars
from tests.support.reference import centers_and_spreads


def test_means_and_spreads_are_those_of_the_formula() -> None:
    R = stars(1, 20, 12, 0.4).dense
    R[3] = np.where(np.isnan(R[3]), np.nan, 0.1)  # alike, and their mean is off by a last bit
    R[4] = np.nan
    ratings = Ratings.of_dense(R)
    mean, spread = means_and_spreads(ratings.tile, float(np.nanstd(R)))
    expected, spreads = centers_and_spreads(R, "zscore", None)
    np.testing.assert_allclose(mean, expected[:, 0], rtol=1e-7)
    rated = np.arange(20) != 4
    np.testing.assert_allclose(spread[rated], spreads[rated], rtol=1e-7)


def test_ratings_are_what_deviations_were_taken_of() -> None:
    rng = np.random.default_rng(1)
    centering = Centering(rng.normal(size=5), rng.uniform(1, 2, 5), rng.normal(size=4))
    rows, columns = np.array([0, 3, 4, 4]), np.array([1, 1, 0, 3])
    ratings = np.array([3.5, -2.0, 0.0, 5.0])
    z = centering.deviations(ratings, rows, columns)
    assert z[1] == (-2.0 - centering.level[3] - centering.column_level[1]) / centering.spread[3]
    np.testing.assert_allclose(centering.ratings(z, rows, columns), ratings, atol=1e-14)
