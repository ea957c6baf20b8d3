"""Neighbor models beside Surprise and implicit.

    python -m benchmarks.knn parity         predictions for MovieLens 100K u1 against Surprise's
    python -m benchmarks.knn lists          NDCG@10 on MovieLens 100K against implicit
    python -m benchmarks.knn top            top 10 of all users on synthetic ratings, ours alone
    python -m benchmarks.knn scoring        what follows once neighbors are known, without Spark

`parity` gives both the same ratings in the order of user and item, as Surprise breaks ties by the
order that ratings come in and we by the index. What still differs are ties that rounding breaks in
Surprise: the column `tied` is the share of such pairs among those that differ.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from benchmarks.in_process import Fitted, fit
from benchmarks.installed import installed
from benchmarks.knn_scoring import score
from benchmarks.movielens import N_ITEMS, N_USERS, Ratings, rmse, splits
from benchmarks.trial import Row, measured, ndcg, print_table, trial_of
from mfspark.config.models import ModelName
from mfspark.grid.views import Strips
from mfspark.kernels.neighbors.similarity import similarities
from mfspark.models.neighbors.knn import KNN

threadpool_limits = installed("threadpoolctl").threadpool_limits

Array = np.ndarray

SIMILARITIES = {
    "cosine_corated": "cosine",
    "msd": "msd",
    "pearson": "pearson",
    "pearson_baseline": "pearson_baseline",
}
"""Our measures by the names that Surprise has for them."""
AGGREGATIONS = {
    "weighted": "KNNBasic",
    "centered": "KNNWithMeans",
    "zscore": "KNNWithZScore",
    "baseline": "KNNBaseline",
}
K = 40  # neighbors that count, Surprise's default
N, RELEVANT = 10, 4.0  # length of lists, and the rating from which a test item is relevant
SAME = 1e-5
NEAR = 1e-9  # similarities that are closer are ties


def surprise_predictions(
    train: Ratings, test: Ratings, algorithm: str, measure: str, side: str
) -> Array:
    """Return what an algorithm of Surprise predicts."""
    surprise = installed("surprise")
    options = {"name": measure, "user_based": side == "user"}
    model = getattr(surprise, algorithm)(k=K, sim_options=options, verbose=False)
    table = pd.DataFrame({"user": train.users, "item": train.items, "rating": train.values})
    data = surprise.Dataset.load_from_df(table.sort_values(["user", "item"]), surprise.Reader())
    model.fit(data.build_full_trainset())
    pairs = zip(test.users.tolist(), test.items.tolist(), test.values.tolist(), strict=True)
    return np.array([found.est for found in model.test(list(pairs))])


def ties(fitted: Fitted, train: Ratings, users: Array, items: Array) -> Array:
    """Mark the pairs whose K-th nearest rater is no nearer than the next one."""
    model = fitted.model
    assert isinstance(model, KNN)
    strips = Strips(model.side, 0, fitted.grid.tiles, fitted.grid.store)
    (rows,) = model.comparison.all_rows(strips)
    S = similarities(rows, rows, model.comparison.similarity)
    np.fill_diagonal(S, -np.inf)
    R = train.dense if model.side == "user" else train.dense.T
    x, c = (users, items) if model.side == "user" else (items, users)
    near = np.sort(np.where(np.isnan(R.T[c]), -np.inf, S[x]), axis=1)[:, ::-1]
    with np.errstate(invalid="ignore"):
        return near[:, K - 1] - near[:, K] < NEAR


def parity() -> None:
    """Print a table of RMSE and of equal predictions, an algorithm a row."""
    train, test = splits(0)[0]
    print("| | | | Surprise | mfspark | equal | tied, of the others | alone | seconds, each |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for name in ("user_knn", "item_knn"):
        for similarity, measure in SIMILARITIES.items():
            for aggregation, algorithm in AGGREGATIONS.items():
                compare(train, test, name, similarity, measure, aggregation, algorithm)


def compare(
    train: Ratings,
    test: Ratings,
    name: ModelName,
    similarity: str,
    measure: str,
    aggregation: str,
    algorithm: str,
) -> None:
    """Print one row; pairs that we leave to the baseline have Surprise's own fallback in both."""
    began = time.perf_counter()
    theirs = surprise_predictions(train, test, algorithm, measure, name.removesuffix("_knn"))
    seconds = [time.perf_counter() - began]
    began = time.perf_counter()
    fitted = fit(
        train, name, similarity=similarity, aggregation=aggregation, among="raters",
        num_neighbors=K, damping=0.0,
    )  # fmt: skip
    ours = fitted.predict(test)
    seconds.append(time.perf_counter() - began)
    alone = np.isnan(ours)
    filled = np.clip(np.where(alone, theirs, ours), 1, 5)
    other = np.flatnonzero(np.abs(filled - theirs) > SAME)
    tied = ties(fitted, train, test.users[other], test.items[other])
    share = f"{tied.mean():.0%} of {len(other)}" if len(other) else ""
    print(
        f"| {algorithm} | {measure} | {name.removesuffix('_knn')} | {rmse(theirs, test):.5f} "
        f"| {rmse(filled, test):.5f} | {1 - len(other) / len(test):.3%} | {share} "
        f"| {alone.sum()} | {seconds[0]:.1f} {seconds[1]:.1f} |",
        flush=True,
    )


