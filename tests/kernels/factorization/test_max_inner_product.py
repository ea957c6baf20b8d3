from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists
from mfspark.kernels.factorization import max_inner_product as max_product
from mfspark.kernels.factorization.max_inner_product import Points, largest_products
from tests.support.reference import best_of_row

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    rows: Points
    items: Points
    omitted: Array
    """bool (rows, items)."""

    @property
    def scores(self) -> Array:
        """float32(c_u + b_i + x_u . y_i), -inf where nothing may be listed."""
        dot = self.rows.factors.astype(np.float64) @ self.items.factors.astype(np.float64).T
        score = (self.rows.offsets[:, None] + self.items.offsets + dot).astype(np.float32)
        known = self.rows.known[:, None] & self.items.known
        return np.where(known & ~self.omitted, score, -np.inf)

    def found(self, n: int, indices: Array | None = None) -> RankedLists:
        names = np.arange(len(self.items.known)) if indices is None else indices
        start = RankedLists.empty(len(self.rows.known), n)
        return largest_products(self.rows, self.items, tile(self.omitted), names, start)


def tile(omitted: Array) -> Tile:
    rows, columns = np.nonzero(omitted)
    return Tile.from_triples(rows, columns, np.ones(len(rows)), *omitted.shape)


def normal_case(seed: int, n_rows: int, n_items: int, rank: int, bias: float) -> Case:
    """Numbers as of fitted factors: no two scores are equal by chance."""
    rng = np.random.default_rng(seed)

    def points(n: int, scale: float) -> Points:
        sizes = rng.lognormal(0, 0.5, (n, 1))
        factors = (sizes * rng.normal(size=(n, rank)) / np.sqrt(max(rank, 1))).astype(np.float32)
        return Points(factors, scale * rng.normal(size=n).astype(np.float32), rng.random(n) < 0.9)

    rows, items = points(n_rows, 1.0), points(n_items, bias)
    return Case(rows, items, rng.random((n_rows, n_items)) < 0.2)


def tied_case(seed: int, n_rows: int, n_items: int, rank: int) -> Case:
    """Quarters: sums are exact and ties are everywhere."""
    rng = np.random.default_rng(seed)

    def points(n: int) -> Points:
        factors = (rng.integers(-1, 2, (n, rank)) / 2).astype(np.float32)
        return Points(factors, (rng.integers(0, 2, n) / 4).astype(np.float32), rng.random(n) < 0.9)

    return Case(points(n_rows), points(n_items), rng.random((n_rows, n_items)) < 0.3)


def check(lists: RankedLists, scores: Array, n: int) -> None:
    for row, row_scores in enumerate(scores):
        best = best_of_row(row_scores, n)
        missing = n - len(best)
        assert lists.indices[row].tolist() == best + [NOBODY] * missing
        assert lists.scores[row].tolist() == [*row_scores[best].tolist(), *[-np.inf] * missing]


