"""Paired bootstrap over users: how much did a metric change, and between which bounds?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mfspark.evaluation.catalog import Metric

DRAWS = 1000
GROUPS = 1000
"""More users than this are put into so many random groups, which are drawn instead of users: the
spread of the sums is the same, and the work no longer grows with the users."""


@dataclass(frozen=True)
class Change:
    """A change with its interval, of 95% where nothing else was asked for."""

    value: float
    low: float
    high: float
    n_users: int


def paired_change(
    users: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int,
    *,
    outside: float = 0.05,
    draws: int = DRAWS,
) -> Change:
    """Return a statistic of the users' sums, with its percentile interval (Efron 1979).

    `users` float64 (users, c): of each user c numbers, of what is compared side by side, so that a
    draw takes both or neither. `statistic` maps sums (draws, c) to values (draws). The interval
    leaves the share `outside` of the draws out, half of them at either end.
    """
    rng = np.random.default_rng(seed)
    rows = users if len(users) <= GROUPS else _grouped(users, rng)
    n = len(rows)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    values = statistic(weights @ rows)
    low, high = np.nanquantile(values, (outside / 2, 1 - outside / 2))
    value = statistic(users.sum(0, keepdims=True))[0]
    return Change(float(value), float(low), float(high), len(users))


def _grouped(users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add users up in random groups of almost the same size (they differ by one at most)."""
    group = rng.permutation(len(users)) % GROUPS
    return np.stack([np.bincount(group, column, GROUPS) for column in users.T], axis=1)


def worsening(metric: Metric, sums: np.ndarray) -> np.ndarray:
    """Return by what share a metric got worse, from sums over users.

    `sums` float64 (..., 2 c): the metric's c columns of the reference run, then of tonight.
    """
    c = len(metric.columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = metric.value(sums[..., c:]) / metric.value(sums[..., :c])
        return ratio - 1 if metric.lower_is_better else 1 - ratio
