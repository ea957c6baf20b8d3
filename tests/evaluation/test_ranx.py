"""Every ranking metric beside ranx (Bassani 2022), which shares nothing with ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.evaluation import catalog
from mfspark.evaluation.metrics import figure_of, ranking_of_users, shares_of, sums_of

ranx = pytest.importorskip("ranx", reason="ranx is not installed (it is among the dev packages)")

N_USERS, N_ITEMS = 80, 60
THEIRS = {
    "precision": "precision",
    "recall": "recall",
    "ndcg": "ndcg",
    "hit_rate": "hit_rate",
    "mrr": "mrr",
    "map": "map",
}
"""What ranx calls our metrics. Its map divides by all relevant items, ours by at most k of them."""


def made(seed: int, longest: int) -> tuple[list[np.ndarray], list[list[int]]]:
    """Return a list and the relevant items of every user; some lists are short or without hit."""
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(N_ITEMS)[: 1 + rng.integers(longest)] for _ in range(N_USERS)]
    relevant = [rng.permutation(N_ITEMS)[: 1 + rng.integers(25)].tolist() for _ in range(N_USERS)]
    return lists, relevant


def of_ranx(lists: list[np.ndarray], relevant: list[list[int]], k: int) -> dict[str, np.ndarray]:
    """Return each metric of each user."""
    qrels = ranx.Qrels({f"u{u}": {f"i{i}": 1 for i in r} for u, r in enumerate(relevant)})
    run = ranx.Run(
        {
            f"u{u}": {f"i{i}": float(len(ranked) - place) for place, i in enumerate(ranked)}
            for u, ranked in enumerate(lists)
        }
    )
    names = [f"{name}@{k}" for name in THEIRS.values()]
    scores = ranx.evaluate(qrels, run, names, return_mean=False)
    order = np.argsort([int(q.removeprefix("u")) for q in qrels.keys()])  # noqa: SIM118
    return {ours: scores[f"{theirs}@{k}"][order] for ours, theirs in THEIRS.items()}


def as_ours(theirs: dict[str, np.ndarray], n_relevant: np.ndarray, k: int) -> dict[str, Any]:
    """Return all of our metrics; two of them divide by at most k relevant items."""
    share = n_relevant / np.minimum(n_relevant, k)
    return theirs | {"map": theirs["map"] * share, "recall_capped": theirs["recall"] * share}


@pytest.mark.parametrize("k", [1, 5, 10, 40])
def test_every_ranking_metric_is_that_of_ranx(k: int) -> None:
    lists, relevant = made(k, longest=50)
    n_relevant = np.array([len(each) for each in relevant])
    theirs = as_ours(of_ranx(lists, relevant, k), n_relevant, k)
    assert theirs.keys() == {metric.name for metric in catalog.of_kind("ranking")}
    hits = np.zeros((N_USERS, k), bool)
    for u, ranked in enumerate(lists):
        hits[u, : len(ranked)] = [i in relevant[u] for i in ranked[:k].tolist()]
    users = ranking_of_users(hits, n_relevant)
    for metric in catalog.of_kind("ranking"):
        expected = theirs[metric.name]
        np.testing.assert_allclose(users[metric.columns[0]], expected, rtol=0, atol=1e-9)
        mean = figure_of(metric, sums_of(shares_of(metric, users))).value
        assert mean == pytest.approx(expected.mean(), abs=1e-9)
