"""RMSE on MovieLens 100K, 5-fold and on the canonical split u1, beside Surprise and myFM.

    python -m benchmarks.accuracy                              our models
    python -m benchmarks.accuracy --models als SVD SVDpp       some, and peers
    python -m benchmarks.accuracy --models bayesian_mf+ bayesian_mf++
                                                               with attributes; and with times
    python -m benchmarks.accuracy --folds 2                    only the first two of the five

Folds are random, one seed, the same for all. Every model has its default options; predictions are
kept inside 1..5, and ours are filled from `baseline` where they know nothing, as in a night. The
data lie in $MFSPARK_TEST_DATA/ml-100k, or ../shared/data/ml-100k. The defaults of `als` were chosen
on validation ratings of u1.base and other sets (docs/decisions.md, 33). myFM needs setuptools<81.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from benchmarks.bayesian_mf import one_hot
from benchmarks.in_process import fit
from benchmarks.installed import installed
from benchmarks.movielens import N_FOLDS, N_ITEMS, N_USERS, Ratings, data_folder, rmse, splits
from mfspark.config.config import IngestOptions
from mfspark.config.models import ModelName
from mfspark.ingest.side_tables.items import read_items
from mfspark.ingest.side_tables.users import read_users
from mfspark.kernels.factorization.side_features import item_attributes, user_attributes
from mfspark.schemas import Side

threadpool_limits = installed("threadpoolctl").threadpool_limits

Array = np.ndarray

OURS = ("baseline", "als", "torch_mf", "bayesian_mf")
TIME_BINS = {"user_time_bins": (1440, 10, 1)}  # a day, ten minutes, a minute
SURPRISE = ("SVD", "SVDpp", "KNNBaseline")


def ours(
    name: ModelName, *, attributes: bool = False, **options: object
) -> Callable[[Ratings, Ratings], Array]:
    """Return what fits one of our models on the first ratings and predicts the second."""

    def predicted(train: Ratings, test: Ratings) -> Array:
        known = attributes_of(data_folder()) if attributes else None
        scores = fit(train, name, known, **options).predict(test)
        if np.isnan(scores).any():
            scores = np.where(np.isnan(scores), fit(train, "baseline").predict(test), scores)
        return np.where(np.isnan(scores), train.values.mean(), scores)

    return predicted


@cache
def attributes_of(folder: Path) -> dict[Side, Array]:
    """Return the features of users (age, gender, occupation, zip) and items (genres, year)."""
    users = read_users([str(folder / "u.user")], IngestOptions()).table
    items = read_items([str(folder / "u.item")], IngestOptions()).table
    attributes = dict(
        zip(users["user_id"].to_pylist(), users["attributes"].to_pylist(), strict=True)
    )
    films = {row["item_id"]: row for row in items.to_pylist()}
    rows = [films[str(i + 1)] for i in range(len(films))]
    of_users, _ = user_attributes([attributes[str(u + 1)] for u in range(len(attributes))])
    of_items, _ = item_attributes([r["title"] for r in rows], [r["genres"] for r in rows])
    return {"user": of_users, "item": of_items}


def surprise(name: str) -> Callable[[Ratings, Ratings], Array]:
    """Return the same for an algorithm of scikit-surprise with its default options."""

    def predicted(train: Ratings, test: Ratings) -> Array:
        peer = installed("surprise")
        options = {"verbose": False} if name == "KNNBaseline" else {"random_state": 1}
        model = getattr(peer, name)(**options)
        table = pd.DataFrame({"user": train.users, "item": train.items, "rating": train.values})
        model.fit(peer.Dataset.load_from_df(table, peer.Reader()).build_full_trainset())
        pairs = zip(test.users.tolist(), test.items.tolist(), test.values.tolist(), strict=True)
        return np.array([found.est for found in model.test(list(pairs))])

    return predicted


def myfm(train: Ratings, test: Ratings) -> Array:
    """Fit myFM on users and items alone, rank 10, 200 samples: what its authors report."""
    shape = N_USERS, N_ITEMS
    model = installed("myfm").MyFMRegressor(rank=10, random_seed=1)
    X, Z = (one_hot(part.users, part.items, shape) for part in (train, test))
    model.fit(X, train.values, n_iter=200, n_kept_samples=170, group_shapes=list(shape))
    return model.predict(Z)


PREDICT = {
    **{name: ours(cast("ModelName", name)) for name in OURS},
    "bayesian_mf+": ours("bayesian_mf", attributes=True),
    "bayesian_mf++": ours("bayesian_mf", attributes=True, **TIME_BINS),
    **{name: surprise(name) for name in SURPRISE},
    "myFM": myfm,
}


def main() -> None:
    """Fit the models asked for and print one table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folds", type=int, default=N_FOLDS, choices=range(N_FOLDS + 1))
    parser.add_argument("--models", nargs="+", default=list(OURS), choices=list(PREDICT))
    args = parser.parse_args()
    canonical, folds = splits(args.folds)
    print(f"| | {len(folds)} of {N_FOLDS} folds | lowest..highest | u1 | seconds a fit |")
    print("|---|---:|---:|---:|---:|")
    for name in args.models:
        began = time.perf_counter()
        with threadpool_limits(1):
            errors = [rmse(PREDICT[name](train, test), test) for train, test in (canonical, *folds)]
        each = (time.perf_counter() - began) / len(errors)
        u1, *folded = errors
        mean = f"{np.mean(folded):.4f} | {min(folded):.4f}..{max(folded):.4f}" if folded else " | "
        print(f"| {name} | {mean} | {u1:.4f} | {each:.1f} |", flush=True)


if __name__ == "__main__":
    main()
