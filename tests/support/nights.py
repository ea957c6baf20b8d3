"""Runs whole nights for tests, and reads what they published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from mfspark import read_table
from mfspark.pipeline.progress import LoggedProgress, Progress
from mfspark.pipeline.request import Request, execute
from mfspark.tables.night import Night

DATE = "2026-11-22"
RATE = {"baseline", "user_knn", "item_knn", "als", "bayesian_mf", "torch_mf"}
RANK = {"popularity", "ials", "slim"}  # they predict no ratings
LISTS_OF_RATINGS = RATE - {"user_knn", "item_knn"}  # whose lists are ranked by similarity
FEW_DRAWS = (
    "models.bayesian_mf.burn_in=4",
    "models.bayesian_mf.samples=8",
    "models.bayesian_mf.keep=4",
)


def run_night(
    spark: SparkSession,
    warehouse: Path,
    *overrides: str,
    ratings: tuple[Path, ...] = (),
    users: tuple[Path, ...] = (),
    items: tuple[Path, ...] = (),
    test: tuple[Path, ...] = (),
    run_date: str = DATE,
    progress: Progress | None = None,
) -> Night:
    """Run a night on the shared session, which `execute` finds to be active."""
    assert spark.getActiveSession() is not None
    request = Request(
        "run",
        ratings=tuple(map(str, ratings)),
        users=tuple(map(str, users)),
        items=tuple(map(str, items)),
        test=tuple(map(str, test)),
        warehouse=str(warehouse),
        run_date=run_date,
        overrides=overrides,
    )
    return execute(request, progress or LoggedProgress())


def table(warehouse: Path | str, name: str, run_id: str | None = None) -> pd.DataFrame:
    """Read a published table, in its published order."""
    return read_table(warehouse, name, run_id).to_table().to_pandas()


def content_hash(
    warehouse: Path | str, name: str, leave_out: tuple[str, ...] = (), run_id: str | None = None
) -> str:
    """Hash the sorted rows of a table: equal for equal content, however it was written."""
    frame = table(warehouse, name, run_id).drop(columns=list(leave_out))
    rows = sorted(frame.astype(str).agg("\t".join, axis=1))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def check_lists(warehouse: Path, n: int) -> pd.DataFrame:
    """Assert the list contract of top_n and return it.

    Every model has exactly n rows a user while that many unseen items exist, ranks dense from 1,
    no item twice and none that was rated, finite scores that never rise.
    """
    top_n = table(warehouse, "top_n")
    ratings, items = table(warehouse, "ratings"), table(warehouse, "items")
    users = table(warehouse, "users").set_index("user_id")
    seen = set(zip(ratings.user_id, ratings.item_id, strict=True))
    assert not seen & set(zip(top_n.user_id, top_n.item_id, strict=True))
    assert not top_n.duplicated(["model", "user_id", "item_id"]).any()
    assert top_n.score.notna().all()
    assert top_n.score.abs().max() < float("inf")
    for model, lists in top_n.groupby("model"):
        lengths = lists.groupby("user_id").size().reindex(users.index, fill_value=0)
        expected = (len(items) - users.n_ratings).clip(upper=n)
        assert (lengths == expected).all(), f"{model}: lists of the wrong length"
        ranks = lists.sort_values(["user_id", "rank"]).groupby("user_id")["rank"]
        assert (ranks.diff().dropna() == 1).all()
        assert (ranks.first() == 1).all()
        scores = lists.sort_values(["user_id", "rank"]).groupby("user_id")["score"]
        assert (scores.diff().dropna() <= 0).all(), f"{model}: scores rise"
    return top_n
