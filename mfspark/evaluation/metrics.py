"""Metrics of rating predictions and of ranked lists, with 95% confidence intervals.

First the numbers of each user (`errors_of_users`, `intervals_of_users`, `ranking_of_users`; with
the figures of lists they are the columns of table `user_metrics`), then sums over users
(`sums_of_users`), which add up over blocks, then metrics (`figure_of`). Which metrics there are:
`evaluation.catalog`; formulas: docs/evaluation.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mfspark.evaluation.catalog import Z95, Metric, of_users

Users = dict[str, np.ndarray]
"""Numbers of each user, by the columns of `user_metrics`."""


def errors_of_users(users: np.ndarray, errors: np.ndarray, n_users: int) -> Users:
    """Return the sums of errors and the number of ratings of each user, float64 (n_users) each.

    users int (n): whose rating it is, below n_users; errors float64 (n).

    >>> found = errors_of_users(np.array([0, 0, 2]), np.array([1.0, -2.0, 0.5]), 3)
    >>> found["squared_error"].tolist(), found["n_test"].tolist()
    ([5.0, 0.0, 0.25], [2.0, 0.0, 1.0])
    """
    return {
        "squared_error": np.bincount(users, errors * errors, n_users),
        "absolute_error": np.bincount(users, np.abs(errors), n_users),
        "n_test": np.bincount(users, minlength=n_users).astype(np.float64),
    }


def intervals_of_users(
    users: np.ndarray, low: np.ndarray, high: np.ndarray, ratings: np.ndarray, n_users: int
) -> Users:
    """Return what intervals held of each user, float64 (n_users) each.

    users as above; low and high float64 (n): the ends, which belong to the interval; NaN where a
    prediction has none. n_intervals counts those that have one, n_inside ratings inside;
    interval_width is the sum of the widths.
    """
    there = ~np.isnan(low)
    inside = (ratings >= low) & (ratings <= high)  # which NaN never is
    return {
        "n_intervals": np.bincount(users, there, n_users),
        "n_inside": np.bincount(users, inside, n_users),
        "interval_width": np.bincount(users, np.where(there, high - low, 0.0), n_users),
    }


def ranking_of_users(hits: np.ndarray, n_relevant: np.ndarray) -> Users:
    """Return the ranking metrics at k of each user, float64 (n_users); 0 without a relevant item.

    hits bool (n_users, k): whether the entry at each rank is relevant; False where a list ended.
    n_relevant int (n_users): relevant items of each, which `n_relevant` gives back.

    >>> found = ranking_of_users(np.array([[False, True], [False, False]]), np.array([1, 0]))
    >>> found["precision"].tolist(), found["mrr"].tolist(), found["map"].tolist()
    ([0.5, 0.0], [0.5, 0.0], [0.5, 0.0])
    """
    k = hits.shape[1]
    ranks = np.arange(1, k + 1)
    n_hits = hits.sum(1)
    discounts = 1 / np.log2(ranks + 1.0)
    best = np.concatenate([[1.0], np.cumsum(discounts)])
    capped = np.minimum(n_relevant, k)
    some, wanted = np.maximum(capped, 1), np.maximum(n_relevant, 1)
    return {
        "n_relevant": n_relevant.astype(np.float64),
        "precision": n_hits / k,
        "recall": n_hits / wanted,
        "recall_capped": n_hits / some,
        "ndcg": (hits * discounts).sum(1) / best[capped],
        "hit_rate": (n_hits > 0).astype(np.float64),
        "mrr": np.where(n_hits > 0, 1 / (hits.argmax(1) + 1), 0.0),
        "map": (hits * (np.cumsum(hits, axis=1) / ranks)).sum(1) / some,
    }


def as_published(users: Users) -> Users:
    """Return the numbers as `user_metrics` has them: NaN of users who were not measured by one."""
    counted = {
        metric.columns[0]: metric.counted for metric in of_users() if metric.kind != "listed"
    }
    counted |= {"n_test": "n_test", "n_intervals": "n_test", "n_relevant": "n_relevant"}
    return {
        name: np.where(users[counted[name]] > 0, column, np.nan) if name in counted else column
        for name, column in users.items()
    }


def shares_of(metric: Metric, users: Users) -> np.ndarray:
    """Return what a metric is made of, float64 (m, 2): a total, and what it is divided by.

    Of the m users who were measured by it: none where a column is missing.
    """
    if not {*metric.columns, metric.counted} <= users.keys():
        return np.empty((0, 2))
    total, counted = users[metric.columns[0]], users[metric.counted]
    if metric.kind == "listed":
        measured, weight = ~np.isnan(total), np.ones(len(total))
    elif metric.kind == "ranking":
        measured, weight = counted > 0, np.ones(len(total))
    else:
        measured, weight = counted > 0, counted
    return np.column_stack([total, weight])[measured].astype(np.float64)


def sums_of(shares: np.ndarray) -> np.ndarray:
    """Return the sums over users that `figure_of` needs, float64 (6); shares as `shares_of`."""
    total, n = shares.T
    return np.array([len(n), n.sum(), n @ n, total.sum(), total @ total, total @ n])


def sums_of_users(users: Users) -> np.ndarray:
    """Return the sums of all metrics, float64 (metrics, 6); those of blocks add up.

    In the order of `catalog.of_users`.
    """
    return np.stack([sums_of(shares_of(metric, users)) for metric in of_users()])


class MetricFigure(NamedTuple):
    """One metric of one model; the interval is of 95%, None where it is not known."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Users it is a mean over, or ratings."""


def figure_of(metric: Metric, sums: np.ndarray) -> MetricFigure:
    """Return a metric of sums over users, float64 (6).

    With S_u the total of a user, n_u what it is divided by: L = sum S_u / sum n_u, and Var(L) =
    sum (S_u - L n_u)^2 / (sum n_u)^2, the linearisation of a ratio of two sums whose ratings are
    clustered by user. Where n_u = 1 that is a mean over users, with its usual n - 1. The root,
    where the metric is one, is taken of L and of its interval's ends. No interval below two users.
    """
    n_users, n, nn, total, squares, across = sums.tolist()
    if n <= 0:
        return MetricFigure(None, None, None, 0)
    mean = total / n
    over_users = metric.kind in ("ranking", "listed")
    low = high = None
    if n_users >= 2 and metric.kind != "interval":
        residual = max(0.0, squares - 2 * mean * across + mean * mean * nn)  # rounding: below 0
        half = Z95 * residual**0.5 / n * ((n_users / (n_users - 1)) ** 0.5 if over_users else 1.0)
        low, high = max(0.0, mean - half), mean + half
        if over_users:
            high = min(high, metric.most)
    value, low, high = (
        end if end is None or not metric.root else end**0.5 for end in (mean, low, high)
    )
    return MetricFigure(value, low, high, int(n))


def value_of_users(metric: Metric, sums: np.ndarray) -> np.ndarray:
    """Return a metric of the sums of shares over users: (..., 2) to (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[..., 0] / sums[..., 1]
    return np.sqrt(mean) if metric.root else mean


def gain(metric: Metric, sums: np.ndarray) -> np.ndarray:
    """Return by how much a metric is better, from sums over users; (..., 4) to (...).

    sums: the two numbers of what is compared with, then of what is compared.
    """
    change = value_of_users(metric, sums[..., 2:]) - value_of_users(metric, sums[..., :2])
    return -change if metric.lower_is_better else change
