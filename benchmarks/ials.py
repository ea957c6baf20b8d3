"""iALS against implicit's, in one run: seconds an iteration, NDCG@10 and peak memory at rank 64.

    python -m benchmarks.ials                                     1 M and 5 M ratings
    python -m benchmarks.ials --ratings 20000000 --iterations 5   138 k users x 27 k items
    python -m benchmarks.ials --tune 0.25 1 4                     implicit at multiples of its reg

Both weigh a choice by 1 + alpha * rating, start from small random factors and take three steps of
conjugate gradients a row, with two threads. Ours regularises a row by reg times the confidence of
all its cells, implicit by a constant. Exchanging scale between the sides changes no prediction, so
only the product of both sides' regularisation counts: the equivalent constant is the geometric
mean of our mean row of either side. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.installed import installed
from benchmarks.trial import Row, Trial, measured, print_table, trial_of
from mfspark.config.models import IALSOptions
from mfspark.models.factor_model import FactorModel

threadpool_limits = installed("threadpoolctl").threadpool_limits

N, RANK, THREADS = 10, 64, len(os.sched_getaffinity(0))
PEER = "implicit"
OPTIONS = IALSOptions(rank=RANK)


def median(seconds: list[float]) -> float:
    """Return the middle one."""
    return sorted(seconds)[len(seconds) // 2]


def ours(trial: Trial, iterations: int) -> Row:
    """Fit as a night does and rank."""
    assert trial.train.n_ratings  # cut before the clock starts, as implicit gets its matrix
    model, seconds, gib = measured(lambda: trial.fit("ials", rank=RANK, max_iter=iterations, tol=0))
    assert isinstance(model, FactorModel)
    lists = trial.whole(model.recommend(trial.grid(), N, "lists"), "indices")
    note = f"NDCG@{N} {trial.ndcg(lists):.4f}; whole fit {seconds:.1f} s"
    return Row("mfspark", median([loss.seconds for loss in model.history]), gib, note)


def equivalent_constant(trial: Trial) -> float:
    """Return the geometric mean over both sides of our mean regularisation of a row."""
    users, items, ratings = trial.arrays()
    confidence = OPTIONS.alpha * float(ratings.sum(dtype=np.float64))
    n_users, n_items = len(np.unique(users)), len(np.unique(items))
    user = OPTIONS.reg * (confidence / n_users + n_items)
    item = OPTIONS.reg * (confidence / n_items + n_users)
    return (user * item) ** 0.5


def implicit(trial: Trial, iterations: int, multiple: float) -> Row:
    """The same for implicit.als, whose matrix holds 1 + alpha * rating."""
    peer = installed("implicit.cpu.als")
    users, items, ratings = trial.arrays()
    shape = trial.spec.n_users, trial.spec.n_items
    confidence = csr_matrix((1 + OPTIONS.alpha * ratings, (users, items)), shape, np.float32)
    reg = multiple * equivalent_constant(trial)
    with threadpool_limits(1, "blas"):  # as implicit asks for: it runs threads of its own
        model = peer.AlternatingLeastSquares(
            RANK, reg, iterations=iterations, num_threads=THREADS, random_state=1
        )
    each: list[float] = []

    def fit() -> None:
        with threadpool_limits(1, "blas"):
            model.fit(confidence, show_progress=False, callback=lambda *a: each.append(a[1]))

    _, seconds, gib = measured(fit)
    with threadpool_limits(1, "blas"):
        lists, _ = model.recommend(np.arange(shape[0]), confidence, N)
    note = f"NDCG@{N} {trial.ndcg(lists):.4f}; whole fit {seconds:.1f} s; regularization {reg:.0f}"
    return Row(PEER if multiple == 1 else f"{PEER} x{multiple:g}", median(each), gib, note)


def main() -> None:
    """Measure the sizes asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--tune", type=float, nargs="+", default=[1.0])
    parser.add_argument("--without", nargs="*", default=[], choices=["mfspark", "implicit"])
    args = parser.parse_args()
    for n_ratings in args.ratings:
        with trial_of(n_ratings) as trial:
            rows = [] if "mfspark" in args.without else [ours(trial, args.iterations)]
            if "implicit" not in args.without:
                rows += [implicit(trial, args.iterations, multiple) for multiple in args.tune]
            shape = f"{trial.spec.n_users:,} users x {trial.spec.n_items:,} items"
            title = f"{n_ratings:,} ratings, {shape}, rank {RANK}, {args.iterations} iterations"
            print_table(f"iALS: {title}", "seconds an iteration", rows, PEER)


if __name__ == "__main__":
    main()
