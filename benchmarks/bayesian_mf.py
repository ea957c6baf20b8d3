"""Bayesian matrix factorization: seconds a sample and peak memory at rank 32, beside myFM's.

    python -m benchmarks.bayesian_mf                      1 M ratings
    python -m benchmarks.bayesian_mf --ratings 5000000    another size

Ours is fitted as in a night: one task of Spark, all cores, rating patterns on both sides. A sample
is a draw of everything: users, items and both priors. myFM draws by one thread, and without
patterns; of it a few samples are enough to tell the time. myFM 0.4.0 needs setuptools<81.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.sparse import csr_matrix, hstack

from benchmarks.installed import installed
from benchmarks.trial import Array, Row, Trial, measured, print_table, trial_of

RANK, BURN_IN = 32, 10
PEER = "myFM"


def ours(trial: Trial, samples: int, patterns: int) -> Row:
    """Return a row with the median seconds of an iteration."""
    assert trial.train.n_ratings  # cut before the clock starts
    options = {"rank": RANK, "burn_in": BURN_IN, "samples": samples, "pattern_features": patterns}
    model, seconds, gib = measured(lambda: trial.fit("bayesian_mf", **options))
    each = sorted(loss.seconds for loss in model.history)[len(model.history) // 2]
    note = f"RMSE {trial.rmse(model):.4f} after {BURN_IN} + {samples}; whole fit {seconds:.1f} s"
    return Row(f"mfspark, {patterns} pattern features", each, gib, note)


def one_hot(users: Array, items: Array, shape: tuple[int, int]) -> csr_matrix:
    """Return a 1 for the user and a 1 for the item of each rating."""
    ones, rows = np.ones(len(users)), np.arange(len(users))
    sides = zip((users, items), shape, strict=True)
    return hstack([csr_matrix((ones, (rows, at)), (len(at), n)) for at, n in sides]).tocsr()


def myfm(trial: Trial, samples: int) -> Row:
    """The same for myFM: the time of a whole fit over its samples."""
    users, items, ratings = trial.arrays()
    shape = trial.spec.n_users, trial.spec.n_items
    X = one_hot(users, items, shape)
    model = installed("myfm").MyFMRegressor(rank=RANK, random_seed=1)
    _, seconds, gib = measured(
        lambda: model.fit(X, ratings, n_iter=samples, n_kept_samples=1, group_shapes=list(shape))
    )
    return Row(PEER, seconds / samples, gib, f"{samples} samples")


def main() -> None:
    """Measure the sizes asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--patterns", type=int, nargs="+", default=[512])
    parser.add_argument("--alone", action="store_true", help="leave out myFM")
    args = parser.parse_args()
    for n_ratings in args.ratings:
        with trial_of(n_ratings) as trial:
            rows = [ours(trial, args.samples, patterns) for patterns in args.patterns]
            if not args.alone:
                rows.append(myfm(trial, max(3, args.samples // 4)))
        shape = f"{trial.spec.n_users:,} users x {trial.spec.n_items:,} items"
        title = f"{n_ratings:,} ratings, {shape}, rank {RANK}"
        print_table(f"Bayesian MF: {title}", "seconds a sample", rows, PEER)


if __name__ == "__main__":
    main()
