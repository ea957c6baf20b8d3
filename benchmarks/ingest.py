"""Ingest of a CSV of ratings against a plain copy by Spark, sorted by user.

    python -m benchmarks.ingest --ratings 20000000 --rounds 2

The copy checks nothing, numbers nothing and describes nothing: it reads the columns with their
types, sorts them by user and item, and writes Parquet. Both run in turn in one session; seconds and
the peak memory of all processes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.trial import measured, shape_of
from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request, execute
from mfspark.samples.synthetic import write_synthetic
from mfspark.system.spark import spark_session

SCHEMA = "userId long, movieId long, rating double, timestamp long"


def main() -> None:
    """Measure both in turn and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder, spark_session() as spark:
        files = write_synthetic(shape_of(args.ratings), Path(folder, "data"), "csv")
        ratings = next(str(file) for file in files if "ratings" in file.name)

        def copy(place: str) -> None:
            rows = spark.read.csv(f"file://{ratings}", SCHEMA, header=True)
            rows.orderBy("userId", "movieId").write.parquet(f"file://{place}")

        def ours(place: str) -> None:
            request = Request("ingest", ratings=(ratings,), warehouse=place, run_date="2026-11-22")
            execute(request, LoggedProgress())

        ways: dict[str, Callable[[str], None]] = {"plain copy": copy, "ingest": ours}
        print("| | seconds | peak GiB |\n|---|---:|---:|")
        for number in range(args.rounds):
            for name, way in ways.items():
                _, seconds, gib = measured(partial(way, f"{folder}/{name}-{number}"))
                print(f"| {name} | {seconds:.1f} | {gib:.2f} |", flush=True)


if __name__ == "__main__":
    main()
