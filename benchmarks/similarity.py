"""The 50 nearest users of all users by cosine: mfspark and its peers in one run.

    python -m benchmarks.similarity                       1 M and 5 M ratings
    python -m benchmarks.similarity --ratings 20000000    138 k users x 27 k items
    python -m benchmarks.similarity --peers join          of the peers only these

All are exact. mfspark finds them twice: as Spark tasks that read and write files, and as threads of
this process; it alone also counts what two users have in common. Peers get the ratings as arrays,
rows of length 1. Peak memory counts the JVM in every row, as it runs beside all of them. A peer is
left out above the size at which it takes many minutes. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np
from pyspark.sql import Window
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from benchmarks.installed import installed
from benchmarks.trial import Array, Row, Trial, measured, print_table, trial_of
from mfspark.config.models import SimilarityOptions
from mfspark.grid.block_store import MemoryStore
from mfspark.grid.grid import Grid
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.models.neighbors.search import nearest_neighbors

threadpool_limits = installed("threadpoolctl").threadpool_limits

K, THREADS = 50, len(os.sched_getaffinity(0))
REFERENCE = "sparse_dot_topn"


def unit_rows(trial: Trial) -> csr_matrix:
    """Return the ratings (users, items), float32, each row of length 1."""
    users, items, ratings = trial.arrays()
    X = csr_matrix((ratings, (users, items)), shape=(trial.spec.n_users, trial.spec.n_items))
    norms = np.sqrt(np.asarray(X.multiply(X).sum(1)).ravel())
    X.data /= np.repeat(np.maximum(norms, 1e-12), np.diff(X.indptr))
    return X


def by_sparse_dot_topn(trial: Trial) -> Callable[[], Array]:
    """Return what finds the K + 1 nearest, itself among them."""
    sp_matmul_topn = installed("sparse_dot_topn").sp_matmul_topn
    X = unit_rows(trial)
    return lambda: _kth(sp_matmul_topn(X, X.T.tocsr(), K + 1, n_threads=THREADS, sort=True))


def by_implicit(trial: Trial) -> Callable[[], Array]:
    """implicit compares columns: users are given to it as items."""
    peer = installed("implicit.nearest_neighbours")
    X = unit_rows(trial).T.tocsr()

    def find() -> Array:
        model = peer.CosineRecommender(K=K + 1, num_threads=THREADS)
        model.fit(X, show_progress=False)
        return _kth(model.similarity)

    return find


def by_scipy(trial: Trial) -> Callable[[], Array]:
    """A sparse product of some rows at a time, and a partition of each of its rows."""
    X = unit_rows(trial)

    def find() -> Array:
        Y, kth = X.T.tocsr(), []
        for start in range(0, X.shape[0], 1000):
            part = (X[start : start + 1000] @ Y).toarray()
            kth.append(np.partition(part, -K - 1, axis=1)[:, -K - 1])
        return np.concatenate(kth)

    return find


def by_scikit_learn(trial: Trial) -> Callable[[], Array]:
    """Brute force, the only way it has for sparse rows."""
    peer = installed("sklearn.neighbors")
    X = unit_rows(trial)

    def find() -> Array:
        search = peer.NearestNeighbors(metric="cosine", algorithm="brute", n_jobs=THREADS).fit(X)
        return 1 - search.kneighbors(X, K + 1)[0][:, -1]

    return find


def by_join(trial: Trial) -> Callable[[], None]:
    """Ratings joined with themselves by item, summed by pair of users, ranked; thrown away."""
    ratings = trial.frame()
    norms = ratings.groupBy("user_idx").agg(F.sqrt(F.sum(F.col("rating") ** 2)).alias("norm"))
    x = ratings.join(norms, "user_idx").select(
        "item_idx", F.col("user_idx").alias("u"), (F.col("rating") / F.col("norm")).alias("x")
    )
    y = x.select("item_idx", F.col("u").alias("v"), F.col("x").alias("y"))
    pairs = x.join(y, "item_idx").filter("u != v").groupBy("u", "v")
    best_first = Window.partitionBy("u").orderBy(F.desc("similarity"), "v")
    ranked = pairs.agg(F.sum(F.col("x") * F.col("y")).alias("similarity")).withColumn(
        "rank", F.row_number().over(best_first)
    )
    nearest = ranked.filter(F.col("rank") <= K)
    return lambda: nearest.write.format("noop").mode("overwrite").save()


PEERS: dict[str, tuple[Callable[[Trial], Callable[[], Array | None]], int]] = {
    REFERENCE: (by_sparse_dot_topn, 20_000_000),
    "implicit": (by_implicit, 20_000_000),
    "scipy": (by_scipy, 5_000_000),
    "scikit-learn": (by_scikit_learn, 5_000_000),
    "join": (by_join, 1_000_000),
}
"""Each with the most ratings it is given."""


def _kth(similarity: csr_matrix) -> Array:
    """Return the similarity of the K-th nearest; stored rows hold themselves too."""
    lists = np.sort(similarity.data.reshape(-1, K + 1), axis=1)
    return lists[:, 0]


def found_by_us(trial: Trial) -> tuple[list[Row], Array]:
    """Find the nearest as Spark tasks and as threads; return rows and the K-th similarities."""
    options = SimilarityOptions(num_neighbors=K)

    def find(grid: Grid) -> Array:
        blocks, _ = nearest_neighbors(grid, "user", f"near/{time.monotonic_ns()}", options)
        return trial.whole(blocks, "similarity", grid.store)[:, -1]

    if trial.spec.n_ratings <= 1_000_000:
        find(trial.grid())  # starts all Python workers
    kth, *cost = measured(lambda: find(trial.grid()))
    rows = [Row(f"mfspark, {THREADS} tasks of Spark", *cost, "reads and writes files")]
    one_thread_a_kernel()
    grid = Grid(trial.train, MemoryStore(behind=trial.store), InProcess(THREADS))
    again, *cost = measured(lambda: find(grid))
    assert (again == kth).all()
    return [*rows, Row(f"mfspark, {THREADS} threads", *cost)], kth


def compare(n_ratings: int, peers: list[str]) -> None:
    """Measure one size and print its table."""
    with trial_of(n_ratings) as trial:
        rows, ours = found_by_us(trial)
        print(*rows, sep="\n", file=sys.stderr, flush=True)
        for name, (prepare, most) in PEERS.items():
            if name in peers and n_ratings <= most:
                find = prepare(trial)
                with threadpool_limits(1, "blas"):
                    kth, *cost = measured(find)
                notes = "" if kth is None else f"differs by {np.abs(kth - ours).max():.0e} at most"
                rows.append(Row(name, *cost, notes))
                print(rows[-1], file=sys.stderr, flush=True)
    shape = f"{trial.spec.n_users:,} users x {trial.spec.n_items:,} items"
    print_table(f"{K} nearest users, {n_ratings:,} ratings, {shape}", "seconds", rows, REFERENCE)


def main() -> None:
    """Measure the sizes asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    args = parser.parse_args()
    for n_ratings in args.ratings:
        compare(n_ratings, args.peers)


if __name__ == "__main__":
    main()
