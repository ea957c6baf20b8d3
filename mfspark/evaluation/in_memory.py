"""The numbers of each user that metrics are made of, from arrays: for what one task measures.

The same formulas as in `evaluation.metrics`, which takes DataFrames of any size.
"""

from __future__ import annotations

import numpy as np

from mfspark.evaluation.catalog import Z95, Metric


def errors_of_users(users: np.ndarray, errors: np.ndarray, n_users: int) -> dict[str, np.ndarray]:
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


def ranking_of_users(
    users: np.ndarray, ranks: np.ndarray, hits: np.ndarray, n_relevant: np.ndarray, k: int
) -> dict[str, np.ndarray]:
    """Return the ranking metrics at k of each user, float64 (n_users); 0 without a relevant item.

    users int (m), ranks int (m), from 1, and hits bool (m): the entries of all lists, in any order.
    n_relevant int (n_users).

    >>> users, ranks = np.array([0, 0]), np.array([1, 2])
    >>> found = ranking_of_users(users, ranks, np.array([False, True]), np.array([1, 0]), k=2)
    >>> found["precision"].tolist(), found["mrr"].tolist(), found["map"].tolist()
    ([0.5, 0.0], [0.5, 0.0], [0.5, 0.0])
    """
    n_users, counted = len(n_relevant), hits & (ranks <= k)
    users, ranks = users[counted], ranks[counted]
    order = np.lexsort((ranks, users))
    users, ranks = users[order], ranks[order]
    n_hits = np.bincount(users, minlength=n_users)
    first = np.cumsum(n_hits) - n_hits  # of the hits of each user
    so_far = np.arange(len(users)) - first[users] + 1
    discounts = 1 / np.log2(np.arange(1, k + 1) + 1.0)
    best = np.concatenate([[1.0], np.cumsum(discounts)])
    capped = np.minimum(n_relevant, k)
    some, wanted = np.maximum(capped, 1), np.maximum(n_relevant, 1)
    top = np.zeros(n_users)
    top[n_hits > 0] = 1 / ranks[first[n_hits > 0]]
    return {
        "precision": n_hits / k,
        "recall": n_hits / wanted,
        "recall_capped": n_hits / some,
        "ndcg": np.bincount(users, discounts[ranks - 1], n_users) / best[capped],
        "hit_rate": (n_hits > 0).astype(np.float64),
        "mrr": top,
        "map": np.bincount(users, so_far / ranks, n_users) / some,
    }


def value_of_users(metric: Metric, sums: np.ndarray) -> np.ndarray:
    """Return a metric of the sums of these numbers over users: (..., 2) to (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[..., 0] / sums[..., 1]
    return np.sqrt(mean) if metric.root else mean


def interval_of(metric: Metric, users: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95% interval of a metric, as a night's; None below two users.

    users float64 (users, 2): the numbers of each. A mean over users, or one over ratings that are
    clustered by user (docs/evaluation.md).
    """
    if len(users) < 2:
        return None, None
    total, n = users.T
    mean = total.sum() / n.sum()
    if metric.kind == "ranking":
        half = Z95 * total.std(ddof=1) / len(users) ** 0.5
        return max(0.0, float(mean - half)), min(1.0, float(mean + half))
    half = Z95 * np.square(total - mean * n).sum() ** 0.5 / n.sum()
    ends = max(0.0, float(mean - half)), float(mean + half)
    return (ends[0] ** 0.5, ends[1] ** 0.5) if metric.root else ends


def gain(metric: Metric, sums: np.ndarray) -> np.ndarray:
    """Return by how much a metric is better, from sums over users; (..., 4) to (...).

    sums: the two numbers of what is compared with, then of what is compared.
    """
    change = value_of_users(metric, sums[..., 2:]) - value_of_users(metric, sums[..., :2])
    return -change if metric.lower_is_better else change