def ndcg_of(lists: Array, test: Ratings) -> float:
    """Return NDCG@N over the users with test ratings of RELEVANT or more."""
    liked = test.take(test.values >= RELEVANT)
    return ndcg(lists, liked.users, liked.items, N_ITEMS)


def of_implicit(algorithm: str, k: int, *, binary: bool) -> Callable[[Ratings], Array]:
    """Return what gives the lists of an item-KNN of implicit."""

    def lists(train: Ratings) -> Array:
        nearest_neighbours = installed("implicit.nearest_neighbours")
        values = np.ones(len(train)) if binary else train.values
        matrix = csr_matrix((values, (train.users, train.items)), (N_USERS, N_ITEMS))
        model = getattr(nearest_neighbours, algorithm)(K=k, num_threads=1)
        model.fit(matrix, show_progress=False)
        return model.recommend(np.arange(N_USERS), matrix, N)[0]

    return lists


def of_ours(name: ModelName, **options: Any) -> Callable[[Ratings], Array]:
    """Return what gives the lists of one of our models."""
    return lambda train: fit(train, name, **options).lists(N)


def rank(n_folds: int) -> None:
    """Print a table of NDCG@N, a model a row: the mean over random folds, lowest and highest."""
    ways = {"mfspark item_knn": of_ours("item_knn")}
    for weighting in ("tfidf", "bm25"):
        ways[f"mfspark item_knn, {weighting}"] = of_ours("item_knn", weighting=weighting)
    ways["mfspark user_knn by similarity"] = of_ours("user_knn", rank_by="similarity")
    for algorithm in ("CosineRecommender", "TFIDFRecommender", "BM25Recommender"):
        for k in (20, 50, 200):
            for binary in (False, True):
                label = f"implicit {algorithm}, K {k}, {'ones' if binary else 'ratings'}"
                ways[label] = of_implicit(algorithm, k, binary=binary)
    print(f"| | NDCG@{N} | lowest..highest |\n|---|---:|---:|")
    folds = splits(n_folds)[1]
    for label, lists in ways.items():
        each = [ndcg_of(lists(train), test) for train, test in folds]
        print(f"| {label} | {np.mean(each):.4f} | {min(each):.4f}..{max(each):.4f} |", flush=True)


def top(n_ratings: int, names: list[ModelName]) -> None:
    """Print seconds and peak memory of finding neighbors and of all users' lists."""
    with trial_of(n_ratings) as trial:
        spec = trial.spec
        shape = f"{spec.n_users:,} users x {spec.n_items:,} items"
        assert trial.train.n_ratings  # cut now, not where it would be measured
        rows: list[Row] = []
        for name in names:
            model, seconds, gib = measured(lambda name=name: trial.fit(name))
            rows.append(Row(f"{name}: neighbors", seconds, gib))
            lists, seconds, gib = measured(
                lambda model=model, name=name: model.recommend(trial.grid(), N, f"lists/{name}")
            )
            listed = trial.whole(lists, "indices")
            note = f"NDCG@{N} {trial.ndcg(listed):.4f}, {np.mean(listed >= 0):.1%} filled"
            rows.append(Row(f"{name}: top {N} of all users", seconds, gib, note))
        print_table(f"KNN: {n_ratings:,} ratings, {shape}, k = 50", "seconds", rows, "")


def main() -> None:
    """Run the part asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=["parity", "lists", "top", "scoring"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--models", nargs="+", default=["user_knn", "item_knn"])
    args = parser.parse_args()
    with threadpool_limits(1):
        if args.part == "parity":
            parity()
        elif args.part == "lists":
            rank(args.folds)
        elif args.part == "top":
            for n_ratings in args.ratings:
                top(n_ratings, args.models)
        else:
            for n_ratings in args.ratings:
                score(n_ratings)


if __name__ == "__main__":
    main()
