from __future__ import annotations

import numpy as np
import pytest
import torch

from mfspark.kernels.arrays.tile import Tile
from mfspark.kernels.factorization.sampled_products import (
    RatingBatch,
    rating_batch,
    sampled_products,
    shuffled_batches,
    sums_over_raters,
)
from tests.support.grids import Array, stars

TILE = stars(1, 13, 9, 0.4).tile
NO_RATINGS = np.empty(0, int)
NONE = Tile.from_triples(NO_RATINGS, NO_RATINGS, NO_RATINGS, 3, 2)


def whole(tile: Tile) -> RatingBatch:
    return rating_batch(tile, tile.rows, tile.indices, tile.values)


def factors(seed: int, n: int, k: int = 5) -> torch.Tensor:
    made = torch.randn(n, k, generator=torch.Generator().manual_seed(seed))
    return made.requires_grad_()


@pytest.mark.parametrize("tile", [TILE, NONE], ids=["some", "none"])
def test_products_and_gradients_are_those_of_dense_matrices(tile: Tile) -> None:
    X, Y = factors(1, tile.n_rows), factors(2, tile.n_columns)
    found = sampled_products(X, Y, whole(tile))
    rows, columns = torch.from_numpy(tile.rows).long(), torch.from_numpy(tile.indices).long()
    dense = (X @ Y.T)[rows, columns]
    torch.testing.assert_close(found, dense, rtol=1e-5, atol=1e-6)
    weights = torch.arange(1.0, len(found) + 1)
    got = torch.autograd.grad((weights * found.square()).sum(), (X, Y))
    wanted = torch.autograd.grad((weights * dense.square()).sum(), (X, Y))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_counts_are_those_of_rows_and_columns() -> None:
    rated = whole(TILE)
    np.testing.assert_array_equal(rated.user_counts, TILE.degrees)
    np.testing.assert_array_equal(rated.item_counts, TILE.transposed().degrees)


def cells(batches: list[RatingBatch]) -> list[list[tuple[int, int, float]]]:
    found = []
    for batch in batches:
        matrix = batch.with_values(batch.values).to_sparse_coo()
        rows, columns = matrix.indices().tolist()
        found.append(list(zip(rows, columns, matrix.values().tolist(), strict=True)))
        back = batch.transposed_with_values(batch.values).to_dense().T
        torch.testing.assert_close(back, matrix.to_dense(), rtol=0, atol=0)
    return found


@pytest.mark.parametrize("batch_size", [0, 1, 7, 1000])
def test_every_chosen_rating_is_dealt_out_once(batch_size: int) -> None:
    chosen: Array = np.arange(TILE.n_ratings) % 3 > 0
    batches = cells(list(shuffled_batches(TILE, chosen, TILE.values, batch_size, seed=1)))
    n = int(chosen.sum())
    size = min(batch_size, n) or n
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert len(batches) == -(-n // size)
    assert all(batch == sorted(batch) for batch in batches)
    wanted = zip(TILE.rows[chosen], TILE.indices[chosen], TILE.values[chosen], strict=True)
    assert sorted(cell for batch in batches for cell in batch) == [
        (int(u), int(i), float(r)) for u, i, r in wanted
    ]


def test_batches_depend_on_the_seed_alone() -> None:
    every = np.ones(TILE.n_ratings, bool)
    once, again, other = (
        cells(list(shuffled_batches(TILE, every, TILE.values, 7, seed))) for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other
    assert not list(shuffled_batches(NONE, np.empty(0, bool), NONE.values, 7, 1))


def test_sums_over_raters() -> None:
    rows = factors(3, 9).detach().numpy()
    chosen: Array = np.arange(TILE.n_ratings) % 4 > 0
    expected = np.zeros((13, 5))
    for u, i, kept in zip(TILE.rows, TILE.indices, chosen, strict=True):
        expected[u] += kept * rows[i]
    np.testing.assert_allclose(sums_over_raters(TILE, chosen, rows), expected, atol=1e-5)
