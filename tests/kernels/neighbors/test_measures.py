from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from mfspark.config.models import SimilarityName, SimilarityOptions
from mfspark.kernels.neighbors.measures import MEASURES, WEIGHTINGS, RatingStatistics, Similarity
from mfspark.kernels.neighbors.moments import Rows
from mfspark.kernels.neighbors.similarity import similarities
from tests.support.grids import Array, Ratings, stars
from tests.support.reference import similarity_matrix

NONE = np.nan
STARS = stars(1, 25, 12, 0.3).dense
RNG = np.random.default_rng(2)
REALS = np.where(RNG.random((25, 12)) < 0.4, RNG.uniform(-10, 10, (25, 12)), NONE).astype(
    np.float32
)
BIASES = (0.25, RNG.normal(size=25), RNG.normal(size=12))


def statistics_of(R: Array) -> RatingStatistics:
    """What a sweep over the columns finds, and biases."""
    n = (~np.isnan(R)).sum(0)
    mean = np.nansum(R, axis=0, dtype=np.float64) / np.maximum(n, 1)
    mean_sum = float(np.nansum(R, 1).mean())
    biases = BIASES[2][: R.shape[1]], BIASES[1][: len(R)]
    return RatingStatistics(n, mean, len(R), mean_sum, BIASES[0], *biases)


def matrix(R: Array, **options: Any) -> Array:
    """Similarity of every two rows; -inf where they are no neighbors."""
    tile = Ratings.of_dense(R).tile
    similarity = Similarity(**options)
    values = similarity.values and similarity.values(tile, statistics_of(R))
    rows = Rows.of(np.arange(len(R)), tile, values)
    return similarities(rows, rows, similarity)


def shared(R: Array) -> Array:
    rated = (~np.isnan(R)).astype(int)
    return rated @ rated.T


@pytest.mark.parametrize("R", [STARS, REALS], ids=["stars", "reals"])
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("min_support", [1, 2, 4])
def test_formulas(R: Array, measure: str, min_support: int) -> None:
    found = matrix(R, name=measure, min_support=min_support, shrinkage=0)
    expected = similarity_matrix(R, measure, BIASES)
    least = max(min_support, 2) if measure == "pearson_baseline" else min_support
    expected[shared(R) < least] = -np.inf
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weights_for_ranking(weighting: str) -> None:
    R = np.array(STARS)
    R[:, 3] = 4.0  # everybody rated it: it tells nothing
    expected = similarity_matrix(R, "cosine", weighting=weighting)
    np.testing.assert_allclose(matrix(R, weighting=weighting), expected, rtol=0, atol=1e-12)


def test_shrinkage_and_significance() -> None:
    n = shared(STARS)
    plain = similarity_matrix(STARS, "pearson")
    expected = np.where(n > 0, plain * n / (n + 5) * np.minimum(n, 3) / 3, -np.inf)
    found = matrix(STARS, name="pearson", shrinkage=5, significance=3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    plain = similarity_matrix(STARS, "pearson_baseline", BIASES)
    expected = np.where(n > 1, plain * (n - 1) / (n + 99), -np.inf)
    found = matrix(STARS, name="pearson_baseline")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_min_similarity() -> None:
    plain = matrix(STARS, name="pearson")
    found = matrix(STARS, name="pearson", min_similarity=0.25)
    assert (found == np.where(plain >= 0.25, plain, -np.inf)).all()
    assert (found == -np.inf).sum() > (plain == -np.inf).sum()


@pytest.mark.parametrize("measure", MEASURES)
def test_rows_that_cannot_be_compared(measure: str) -> None:
    """Nothing shared: no neighbors. One rating, no variance, no length: defined, never NaN."""
    R = np.array([
        [4.0, 4.0, 4.0, NONE],  # no variance
        [3.7, 3.7, 3.7, NONE],  # the same in numbers that are rounded
        [5.0, NONE, NONE, NONE],  # one rating
        [NONE, NONE, NONE, 2.0],  # nothing shared with those above
        [NONE, NONE, NONE, NONE],
        [0.0, 0.0, NONE, 0.0],  # no length
        [1.0, 2.0, 5.0, NONE],
        [1.0, 2.0, 5.0, NONE],  # identical
    ], np.float32)  # fmt: skip
    found = matrix(R, name=measure, shrinkage=0)
    least = 2 if measure == "pearson_baseline" else 1
    assert ((found > -np.inf) == (shared(R) >= least)).all()
    assert (found[found > -np.inf] <= 1 + 1e-12).all()
    assert (found == found.T).all()
    if measure != "pearson_baseline":  # which sees two users of different biases
        assert found[6, 7] == pytest.approx(1)
    if measure == "pearson":
        assert found[0, 6] == found[1, 6] == found[2, 6] == 0.0
    if measure == "cosine":
        assert found[5, 0] == found[5, 3] == 0.0


@pytest.mark.parametrize("measure", ["pearson", "adjusted_cosine"])
def test_what_rounding_leaves_of_no_variance_is_none(measure: str) -> None:
    """Sums of 0.1 are rounded; who rates all alike, as all do, correlates with nobody."""
    R = np.full((13, 60), 0.1, np.float32)
    R[:, 40:] = np.where(np.tri(13, 20, dtype=bool), R[:, 40:], NONE)
    if measure == "pearson":
        R[0] = np.arange(60)
    found = matrix(R, name=measure)
    np.fill_diagonal(found, 0.0)
    assert (found == 0).all()


def test_equal_fractions_are_equal_numbers() -> None:
    """Rows of one direction and different lengths tie."""
    R = np.array([[1.0, 2.0, 5.0], [0.5, 1.0, 3.5], [1.0, 2.0, 7.0], [1.5, 3.0, 10.5]])
    for measure in ("cosine", "cosine_corated", "pearson"):
        assert len(set(matrix(R, name=measure)[0, 1:].tolist())) == 1


def test_weights_go_with_cosine_alone() -> None:
    with pytest.raises(ValueError, match='weighting = "bm25" goes with similarity = "cosine"'):
        SimilarityOptions(similarity="pearson", weighting="bm25")


def test_every_name_that_can_be_configured_has_a_row() -> None:
    """And the other way round."""
    assert tuple(MEASURES) == get_args(SimilarityName)
    weightings = SimilarityOptions.model_fields["weighting"].annotation
    assert tuple(WEIGHTINGS) == get_args(weightings)


def surprise_matrix(R: Array, measure: str, min_support: int) -> Array:
    surprise = pytest.importorskip("surprise.similarities")
    columns = {
        i: [(u, float(R[u, i])) for u in range(len(R)) if not np.isnan(R[u, i])]
        for i in range(R.shape[1])
    }
    if measure == "pearson_baseline":
        return surprise.pearson_baseline(len(R), columns, min_support, *BIASES, 100.0)
    name = {"cosine_corated": "cosine"}.get(measure, measure)
    return getattr(surprise, name)(len(R), columns, min_support)


@pytest.mark.parametrize("R", [STARS, REALS], ids=["stars", "reals"])
@pytest.mark.parametrize("measure", ["cosine_corated", "msd", "pearson", "pearson_baseline"])
@pytest.mark.parametrize("min_support", [1, 3])
def test_the_same_as_surprise(R: Array, measure: Any, min_support: int) -> None:
    """Surprise says 0 where support is missing. (Runs where the extra `bench` is installed.)"""
    found = matrix(R, name=measure, min_support=min_support)
    found[found == -np.inf] = 0.0
    np.fill_diagonal(found, 1.0)
    np.testing.assert_allclose(found, surprise_matrix(R, measure, min_support), atol=1e-10)
