"""svd and nmf against scikit-learn's and Spark MLlib's, in one run: seconds, quality, peak memory.

    python -m benchmarks.svd_nmf                                       1 M ratings, everything
    python -m benchmarks.svd_nmf --ratings 20000000 --only svd         138 k users x 27 k items
    python -m benchmarks.svd_nmf --ratings 20000000 --only nmf --iterations 5
    python -m benchmarks.svd_nmf --ratings 20000000 --only mllib

Unrated cells count as 0 everywhere. The quality of an SVD is the share of the squares of all
ratings that its triplets hold; that of an NMF is |R - XY'|.
"""

from __future__ import annotations

import argparse

import numpy as np
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from benchmarks.installed import installed
from benchmarks.trial import Row, Trial, measured, print_table, trial_of
from mfspark.models.factorization.svd import SVDModel

SVD_RANK, NMF_RANK = 50, 32
SKLEARN, MLLIB = "scikit-learn", "Spark MLlib computeSVD"


def matrix_of(trial: Trial) -> csr_matrix:
    """Return the training ratings for peers without Spark."""
    users, items, ratings = trial.arrays()
    shape = trial.spec.n_users, trial.spec.n_items
    return csr_matrix((ratings, (users, items)), shape, np.float32)


def share(singular_values: object, squares: float) -> str:
    """Say what part of the squares the triplets hold."""
    return f"{np.square(np.asarray(singular_values)).sum() / squares:.4%} of the squares"


def our_svd(trial: Trial, **options: object) -> Row:
    """Cutting included, as in a night."""
    trial.__dict__.pop("train", None)
    model, seconds, gib = measured(lambda: trial.fit("svd", rank=SVD_RANK, **options))
    assert isinstance(model, SVDModel)
    sweeping = sum(loss.seconds for loss in model.history)
    note = f"{share(model.singular_values, model.squares)}; {len(model.history)} turns"
    return Row("mfspark", seconds, gib, f"{note}, {sweeping:.1f} s of them")


def sklearn_svd(trial: Trial) -> Row:
    """With its own choice of power iterations; building the matrix is not counted."""
    R = matrix_of(trial)
    peer = installed("sklearn.utils.extmath")
    found, seconds, gib = measured(lambda: peer.randomized_svd(R, SVD_RANK, random_state=1))
    return Row(SKLEARN, seconds, gib, share(found[1], float(np.square(R.data, dtype=float).sum())))


def mllib_svd(trial: Trial) -> Row:
    """pyspark.mllib's RowMatrix.computeSVD on cached rows; caching them is not counted."""
    from pyspark.mllib.linalg import Vectors, VectorUDT
    from pyspark.mllib.linalg.distributed import RowMatrix

    n_items = trial.spec.n_items
    sparse = F.udf(
        lambda cells: Vectors.sparse(n_items, [(c["item_idx"], float(c["rating"])) for c in cells]),
        VectorUDT(),
    )
    cells = F.sort_array(F.collect_list(F.struct("item_idx", "rating")))
    rows = trial.frame().groupBy("user_idx").agg(sparse(cells).alias("vector")).select("vector")
    rows = rows.persist()
    rows.count()
    squares = trial.train.n_ratings * (trial.train.variance + trial.train.mean**2)
    found, seconds, gib = measured(lambda: RowMatrix(rows).computeSVD(SVD_RANK, computeU=False))
    return Row(MLLIB, seconds, gib, share(found.s.toArray(), squares))


def our_nmf(trial: Trial, iterations: int) -> Row:
    """Seconds an iteration, and the loss after all of them."""
    options = {"rank": NMF_RANK, "max_iter": iterations, "tol": 0}
    model, seconds, gib = measured(lambda: trial.fit("nmf", **options))
    each = sum(loss.seconds for loss in model.history) / iterations
    cells = trial.spec.n_users * trial.spec.n_items
    loss = model.history[-1].value * cells**0.5
    return Row("mfspark", each, gib, f"loss {loss:.1f}; whole fit {seconds:.1f} s")


def sklearn_nmf(trial: Trial, iterations: int) -> Row:
    """Coordinate descent from a random start."""
    R = matrix_of(trial)
    model = installed("sklearn.decomposition").NMF(
        NMF_RANK, init="random", max_iter=iterations, tol=0, random_state=1
    )
    _, seconds, gib = measured(lambda: model.fit_transform(R))
    note = f"loss {model.reconstruction_err_:.1f}; whole fit {seconds:.1f} s"
    return Row(SKLEARN, seconds / iterations, gib, note)


def main() -> None:
    """Measure the sizes asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--iterations", type=int, default=10, help="of nmf")
    parser.add_argument("--only", nargs="+", default=["svd", "nmf", "mllib"])
    args = parser.parse_args()
    for n_ratings in args.ratings:
        with trial_of(n_ratings) as trial:
            shape = f"{trial.spec.n_users:,} users x {trial.spec.n_items:,} items"
            title = f"{n_ratings:,} ratings, {shape}"
            if "svd" in args.only or "mllib" in args.only:
                rows = [our_svd(trial, solver="randomized")]
                rows += [sklearn_svd(trial)] if "svd" in args.only else []
                rows += [mllib_svd(trial)] if "mllib" in args.only else []
                print_table(f"SVD: {title}, rank {SVD_RANK}", "seconds", rows, SKLEARN)
            if "nmf" in args.only:
                pair = [f(trial, args.iterations) for f in (our_nmf, sklearn_nmf)]
                unit = "seconds an iteration"
                print_table(f"NMF: {title}, rank {NMF_RANK}", unit, pair, SKLEARN)


if __name__ == "__main__":
    main()
