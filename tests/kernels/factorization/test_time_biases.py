from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.factorization.time_biases import (
    NO_BIN,
    TimeBins,
    averages_of_rows,
    sample_bias_precision,
    sample_time_biases,
    sums_of_bins,
)

Array = np.ndarray
NAN = np.nan


def drawn_example() -> tuple[Array, Array, TimeBins]:
    """The row of the module's docstring, and one more that has ratings around the epoch."""
    rows = np.array([0, 0, 0, 1, 1, 1])
    minutes = np.array([2.0, 4.0, 5.0, -1.0, 0.0, NAN])
    return rows, minutes, TimeBins.of(rows, minutes, (3, 1))


def test_time_bins_are_numbered_by_length_row_and_window() -> None:
    rows, minutes, bins = drawn_example()
    assert bins.starts.tolist() == [0, 4, 9]
    assert bins.numbers(rows, minutes).tolist() == [
        [0, 1, 1, 2, 3, NO_BIN],
        [4, 5, 6, 7, 8, NO_BIN],
    ]
    assert bins.length_of.tolist() == 4 * [0] + 5 * [1]
    again = TimeBins.from_arrays(bins.arrays())
    assert again.lengths.tolist() == [3, 1]
    assert again.numbers(rows, minutes).tolist() == bins.numbers(rows, minutes).tolist()


def test_a_window_without_ratings_has_no_bin() -> None:
    _, _, bins = drawn_example()
    asked = bins.numbers(np.array([0, 0, 1, 1]), np.array([3.0, 6.0, 2.0, -3.0]))
    assert asked.tolist() == [[1, NO_BIN, 3, 2], 4 * [NO_BIN]]
    nothing = TimeBins.of(np.array([0]), np.array([NAN]), (3, 1))
    assert nothing.numbers(np.array([0]), np.array([1.0])).tolist() == [[NO_BIN]] * 2


def test_keys_do_not_depend_on_the_cut() -> None:
    """Rows 0 and 1 as rows 4 and 1 of all; alone in a block of their own they are the same."""
    rows, minutes, bins = drawn_example()
    both = bins.global_keys(np.array([4, 1]))
    alone = TimeBins.of(rows[:3], minutes[:3], (3, 1)).global_keys(np.array([4]))
    assert both[[0, 1, 4, 5, 6]].tolist() == alone.tolist()
    assert len(set(both[:4].tolist())) == 4


def test_sums_leave_out_what_is_missing() -> None:
    rows, minutes, bins = drawn_example()
    values = np.array([1, 2, 3, 4, 10, 20, 30, 40, 50], np.float32)
    sums = sums_of_bins(values, bins.numbers(rows, minutes))
    assert sums.tolist() == [11, 22, 32, 43, 54, 0]


def test_averages_weigh_bins_by_their_ratings() -> None:
    rows, minutes, bins = drawn_example()
    numbers = bins.numbers(rows, minutes)
    n = np.bincount(numbers[numbers != NO_BIN], minlength=bins.n)
    bias = np.array([1, 4, 3, 4, 10, 20, 60, 40, 50], np.float64)
    averages = averages_of_rows(bias, n, bins, 3)
    np.testing.assert_allclose(averages, [[(1 + 4 + 4) / 3, 30], [3.5, 45], [0, 0]])


def test_without_noise_a_draw_is_the_conditional_mean() -> None:
    """One length after the other, each given the new biases of those before: dense regressions."""
    rng = np.random.default_rng(1)
    rows, minutes = rng.integers(0, 4, 60), rng.integers(0, 12, 60).astype(float)
    minutes[:3] = NAN
    bins = TimeBins.of(rows, minutes, (6, 2))
    numbers, last = bins.numbers(rows, minutes), rng.normal(size=bins.n)
    residual, alpha = rng.normal(size=60), rng.uniform(0.3, 4.0, 60)
    precision = np.array([0.5, 3.0])
    found = sample_time_biases(residual, numbers, last, precision, alpha, np.zeros(bins.n))
    bias, onehot = last.copy(), [np.eye(bins.n + 1)[mine][:, :-1] for mine in numbers]
    for s in range(2):
        mine = slice(bins.starts[s], bins.starts[s + 1])
        X = onehot[s][:, mine]
        other = residual - onehot[1 - s] @ bias
        A = (alpha * X.T) @ X + precision[s] * np.eye(X.shape[1])
        bias[mine] = np.linalg.solve(A, (alpha * X.T) @ other)
    np.testing.assert_allclose(found, bias, atol=1e-6)
    spread = sample_time_biases(residual, numbers, last, precision, alpha, np.eye(bins.n)[0])
    known = alpha[numbers[0] == 0].sum()
    assert spread[0] - found[0] == pytest.approx((known + 0.5) ** -0.5)


def test_precision_is_drawn_around_the_biases() -> None:
    rng = np.random.default_rng(2)
    squares, n = np.array([250.0, 40.0]), np.array([1_000, 1_000])
    draws = [sample_bias_precision(squares, n, rng) for _ in range(500)]
    np.testing.assert_allclose(np.mean(draws, axis=0), [4.0, 25.0], rtol=0.02)
