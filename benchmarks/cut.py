"""Cutting ratings into tiles: train alone, and train, test and all ratings together.

    python -m benchmarks.cut                       20 M ratings
    python -m benchmarks.cut --ratings 1000000

Ratings lie in Parquet, sorted by user, as ingest leaves them. Beside the cuts stand what they
cannot be faster than: Spark reading the same columns, with and without the hash of the split, and
handing them to Python.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from benchmarks.trial import measured, shape_of
from mfspark.config.config import EvaluationOptions
from mfspark.evaluation.splits import with_is_test
from mfspark.grid.block_store import ParquetStore
from mfspark.grid.cut import cut_together
from mfspark.grid.packed_rows import RowsOfTasks
from mfspark.grid.runners import OnSpark
from mfspark.grid.strips import Selection
from mfspark.grid.table_rows import ratings_of_tasks
from mfspark.pipeline.dataset import layout_for
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.storage.posix import PosixStorage
from mfspark.system.spark import spark_session
from mfspark.tables.table_files import TableFiles

_TRAIN = Selection("train", is_test=False)
_TOGETHER = [_TRAIN, Selection("test", is_test=True, exact=True), Selection("all")]


def ratings_of(spark: SparkSession, spec: SyntheticSpec, folder: Path) -> DataFrame:
    """Write ratings with their indices, sorted by user, and read them back."""
    write_synthetic(spec, folder / "data", "parquet")
    made = spark.read.parquet(str(folder / "data" / "ratings"))
    numbered = made.selectExpr(
        *("user_id", "item_id", "rating"),
        *("int(user_id - 1) as user_idx", "int(item_id - 1) as item_idx"),
    )
    numbered.sort("user_id", "item_id").write.parquet(str(folder / "ratings"))
    return spark.read.parquet(str(folder / "ratings"))


def read_by_tasks(spark: SparkSession, storage: PosixStorage) -> RowsOfTasks:
    """Return the same ratings, labelled alike, as tasks read them."""
    names = sorted(path.name for path in Path(storage.root, "ratings").glob("*.parquet"))
    files = TableFiles(storage, tuple(f"ratings/{name}" for name in names))
    share = EvaluationOptions().test_share
    return ratings_of_tasks(spark, files, timed=False, seed=42, test_share=share)


def count_in_python(frame: DataFrame) -> None:
    """Hand rows to Python, which counts them."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"n": [sum(batch.num_rows for batch in batches)]})

    assert frame.mapInArrow(count, "n long").collect()


def shuffled_bytes(folder: Path) -> int:
    """Return the bytes of all shuffles so far of a session whose local directory this is."""
    return sum(file.stat().st_size for file in folder.rglob("shuffle_*.data"))


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    spec = shape_of(args.ratings)
    layout = layout_for(spec.n_users, spec.n_items, spec.n_ratings)
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as name:
        folder, local = Path(name), Path(name, "local")
        settings = {
            "spark.master": "local[2]",
            "spark.driver.memory": "6g",
            "spark.local.dir": str(local),
        }
        with spark_session(settings) as spark:
            storage = PosixStorage(name)
            place = ParquetStore(storage, "blocks"), OnSpark(spark, storage)
            ratings = ratings_of(spark, spec, folder)
            labelled = with_is_test(ratings, EvaluationOptions(), seed=42)
            columns = ("user_idx", "item_idx", "rating")
            works: dict[str, Callable[[], object]] = {
                "read": partial(count_in_python, ratings.select(*columns)),
                "read, with the split": partial(
                    count_in_python, labelled.select(*columns, "is_test")
                ),
                "cut train": partial(cut_together, labelled, layout, [_TRAIN], *place),
                "cut train, test, all": partial(cut_together, labelled, layout, _TOGETHER, *place),
                "the same, read by tasks": partial(
                    cut_together, read_by_tasks(spark, storage), layout, _TOGETHER, *place
                ),
            }
            print("| round | | seconds | MB shuffled | peak GiB |\n|---|---|---:|---:|---:|")
            for number in range(args.rounds):
                for label, work in works.items():
                    before = shuffled_bytes(local)
                    _, seconds, gib = measured(work)
                    megabytes = (shuffled_bytes(local) - before) / 1e6
                    row = f"{number} | {label} | {seconds:.2f} | {megabytes:.0f} | {gib:.2f}"
                    print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
