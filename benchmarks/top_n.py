"""Top-10 lists of all users: mfspark, implicit and Spark MLlib in one run.

    python -m benchmarks.top_n                         1 M and 5 M ratings
    python -m benchmarks.top_n --ratings 20000000      138 k users x 27 k items

mfspark and implicit rank the same factors: rank 64 with item biases, fitted by our ALS in a few
iterations. MLlib ranks its own after one iteration, without leaving out what was seen. Peak memory
counts the JVM in every row, as it runs beside all of them. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import numpy as np
from pyspark.ml.recommendation import ALS, ALSModel
from scipy.sparse import csr_matrix

from benchmarks.installed import installed
from benchmarks.trial import Array, Row, Trial, measured, print_table, trial_of
from mfspark.grid.block_store import MemoryStore
from mfspark.grid.grid import Grid
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.models.factor_model import FactorModel

threadpool_limits = installed("threadpoolctl").threadpool_limits

N, RANK, THREADS = 10, 64, len(os.sched_getaffinity(0))
PEER = "implicit recommend"


def implicit_lists(trial: Trial, model: FactorModel) -> Callable[[], Array]:
    """Return what ranks our factors with implicit, as inner products with the bias a column."""
    peer = installed("implicit.cpu.als")
    users, items, ratings = trial.arrays()
    shape = trial.spec.n_users, trial.spec.n_items
    seen = csr_matrix((ratings, (users, items)), shape=shape)
    X, Y = (trial.whole(blocks, "factors") for blocks in (model.user, model.item))
    theirs = peer.AlternatingLeastSquares(factors=RANK + 1, num_threads=THREADS)
    theirs.user_factors = np.column_stack([X, np.ones(len(X), np.float32)])
    theirs.item_factors = np.column_stack([Y, trial.whole(model.item, "bias")])
    every = np.arange(len(X))

    def rank() -> Array:
        with threadpool_limits(1, "blas"):  # as implicit asks for: it runs threads of its own
            return theirs.recommend(every, seen, N=N, filter_already_liked_items=True)[0]

    return rank


def mllib_lists(trial: Trial) -> Callable[[], None]:
    """Return what ranks with MLlib; the rows are computed and thrown away."""
    als = ALS(rank=RANK, maxIter=1, userCol="user_idx", itemCol="item_idx", ratingCol="rating")
    model: ALSModel = als.fit(trial.frame())
    return lambda: model.recommendForAllUsers(N).write.format("noop").mode("overwrite").save()


def ranked_by_us(trial: Trial, model: FactorModel) -> tuple[list[Row], Array]:
    """Rank as Spark tasks and as threads of this process; return rows and the lists."""
    model.recommend(trial.grid(), N, "lists")  # starts all Python workers
    _, *cost = measured(lambda: model.recommend(trial.grid(), N, "lists"))
    rows = [Row(f"mfspark, {THREADS} tasks of Spark", *cost, "reads and writes files")]
    one_thread_a_kernel()
    store = MemoryStore(behind=trial.store)
    grid = Grid(trial.train, store, InProcess(THREADS))
    model.recommend(grid, N, "lists")  # reads the tiles and factors into memory
    lists, *cost = measured(lambda: model.recommend(grid, N, "lists"))
    return [*rows, Row(f"mfspark, {THREADS} threads", *cost)], trial.whole(lists, "indices", store)


def compare(n_ratings: int, without: list[str]) -> None:
    """Measure one size and print its table."""
    rows: list[Row] = []
    with trial_of(n_ratings) as trial:
        if "mfspark" not in without:
            model = trial.fit("als", rank=RANK, max_iter=4)
            assert isinstance(model, FactorModel)
            rows, ours = ranked_by_us(trial, model)
            theirs, *cost = measured(implicit_lists(trial, model))
            rows.append(Row(PEER, *cost, f"{(ours == theirs).all(1).mean():.2%} of lists as ours"))
        if "mllib" not in without:
            _, *cost = measured(mllib_lists(trial))
            rows.append(Row("MLlib recommendForAllUsers", *cost, "leaves out nothing seen"))
    shape = f"{trial.spec.n_users:,} users x {trial.spec.n_items:,} items"
    print_table(f"Top {N}, {n_ratings:,} ratings, {shape}, rank {RANK}", "seconds", rows, PEER)


def main() -> None:
    """Measure the sizes asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--without", nargs="*", default=[], choices=["mfspark", "mllib"])
    args = parser.parse_args()
    for n_ratings in args.ratings:
        compare(n_ratings, args.without)


if __name__ == "__main__":
    main()
