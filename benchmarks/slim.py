"""SLIM against irspack's, in one run: seconds of a whole fit, NDCG@10, peak memory, objective.

    python -m benchmarks.slim                                        6,040 x 3,706, 1 M ratings
    python -m benchmarks.slim --shape 138000 27000 20000000 --without irspack

Both fit the same choices, ratings from the relevant level on, with the same l1 and l2, two threads
or tasks; ours with Spark and its tiles, as in a night. irspack looks at all items, for at most 100
rounds or until no weight moves by more than 1e-4; ours at all up to 5,000 items, beyond at the 200
nearest. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from benchmarks.installed import installed
from benchmarks.trial import Row, Trial, measured, ndcg, print_table, trial_of_spec
from mfspark.kernels.arrays.top_n import top_columns
from mfspark.models.item_weights.weight_model import ItemWeights
from mfspark.samples.synthetic import SyntheticSpec

N, THREADS, CHOICES_FROM = 10, len(os.sched_getaffinity(0)), 4.0
PEER = "irspack"


def ours(trial: Trial, l1: float, l2: float) -> tuple[Row, csr_array]:
    """Fit as a night does and rank."""
    assert trial.train.n_ratings  # cut before the clock starts, as irspack gets its matrix
    model, seconds, gib = measured(
        lambda: trial.fit("slim", choices_from=CHOICES_FROM, l1=l1, l2=l2)
    )
    assert isinstance(model, ItemWeights)
    W = weights_of(trial, model)
    lists, ranking, _ = measured(lambda: model.recommend(trial.grid(), N, "lists"))
    found = trial.ndcg(trial.whole(lists, "indices"))
    return Row("mfspark", seconds, gib, f"NDCG@{N} {found:.4f}; lists {ranking:.1f} s"), W


def weights_of(trial: Trial, model: ItemWeights) -> csr_array:
    """Return W with w_ij in row i, column j."""
    n = trial.spec.n_items
    parts = [trial.store.get(reference) for reference in model.weights.references]
    own = [trial.layout.indices("item", q) for q in range(len(parts))]
    targets = [
        np.repeat(each, np.diff(part["indptr"])) for each, part in zip(own, parts, strict=True)
    ]
    weights, items = (np.concatenate([p[name] for p in parts]) for name in ("weights", "indices"))
    return csr_array((weights, (items, np.concatenate(targets))), (n, n))


def irspack(trial: Trial, X: csr_matrix, l1: float, l2: float) -> tuple[Row, csr_array]:
    """The same for irspack.SLIMRecommender, whose options are shares of the number of users."""
    peer = installed("irspack.recommenders.slim")
    total = l1 + l2
    model = peer.SLIMRecommender(
        X, alpha=total / X.shape[0], l1_ratio=l1 / total, n_threads=THREADS
    )
    _, seconds, gib = measured(model.learn)
    W = csr_array(model.W)
    scores = np.asarray((X @ W).todense())
    users, items, _ = trial.arrays()
    scores[users, items] = -np.inf
    lists = top_columns(scores, N, np.arange(X.shape[1])).indices
    users, items, _ = trial.arrays(test=True)
    found = ndcg(lists, users.astype(np.int64), items, trial.spec.n_items)
    return Row(PEER, seconds, gib, f"NDCG@{N} {found:.4f}"), W


def objective(X: csr_matrix, W: csr_array, l1: float, l2: float) -> float:
    """Return what is minimised, over all items."""
    residual = X - X @ W
    squares = float(residual.multiply(residual).sum())
    return squares / 2 + l2 * float((W.data**2).sum()) / 2 + l1 * float(W.data.sum())


def choices(trial: Trial) -> csr_matrix:
    """Return the training choices, float64 (users, items)."""
    users, items, ratings = (part[trial.arrays()[2] >= CHOICES_FROM] for part in trial.arrays())
    shape = trial.spec.n_users, trial.spec.n_items
    return csr_matrix((np.ones(len(ratings)), (users, items)), shape)


def main() -> None:
    """Measure the shape asked for and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[6_040, 3_706, 1_000_209])
    parser.add_argument("--l1", type=float, default=1.0)
    parser.add_argument("--l2", type=float, default=200.0)
    parser.add_argument("--without", nargs="*", default=[], choices=["mfspark", "irspack"])
    args = parser.parse_args()
    n_users, n_items, n_ratings = args.shape
    with trial_of_spec(SyntheticSpec(n_users, n_items, n_ratings, seed=1)) as trial:
        X, rows = choices(trial), list[Row]()
        fits = {"mfspark": lambda: ours(trial, args.l1, args.l2),
                "irspack": lambda: irspack(trial, X, args.l1, args.l2)}  # fmt: skip
        for name, fit in fits.items():
            if name not in args.without:
                row, W = fit()
                rows.append(row)
                if n_items <= 10_000:
                    found = objective(X, W, args.l1, args.l2)
                    print(f"{name}: objective {found:,.1f}, {W.nnz:,} weights")
        shape = f"{n_ratings:,} ratings, {n_users:,} users x {n_items:,} items"
        print_table(f"SLIM: {shape}, l1 {args.l1:g}, l2 {args.l2:g}", "seconds", rows, PEER)


if __name__ == "__main__":
    main()
