from __future__ import annotations

import numpy as np
import pytest

from mfspark.kernels.factorization.time_biases import (
    NO_PERIOD,
    Periods,
    averages_of_rows,
    sample_period_precision,
    sample_periods,
    sums_of_periods,
)

Array = np.ndarray
NAN = np.nan


def drawn_example() -> tuple[Array, Array, Periods]:
    """The row of the module's docstring, and one more that has ratings around the epoch."""
    rows = np.array([0, 0, 0, 1, 1, 1])
    minutes = np.array([2.0, 4.0, 5.0, -1.0, 0.0, NAN])
    return rows, minutes, Periods.of(rows, minutes, (3, 1))


def test_periods_are_numbered_by_length_row_and_window() -> None:
    rows, minutes, periods = drawn_example()
    assert periods.starts.tolist() == [0, 4, 9]
    assert periods.numbers(rows, minutes).tolist() == [
        [0, 1, 1, 2, 3, NO_PERIOD],
        [4, 5, 6, 7, 8, NO_PERIOD],
    ]
    assert periods.length_of.tolist() == 4 * [0] + 5 * [1]
    again = Periods.from_arrays(periods.arrays())
    assert again.lengths == (3, 1)
    assert again.numbers(rows, minutes).tolist() == periods.numbers(rows, minutes).tolist()


def test_a_window_without_ratings_has_no_period() -> None:
    _, _, periods = drawn_example()
    asked = periods.numbers(np.array([0, 0, 1, 1]), np.array([3.0, 6.0, 2.0, -3.0]))
    assert asked.tolist() == [[1, NO_PERIOD, 3, 2], 4 * [NO_PERIOD]]
    nothing = Periods.of(np.array([0]), np.array([NAN]), (3, 1))
    assert nothing.numbers(np.array([0]), np.array([1.0])).tolist() == [[NO_PERIOD]] * 2


def test_keys_do_not_depend_on_the_cut() -> None:
    """Rows 0 and 1 as rows 4 and 1 of all; alone in a block of their own they are the same."""
    rows, minutes, periods = drawn_example()
    both = periods.global_keys(np.array([4, 1]))
    alone = Periods.of(rows[:3], minutes[:3], (3, 1)).global_keys(np.array([4]))
    assert both[[0, 1, 4, 5, 6]].tolist() == alone.tolist()
    assert len(set(both[:4].tolist())) == 4


def test_sums_leave_out_what_is_missing() -> None:
    rows, minutes, periods = drawn_example()
    values = np.array([1, 2, 3, 4, 10, 20, 30, 40, 50], np.float32)
    sums = sums_of_periods(values, periods.numbers(rows, minutes))
    assert sums.tolist() == [11, 22, 32, 43, 54, 0]


def test_averages_weigh_periods_by_their_ratings() -> None:
    rows, minutes, periods = drawn_example()
    numbers = periods.numbers(rows, minutes)
    n = np.bincount(numbers[numbers != NO_PERIOD], minlength=periods.n)
    bias = np.array([1, 4, 3, 4, 10, 20, 60, 40, 50], np.float64)
    averages = averages_of_rows(bias, n, periods, 3)
    np.testing.assert_allclose(averages, [[(1 + 4 + 4) / 3, 30], [3.5, 45], [0, 0]])


def test_without_noise_a_draw_is_the_conditional_mean() -> None:
    """One length after the other, each given the new biases of those before: dense regressions."""
    rng = np.random.default_rng(1)
    rows, minutes = rng.integers(0, 4, 60), rng.integers(0, 12, 60).astype(float)
    minutes[:3] = NAN
    periods = Periods.of(rows, minutes, (6, 2))
    numbers, last = periods.numbers(rows, minutes), rng.normal(size=periods.n)
    residual, alpha, precision = rng.normal(size=60), 1.7, np.array([0.5, 3.0])
    found = sample_periods(residual, numbers, last, precision, alpha, np.zeros(periods.n))
    bias, onehot = last.copy(), [np.eye(periods.n + 1)[mine][:, :-1] for mine in numbers]
    for s in range(2):
        mine = slice(periods.starts[s], periods.starts[s + 1])
        X = onehot[s][:, mine]
        other = residual - onehot[1 - s] @ bias
        A = alpha * X.T @ X + precision[s] * np.eye(X.shape[1])
        bias[mine] = np.linalg.solve(A, alpha * X.T @ other)
    np.testing.assert_allclose(found, bias, atol=1e-6)
    spread = sample_periods(residual, numbers, last, precision, alpha, np.eye(periods.n)[0])
    n = (numbers[0] == 0).sum()
    assert spread[0] - found[0] == pytest.approx((alpha * n + 0.5) ** -0.5)


def test_precision_is_drawn_around_the_biases() -> None:
    rng = np.random.default_rng(2)
    squares, n = np.array([250.0, 40.0]), np.array([1_000, 1_000])
    draws = [sample_period_precision(squares, n, rng) for _ in range(500)]
    np.testing.assert_allclose(np.mean(draws, axis=0), [4.0, 25.0], rtol=0.02)
