from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.arrays.ordering import order_of, order_of_pairs


@pytest.mark.parametrize(
    ("n_rows", "n_columns"),
    [(1, 1), (3, 2), (65_536, 65_537), (70_000, 9), (2**31 - 1, 2**31 - 1)],
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_pairs_in_the_order_of_lexsort(n_rows: int, n_columns: int, dtype: type) -> None:
    """Equal pairs included, which keep the order they came in; also with digits of all sizes."""
    rng = np.random.default_rng(1)
    rows, columns = (
        np.append(rng.integers(0, n, 500), [n - 1, 0]).astype(dtype)[rng.integers(0, 502, 900)]
        for n in (n_rows, n_columns)
    )
    expected = np.lexsort((columns, rows))
    assert order_of_pairs(rows, columns, n_rows, n_columns).tolist() == expected.tolist()


def test_no_pairs() -> None:
    none = np.empty(0, np.int64)
    assert len(order_of_pairs(none, none, 0, 0)) == 0


def test_numbers_in_stable_order() -> None:
    numbers = np.random.default_rng(1).integers(0, 70_000, 2_000) // 300 * 300
    assert order_of(numbers, 70_000).tolist() == np.argsort(numbers, kind="stable").tolist()
