from __future__ import annotations

import numpy as np
import pytest
import torch

from mfspark.kernels.neighbors import packed as module
from mfspark.kernels.neighbors.moments import Rows, moments
from mfspark.kernels.neighbors.packed import Packing, off_grid
from tests.support.grids import Array, Ratings

POWERS = [(0, 0), (1, 1), (2, 0), (0, 2), (1, 0), (0, 1)]
HEADS = [0, 1, 5, 23]


def ratings(scale: float, low: int, high: int, share: float = 0.5) -> Array:
    """Numbers low, low + 1, ..., high, times scale; 19 rows."""
    rng = np.random.default_rng(1)
    R = rng.integers(low, high + 1, (19, 23)) * scale
    return np.where(rng.random(R.shape) < share, R, np.nan)


def rows_of(R: Array) -> Rows:
    return Rows.of(np.arange(len(R)), Ratings.of_dense(R).tile)


def packing_of(R: Array, head: int) -> Packing:
    """As a night chooses, but for the head."""
    low, high = np.nanmin(R), np.nanmax(R)
    off = off_grid(Ratings.of_dense(R).tile.values) > 0
    chosen = Packing.of(off, low, high, np.sort((~np.isnan(R)).sum(0))[::-1], len(R))
    return Packing(chosen.step, low, high, head)


GRIDS = {
    "half stars": (0.5, 1, 10),
    "whole stars": (1, 1, 5),
    "quarters, negative too": (0.25, -40, 40),
    "per cent": (1, 0, 100),
    "thousands": (1, 0, 4000),
    "hundred thousands": (1, -400_000, 400_000),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("quick", [True, False])
def test_sums_of_integers_are_exact(
    name: str, head: int, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "int8_is_fast", lambda: quick)
    R = ratings(*GRIDS[name])
    packing, rows, others = packing_of(R, head), rows_of(R[:11]), rows_of(R[11:])
    assert packing.exact
    for power, expected in moments(rows, others, POWERS).items():
        found = packing.pack(rows).moment(packing.pack(others), power)
        assert (found.double().numpy() * packing.step ** sum(power) == expected).all()


@pytest.mark.parametrize("head", HEADS)
def test_sums_of_other_numbers_are_rounded(head: int) -> None:
    R = ratings(0.3, -30, 30)
    packing, rows = packing_of(R, head), rows_of(R)
    assert not packing.exact
    norms = np.sqrt(rows.squares)
    found = packing.pack(rows).moment(packing.pack(rows), (1, 1)).numpy()
    error = np.abs(found - moments(rows, rows, [(1, 1)])[1, 1]) / np.outer(norms, norms)
    assert error.max() < 23 * 2.0**-24


def test_a_product_without_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    test_sums_of_integers_are_exact("half stars", 5, True, monkeypatch)


def test_the_widest_grid_is_chosen() -> None:
    assert [packing_of(ratings(s, 1, 9), 0).step for s in (2, 1, 0.5, 0.25)] == [1, 1, 0.5, 0.25]
    assert packing_of(ratings(0.125, 1, 9), 0).step == 0
    assert packing_of(ratings(1, 0, 2**27), 0).step == 0  # their squares would not add up exactly
    assert packing_of(ratings(1, 1, 9), 0).exact


def test_popular_columns_are_dense() -> None:
    n = np.array([900, 500, 130, 120, 40, 30, 0])
    whole, reals = (False,) * 3, (True,) * 3
    assert Packing.of(reals, -10, 10, n, 1000).head == 3
    expected = 5 if module.int8_is_fast() else 3
    assert Packing.of(whole, 1, 5, n, 1000).head == expected
    assert Packing.of(whole, 1, 500, n, 1000).head == 3  # they do not fit int8


def test_of_no_ratings() -> None:
    none = Ratings.of_dense(np.full((3, 4), np.nan)).tile
    packing = Packing.of(off_grid(none.values) > 0, np.inf, -np.inf, np.zeros(4), 3)
    pack = packing.pack(Rows.of(np.arange(3), none))
    assert pack.moment(pack, (1, 1)).tolist() == [[0.0] * 3] * 3


def test_arrays_round_trip() -> None:
    packing = Packing(0.5, -1.0, 5.0, 17)
    assert Packing.from_arrays(packing.arrays()) == packing
