"""100,000 new users of a file taken in, against the same one user after the other.

    python -m benchmarks.fold_in                                a night of 1 M ratings is run first
    python -m benchmarks.fold_in --warehouse DIR --items 3706   its run is used instead

Both give the same lists; how far their scores are apart is printed. `mfspark fold-in` is a process
of its own for each model, whose seconds and peak memory count from its start to its end: the file
is read, the model is read, the lists are written. One after the other means calls of
`queries.fold_in.fold_in` in this process, of some users; their seconds are for as many users.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks.memory import PeakMemory
from benchmarks.trial import Row, print_table
from mfspark.queries.fold_in import fold_in
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.tables.run import PublishedRun

MODELS = ("als", "ials", "slim", "ease", "item_knn")
COMMAND = [sys.executable, "-c", "from mfspark.cli import main; main()"]


@dataclass(frozen=True)
class Newcomers:
    """A file of ratings by users whom the run does not know."""

    folder: Path
    n_users: int

    @property
    def files(self) -> str:
        """Where it is."""
        return str(self.folder / "ratings")

    def of_some(self, n: int) -> dict[int, list[tuple[str, float]]]:
        """Return the ratings of some users, by user."""
        chosen = np.linspace(1, self.n_users, n).astype(int)
        wanted = pc.field("user_id").isin(chosen.tolist())
        rows = ds.dataset(self.files).to_table(filter=wanted).to_pylist()
        found: dict[int, list[tuple[str, float]]] = {}
        for row in rows:
            pair = str(row["item_id"]), float(row["rating"])
            found.setdefault(row["user_id"], []).append(pair)
        return found


def run_night(folder: Path, shape: tuple[int, int, int], models: tuple[str, ...]) -> str:
    """Run a night on synthetic ratings, without measuring, and return its warehouse."""
    write_synthetic(SyntheticSpec(*shape, seed=7), folder / "old", "parquet")
    warehouse = str(folder / "warehouse")
    options = ["--models", ",".join(models), "--set", "completed.max_cells=0"]
    files = ["--ratings", str(folder / "old" / "ratings"), "--warehouse", warehouse]
    options += ["--set", 'evaluation.split="none"']
    subprocess.run([*COMMAND, "run", *files, *options], check=True, stdout=subprocess.DEVNULL)
    return warehouse


def together(warehouse: str, new: Newcomers, model: str, out: Path) -> tuple[float, float]:
    """Take in all users by the command; return its seconds and peak memory in GiB."""
    words = ["fold-in", "--ratings", new.files, "--out", str(out), "--overwrite", "--model", model]
    began = time.perf_counter()
    process = subprocess.Popen([*COMMAND, *words, "-w", warehouse], stdout=subprocess.DEVNULL)
    with PeakMemory(process.pid) as peak:
        status = process.wait()
    if status:
        raise subprocess.CalledProcessError(status, words)
    return time.perf_counter() - began, peak.gib


def one_by_one(
    run: PublishedRun, new: Newcomers, model: str, out: Path, n: int
) -> tuple[float, float, int]:
    """Take in some users one by one.

    Returns seconds a user, the largest difference of a score, and how many lists are others.
    """
    some = new.of_some(n)
    began = time.perf_counter()
    alone = {user: fold_in(run, rated, model).items for user, rated in some.items()}
    seconds = (time.perf_counter() - began) / len(some)
    lists = pq.read_table(out, filters=[("user_id", "in", list(some))]).to_pandas()
    apart, n_other = 0.0, 0
    for user, mine in lists.groupby("user_id"):
        expected = alone[int(user)]
        n_other += mine.item_id.tolist() != [item for item, _, _ in expected]
        scores = np.array([score for _, _, score in expected])
        apart = max(apart, float(np.abs(mine.score.to_numpy() - scores).max(initial=0.0)))
    return seconds, apart, n_other


def main() -> None:
    """Measure each model and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--ratings-a-user", type=int, default=50)
    parser.add_argument("--shape", type=int, nargs=3, default=[6_040, 3_706, 1_000_000])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--alone", type=int, default=100, help="users taken in one by one")
    parser.add_argument("--warehouse", default=None)
    parser.add_argument("--items", type=int, default=None, help="items that --warehouse has")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as name:
        folder = Path(name)
        shape = tuple(args.shape)
        warehouse = args.warehouse or run_night(folder, shape, tuple(args.models))
        n_items = args.items or shape[1]
        spec = SyntheticSpec(args.users, n_items, args.users * args.ratings_a_user, seed=9)
        write_synthetic(spec, folder / "new", "parquet")
        new, run, out = Newcomers(folder / "new", args.users), PublishedRun(warehouse), folder
        rows: list[Row] = []
        for model in args.models:
            lists = out / f"{model}.parquet"
            seconds, gib = together(warehouse, new, model, lists)
            alone, apart, n_other = one_by_one(run, new, model, lists, args.alone)
            rate = args.users / seconds * 60
            notes = f"{rate:,.0f} users a minute; scores within {apart:.1e}, {n_other} lists other"
            rows.append(Row(model, seconds, gib, notes))
            rows.append(Row(f"{model}, one by one", alone * args.users, 0.0, "see above"))
            print_table(model, "seconds", rows[-2:], rows[-1].name)
        cores = len(os.sched_getaffinity(0))
        print(
            f"{spec.n_ratings:,} ratings of {args.users:,} users, {n_items:,} items, {cores} cores"
        )


if __name__ == "__main__":
    main()
