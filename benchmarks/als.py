"""Explicit ALS against Spark's own and cmfrec, in one run: seconds, RMSE, peak memory at rank 64.

    python -m benchmarks.als                                    1 M ratings: whole fits
    python -m benchmarks.als --ratings 20000000 --iterations 3  seconds an iteration as well
    python -m benchmarks.als --peers cmfrec                     without MLlib

All fit the same ratings, ours and MLlib from the same Parquet files in one Spark session, cmfrec
(C, conjugate gradients) from arrays in memory; one rating in twenty is held out.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml import recommendation
from pyspark.sql import functions as F

from benchmarks.installed import installed
from benchmarks.trial import Row, Trial, measured, print_table, trial_of

RANK = 64


def ours(trial: Trial, iterations: int, **options: object) -> tuple[Row, Row]:
    """Return rows for the whole fit, cutting included, and for one iteration."""
    trial.__dict__.pop("train", None)  # cut anew: it is part of the fit
    model, seconds, gib = measured(
        lambda: trial.fit("als", rank=RANK, max_iter=iterations, tol=0, **options)
    )
    name = "mfspark" + "".join(f" {value}" for value in options.values())
    each = sorted(loss.seconds for loss in model.history)[len(model.history) // 2]
    note = f"RMSE {trial.rmse(model):.4f}"
    return Row(name, seconds, gib, note), Row(name, each, gib, note)


def mllib(trial: Trial, iterations: int) -> tuple[Row, Row]:
    """The same for pyspark.ml.recommendation.ALS; an iteration is the slope over iterations."""

    def fit(max_iter: int) -> recommendation.ALSModel:
        return recommendation.ALS(
            rank=RANK,
            maxIter=max_iter,
            regParam=0.08,
            seed=1,
            userCol="user_idx",
            itemCol="item_idx",
            ratingCol="rating",
            coldStartStrategy="drop",
        ).fit(trial.frame().withColumn("rating", F.col("rating") - F.lit(trial.train.mean)))

    _, first, _ = measured(lambda: fit(1))
    model, seconds, gib = measured(lambda: fit(iterations))
    mean = trial.train.mean
    error = F.col("rating") - F.lit(mean) - F.col("prediction")
    rmse = model.transform(trial.frame(test=True)).agg(F.sqrt(F.avg(error * error))).first()
    note = f"RMSE {rmse[0]:.4f}" if rmse else ""
    each = (seconds - first) / (iterations - 1)
    return Row("Spark MLlib", seconds, gib, note), Row("Spark MLlib", each, gib, note)


def cmfrec(trial: Trial, iterations: int) -> tuple[Row, Row]:
    """The same for cmfrec's CMF with biases, regularised by 0.08 a rating of the row."""
    users, items, ratings = trial.arrays()
    table = pd.DataFrame({"UserId": users, "ItemId": items, "Rating": ratings})

    def fit(max_iter: int) -> Any:
        model = installed("cmfrec").CMF(
            k=RANK,
            lambda_=0.08,
            scale_lam=True,
            niter=max_iter,
            use_cg=True,
            finalize_chol=False,
            nthreads=len(os.sched_getaffinity(0)),
            verbose=False,
        )
        return model.fit(table)

    _, first, _ = measured(lambda: fit(1))
    model, seconds, gib = measured(lambda: fit(iterations))
    asked = trial.arrays(test=True)
    error = np.nan_to_num(model.predict(*asked[:2]), nan=trial.train.mean) - asked[2]
    note = f"RMSE {np.sqrt(np.mean(error**2)):.4f}"
    each = (seconds - first) / (iterations - 1)
    return Row("cmfrec", seconds, gib, note), Row("cmfrec", each, gib, note)


PEERS = {"mllib": mllib, "cmfrec": cmfrec}


def main() -> None:
    """Measure the sizes asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--cholesky", action="store_true", help="measure the exact solver too")
    parser.add_argument("--peers", nargs="*", default=["mllib"], choices=list(PEERS))
    args = parser.parse_args()
    for n_ratings in args.ratings:
        with trial_of(n_ratings) as trial:
            pairs = [ours(trial, args.iterations)]
            if args.cholesky:
                pairs.append(ours(trial, args.iterations, solver="cholesky"))
            pairs += [PEERS[name](trial, args.iterations) for name in args.peers]
            shape = f"{n_ratings:,} ratings, rank {RANK}, {args.iterations} iterations"
            fits, iterations = zip(*pairs, strict=True)
            print_table(f"Whole fit: {shape}", "seconds", list(fits), "Spark MLlib")
            print_table(f"An iteration: {shape}", "seconds", list(iterations), "Spark MLlib")


if __name__ == "__main__":
    main()