@pytest.fixture(params=[(3, 4), (16, 7), (1024, 1024)])
def small_blocks(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows and columns, so that a few of each are many blocks."""
    monkeypatch.setattr(max_product, "_ROWS", request.param[0])
    monkeypatch.setattr(max_product, "_COLUMNS", request.param[1])


@pytest.mark.parametrize("n", [1, 10, 100])
@pytest.mark.parametrize("bias", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("rank", [0, 1, 7, 64])
def test_lists_are_those_of_the_dense_matrix(n: int, bias: float, rank: int) -> None:
    case = normal_case(n + rank, 60, 2_500, rank, bias)
    check(case.found(n), case.scores, n)


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=30)
@given(
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(0, 20), st.integers(0, 40)),
    rank=st.integers(0, 5),
    n=st.integers(1, 45),
)
def test_ties_go_to_the_lower_index(seed: int, shape: tuple[int, int], rank: int, n: int) -> None:
    case = tied_case(seed, *shape, rank)
    check(case.found(n), case.scores, n)


def test_scores_that_only_rounding_makes_equal() -> None:
    """Seen from 4,096 the offsets of the items are one float32: the lower index comes first."""
    offsets = (np.arange(300)[::-1] % 7 * 1e-5).astype(np.float32)
    rows = Points(np.zeros((1, 2), np.float32), np.array([4096.0]), np.ones(1, bool))
    items = Points(np.zeros((300, 2), np.float32), offsets, np.ones(300, bool))
    case = Case(rows, items, np.zeros((1, 300), bool))
    assert case.found(5).indices.tolist() == [[0, 1, 2, 3, 4]]


def test_zero_and_minus_zero_are_equal() -> None:
    """Products of 1e-60 are zero or minus zero as float32."""
    tiny = np.array([[1e-30], [-1e-30], [1e-30], [-1e-30]], np.float32)
    rows = Points(tiny[:1], np.zeros(1), np.ones(1, bool))
    items = Points(tiny[1:], np.zeros(3, np.float32), np.ones(3, bool))
    case = Case(rows, items, np.zeros((1, 3), bool))
    assert case.found(3).indices.tolist() == [[0, 1, 2]]


def test_products_that_cancel_out() -> None:
    """Large factors whose products nearly cancel: float32 products alone are wrong in order."""
    rng = np.random.default_rng(1)
    X = np.repeat(1e3 * rng.normal(size=(20, 1)), 64, 1).astype(np.float32)
    Y = (1e3 * rng.normal(size=(500, 32))).astype(np.float32)
    Y = np.column_stack([Y, -Y[:, ::-1] + 0.05 * rng.normal(size=(500, 32))]).astype(np.float32)
    zeros = np.zeros(500, np.float32)
    case = Case(
        Points(X, zeros[:20], np.ones(20, bool)),
        Points(Y, zeros, np.ones(500, bool)),
        np.zeros((20, 500), bool),
    )
    computed = (X @ Y.T).astype(np.float64)
    assert (np.argsort(-computed)[:, :10] != np.argsort(-case.scores)[:, :10]).any()
    check(case.found(10), case.scores, 10)


def test_the_same_bits_however_rows_and_items_are_cut() -> None:
    case = normal_case(5, 70, 400, 33, 0.3)
    whole = case.found(10)
    for row_blocks, item_blocks in ((2, 1), (1, 3), (7, 5)):
        for p in range(row_blocks):
            rows = np.arange(p, 70, row_blocks)
            lists = RankedLists.empty(len(rows), 10)
            for q in reversed(range(item_blocks)):
                items = np.arange(q, 400, item_blocks)
                omitted = tile(case.omitted[np.ix_(rows, items)])
                parts = case.rows.take(rows), case.items.take(items)
                lists = largest_products(*parts, omitted, items, lists)
            assert lists.indices.tobytes() == whole.indices[rows].tobytes()
            assert lists.scores.tobytes() == whole.scores[rows].tobytes()


def test_items_in_any_order() -> None:
    case = tied_case(3, 15, 60, 2)
    shuffled = np.random.default_rng(1).permutation(60)
    mixed = Case(case.rows, case.items.take(shuffled), case.omitted[:, shuffled])
    assert mixed.found(8, shuffled).indices.tolist() == case.found(8).indices.tolist()


def test_more_candidates_than_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All scores are equal, so that every item stays a candidate of every row."""
    monkeypatch.setattr(max_product, "_POOL", 50)
    monkeypatch.setattr(max_product, "_COLUMNS", 16)
    zeros = np.zeros((90, 3), np.float32)
    points = Points(zeros, zeros[:, 0], np.ones(90, bool))
    case = Case(points, points, np.eye(90, dtype=bool))
    check(case.found(12), case.scores, 12)


def test_what_is_not_finite_is_not_listed() -> None:
    case = normal_case(2, 6, 40, 4, 0.5)
    case.items.factors[3, 2] = np.nan
    case.items.offsets[5] = np.inf
    case.rows.factors[1, 0] = np.inf
    lists = case.found(40)
    assert not np.isin(lists.indices, [3, 5]).any()
    assert lists.lengths[1] == 0
    assert np.isfinite(lists.scores[lists.indices != NOBODY]).all()


def test_most_items_are_ruled_out_by_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offsets decide: after the first block no other can reach the tenth best."""
    looked_at: list[int] = []
    product = max_product._Search._product

    def counted(self: Any, X: Array, columns: Array) -> Array:
        looked_at.append(len(X) * len(columns))
        return product(self, X, columns)

    monkeypatch.setattr(max_product._Search, "_product", counted)
    case = normal_case(1, 50, 6_000, 8, 5.0)
    check(case.found(10), case.scores, 10)
    assert sum(looked_at) < 50 * 6_000 / 3
