"""The paired bootstrap, against planted changes and the textbook interval."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mfspark.evaluation import bootstrap
from mfspark.evaluation.bootstrap import paired_change, worsening
from mfspark.evaluation.catalog import NDCG, RMSE

rmse_rise, mean_fall = partial(worsening, RMSE), partial(worsening, NDCG)


def errors(n_users: int, seed: int, worse: float = 1.0, noise: float = 0.05) -> np.ndarray:
    """Squared errors and counts of both runs; users differ much more than the runs do.

    The factor between the runs has the mean worse^2.
    """
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 9, n_users).astype(float)
    squared = rng.gamma(2.0, 0.5, n_users) * n
    later = squared * worse**2 * np.exp(rng.normal(-(noise**2) / 2, noise, n_users))
    return np.stack([squared, n, later, n], axis=1)


def test_metrics_of_sums() -> None:
    assert rmse_rise(np.array([[8.0, 2.0, 27.0, 3.0]])) == pytest.approx([0.5])  # 2 and 3
    assert mean_fall(np.array([[4.0, 3.0]])) == pytest.approx([0.25])


def test_a_planted_rise_is_found_with_its_size() -> None:
    change = paired_change(errors(500, 1, worse=1.10), rmse_rise, seed=3)
    assert change.value == pytest.approx(0.10, abs=0.005)
    assert change.low < change.value < change.high
    assert change.low > 0.09
    assert change.n_users == 500


def test_pairing_is_what_makes_it_sure() -> None:
    users = errors(500, 1, worse=1.10)
    shuffled = users.copy()
    shuffled[:, 2:] = np.random.default_rng(0).permutation(users[:, 2:])
    paired, unpaired = (paired_change(u, rmse_rise, 3) for u in (users, shuffled))
    assert paired.value == pytest.approx(unpaired.value)
    assert unpaired.high - unpaired.low > 5 * (paired.high - paired.low)


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    rng = np.random.default_rng(5)
    users = np.stack([np.ones(400), 0.8 + rng.normal(0, 0.3, 400)], axis=1)
    change = paired_change(users, mean_fall, seed=1)
    mean, error = 1 - users[:, 1].mean(), users[:, 1].std(ddof=1) / 20
    assert change.value == pytest.approx(mean)
    assert change.low == pytest.approx(mean - 1.96 * error, abs=0.1 * error * 1.96)
    assert change.high == pytest.approx(mean + 1.96 * error, abs=0.1 * error * 1.96)


def test_its_intervals_cover_no_change_as_often_as_they_should() -> None:
    covered = [
        (c := paired_change(errors(200, seed, noise=0.3), rmse_rise, seed)).low <= 0 <= c.high
        for seed in range(1000, 1100)
    ]
    assert 88 <= sum(covered) <= 99  # 95 of 100, three standard deviations


def test_groups_of_users_give_the_interval_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    users = errors(5000, 2, worse=1.02)
    total = paired_change(users, lambda sums: sums[:, 0], 4)
    assert total.low < users[:, 0].sum() < total.high
    grouped = paired_change(users, rmse_rise, 4)
    monkeypatch.setattr(bootstrap, "GROUPS", 5000)
    single = paired_change(users, rmse_rise, 4)
    assert grouped.value == pytest.approx(single.value)
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.12)


def test_the_same_seed_gives_the_same_numbers() -> None:
    users = errors(50, 2)
    assert paired_change(users, rmse_rise, 4) == paired_change(users, rmse_rise, 4)
    assert paired_change(users, rmse_rise, 4) != paired_change(users, rmse_rise, 5)


def test_nothing_then_is_no_number() -> None:
    users = np.array([[0.0, 0.5], [0.0, 0.0]])
    assert not np.isfinite(paired_change(users, mean_fall, 1).value)
