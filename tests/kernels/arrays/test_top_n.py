from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, top_columns, top_up
from tests.support.grids import Ratings
from tests.support.reference import best_of_row

Array = np.ndarray

# Few different values: ties everywhere; -inf is a column that must not be taken.
score_matrices = st.tuples(st.integers(0, 5), st.integers(0, 9)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([-np.inf, -1.0, 0.0, 2.0]))
)


def check(lists: RankedLists, scores: Array, n: int) -> None:
    """Compare with sorting each row; what is missing ends with NOBODY and -inf."""
    assert lists.indices.shape == lists.scores.shape == (len(scores), n)
    assert (lists.indices.dtype, lists.scores.dtype) == (np.int32, np.float64)
    for row, row_scores in enumerate(scores):
        best = best_of_row(row_scores, n)
        missing = n - len(best)
        assert lists.indices[row].tolist() == best + [NOBODY] * missing
        assert lists.scores[row].tolist() == [row_scores[c] for c in best] + [-np.inf] * missing
        assert lists.lengths[row] == len(best)


@given(scores=score_matrices, n=st.integers(1, 12), precision=st.sampled_from(["f4", "f8"]))
def test_top_columns(scores: Array, n: int, precision: str) -> None:
    columns = np.arange(scores.shape[1])
    check(top_columns(scores.astype(precision), n, columns), scores, n)


@pytest.mark.parametrize("n", [1, 10, 300, 500])
def test_top_columns_of_a_wide_matrix_with_many_ties(n: int) -> None:
    scores = np.random.default_rng(n).integers(0, 7, (20, 300)).astype(np.float64)
    check(top_columns(scores, n, np.arange(300)), scores, n)


def test_columns_are_called_by_their_indices() -> None:
    lists = top_columns(np.array([[1.0, 3.0, 3.0]]), 2, np.array([4, 11, 18]))
    assert lists.indices.tolist() == [[11, 18]]


@given(scores=score_matrices, n=st.integers(1, 12))
def test_lists_up_to_a_score(scores: Array, n: int) -> None:
    lists = top_columns(scores, n, np.arange(scores.shape[1]))
    found = lists.until(lists.scores == 0)
    assert (found.indices.dtype, found.scores.dtype) == (np.int32, np.float64)
    for row in range(len(scores)):
        kept = list(lists.scores[row])
        kept = kept[: kept.index(0)] if 0 in kept else kept
        assert found.scores[row].tolist() == kept + [-np.inf] * (n - len(kept))
        listed = lists.indices[row, : len(kept)].tolist()
        assert found.indices[row].tolist() == listed + [NOBODY] * (n - len(kept))


@given(scores=score_matrices, n=st.integers(1, 12), n_blocks=st.integers(1, 4))
def test_merging_the_lists_of_all_blocks(scores: Array, n: int, n_blocks: int) -> None:
    """In whatever order the blocks come."""
    lists = RankedLists.empty(len(scores), n)
    for q in reversed(range(n_blocks)):
        columns = np.arange(q, scores.shape[1], n_blocks)
        lists = lists.merged(top_columns(scores[:, columns], n, columns))
    check(lists, scores, n)
    again = RankedLists.from_arrays(lists.arrays())
    assert again.indices.tolist() == lists.indices.tolist()
    assert again.scores.tolist() == lists.scores.tolist()


@given(data=st.data(), n_rows=st.integers(0, 4), n_columns=st.integers(1, 8), n=st.integers(1, 10))
def test_top_up(data: st.DataObject, n_rows: int, n_columns: int, n: int) -> None:
    """Lists keep what they have; then comes what is first in `order`, neither seen nor there."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    seen = rng.random((n_rows, n_columns)) < 0.3
    listed = np.where(seen | (rng.random(seen.shape) < 0.6), -np.inf, 1.0)
    order = rng.permutation(n_columns)
    row_scores, column_scores = rng.normal(size=n_rows), rng.normal(size=n_columns)
    lists = top_columns(listed, n, np.arange(n_columns))
    before = lists.indices.copy()
    filled, added = top_up(
        lists, Ratings.of_dense(np.where(seen, 3.0, np.nan)).tile, order, row_scores, column_scores
    )
    assert (lists.indices == before).all()
    for row in range(n_rows):
        have = best_of_row(listed[row], n)
        extra = [c for c in order if not seen[row, c] and c not in have][: n - len(have)]
        extra.sort(key=lambda c: -column_scores[c])  # those that were chosen stand by score
        highest = 1.0 if have else np.inf  # and none above what was there
        added_scores = [min(row_scores[row] + column_scores[c], highest) for c in extra]
        scores = [1.0] * len(have) + added_scores
        missing = n - len(scores)
        assert filled.indices[row].tolist() == have + extra + [NOBODY] * missing
        assert filled.scores[row].tolist() == scores + [-np.inf] * missing
        assert np.flatnonzero(added[row]).tolist() == list(range(len(have), len(have + extra)))
