"""What the model benchmarks share: synthetic ratings on disk, our fits of them, measured rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.memory import PeakMemory
from mfspark.config.config import GridOptions
from mfspark.config.models import ModelName, Models
from mfspark.grid.block_store import BlockStore, ParquetStore
from mfspark.grid.cut import cut_frame
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, GridLayout, TileSet
from mfspark.grid.runners import OnSpark
from mfspark.grid.training import RECORD_EVERY, Checkpoint
from mfspark.grid.views import RowTiles
from mfspark.models.base import FitContext, Model
from mfspark.models.factor_model import FactorModel
from mfspark.models.registry import fit_model
from mfspark.pipeline.dataset import layout_for
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.storage.posix import PosixStorage
from mfspark.system.spark import master_of, spark_session

Array = np.ndarray
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table."""

    name: str
    seconds: float
    gib: float
    notes: str = ""


def print_table(title: str, unit: str, rows: list[Row], peer: str) -> None:
    """Print rows in Markdown, with how many times faster each is than the row `peer`."""
    print(f"\n{title}\n\n| | {unit} | times as fast | peak GiB | |\n|---|---:|---:|---:|---|")
    reference = next((row.seconds for row in rows if row.name == peer), None)
    for row in rows:
        ratio = f"{reference / row.seconds:.1f}" if reference else ""
        print(f"| {row.name} | {row.seconds:.2f} | {ratio} | {row.gib:.2f} | {row.notes} |")
    print(flush=True)


def measured(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return what work gives, its seconds and the peak memory of all processes in GiB."""
    began = time.perf_counter()
    with PeakMemory() as peak:
        result = work()
    return result, time.perf_counter() - began, peak.gib


def shape_of(n_ratings: int) -> SyntheticSpec:
    """Return users and items in the proportions of MovieLens: 20 M ratings, 138 k x 27 k."""
    scale = n_ratings / 20_000_000
    return SyntheticSpec(
        n_users=max(100, round(138_000 * scale)),
        n_items=max(100, round(27_000 * scale**0.5)),
        n_ratings=n_ratings,
        seed=1,
    )


@dataclass(frozen=True)
class Trial:
    """Ratings on disk, one in twenty held out, and a Spark session."""

    spark: SparkSession
    spec: SyntheticSpec
    folder: Path

    def frame(self, *, test: bool = False) -> DataFrame:
        """Return (user_idx, item_idx, rating) of the training or the test part."""
        held_out = F.pmod(F.hash("user_id", "item_id"), F.lit(20)) == 0
        ratings = self.spark.read.parquet(str(self.folder / "data" / "ratings"))
        return ratings.filter(held_out if test else ~held_out).select(
            (F.col("user_id") - 1).cast("int").alias("user_idx"),
            (F.col("item_id") - 1).cast("int").alias("item_idx"),
            F.col("rating").cast("float").alias("rating"),
        )

    def arrays(self, *, test: bool = False) -> tuple[Array, Array, Array]:
        """Return user indices, item indices and ratings of a part, for peers without Spark."""
        path = self.folder / ("test" if test else "train")
        if not path.exists():
            self.frame(test=test).write.parquet(str(path))
        table = ds.dataset(path).to_table()
        columns = (table[name].to_numpy() for name in ("user_idx", "item_idx", "rating"))
        return next(columns), next(columns), next(columns)

    @property
    def storage(self) -> PosixStorage:
        """The folder."""
        return PosixStorage(str(self.folder))

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self.storage, f"state/{time.monotonic_ns()}.json", "benchmark", RECORD_EVERY
        )

    @property
    def store(self) -> ParquetStore:
        """Where blocks lie."""
        return ParquetStore(self.storage, "blocks")

    @property
    def runner(self) -> OnSpark:
        """Runs tasks."""
        return OnSpark(self.spark, self.storage)

    @cached_property
    def layout(self) -> GridLayout:
        """The blocks a night would choose."""
        return layout_for(self.spec.n_users, self.spec.n_items, self.spec.n_ratings)

    def cut(self, *, test: bool = False) -> TileSet:
        """Cut a part into tiles."""
        name = "test" if test else "train"
        return cut_frame(self.frame(test=test), self.layout, name, self.store, self.runner)

    @cached_property
    def train(self) -> TileSet:
        """The tiles of the training part."""
        return self.cut()

    @cached_property
    def test(self) -> TileSet:
        """The tiles of the test part."""
        return self.cut(test=True)

    def grid(self) -> Grid:
        """Return the training tiles with Spark running the tasks."""
        return Grid(self.train, self.store, self.runner)

    def fit(
        self,
        name: ModelName,
        engine: str = "auto",
        choices_from: float | None = None,
        **options: Any,
    ) -> Model:
        """Fit one of our models on the training tiles, as a night does."""
        models = Models.model_validate({name: options})

        def baseline() -> FactorModel:
            own = replace(context, name=f"{context.name}/baseline", checkpoint=self._checkpoint())
            return cast("FactorModel", fit_model("baseline", own, models))

        context = FitContext(
            master=master_of(self.spark),
            runner=self.runner,
            tiles=self.train,
            store=self.store,
            name=f"{name}/{time.monotonic_ns()}",
            seed=1,
            grid_options=GridOptions.model_validate({"engine": engine}),
            checkpoint=self._checkpoint(),
            baseline=baseline,
            choices_from=choices_from,
        )
        return fit_model(name, context, models)

    def rmse(self, model: Model) -> float:
        """Return the root mean squared error on the test part; unknown pairs get the mean."""
        scored = model.predict(self.grid(), self.test, f"scored/{time.monotonic_ns()}")
        squares = 0.0
        for block, reference in enumerate(scored.references):
            prediction = self.store.get(reference)["prediction"]
            prediction = np.where(np.isnan(prediction), self.train.mean, prediction)
            strip = RowTiles("user", block, self.test, self.store).strip()
            squares += float(np.square(prediction - strip.values).sum())
        return (squares / self.test.n_ratings) ** 0.5

    def whole(self, blocks: Blocks, name: str, store: BlockStore | None = None) -> Array:
        """Put one array of all blocks together, rows by their global index."""
        parts = [(store or self.store).get(reference)[name] for reference in blocks.references]
        n_rows = self.layout.n(blocks.side)
        result = np.empty((n_rows, *parts[0].shape[1:]), parts[0].dtype)
        for block, part in enumerate(parts):
            result[self.layout.indices(blocks.side, block)] = part
        return result

    def ndcg(self, lists: Array) -> float:
        """Return NDCG of ranked items int (users, k); every held-out rating is relevant."""
        users, items, _ = self.arrays(test=True)
        return ndcg(lists, users.astype(np.int64), items, self.spec.n_items)


def ndcg(lists: Array, users: Array, items: Array, n_items: int) -> float:
    """Return NDCG of ranked items int (users, k): a mean over users with relevant items.

    Relevant are the pairs (users, items), int64 (n) each; items below 0 in lists are no items.
    """
    k = lists.shape[1]
    listed = np.arange(len(lists))[:, None] * n_items + lists
    hits = np.isin(listed, users * n_items + items) & (lists >= 0)
    gains = 1 / np.log2(np.arange(2, k + 2))
    n_relevant = np.bincount(users, minlength=len(lists))
    best = np.concatenate([[0.0], gains.cumsum()])[np.minimum(n_relevant, k)]
    asked = n_relevant > 0
    return float(((hits @ gains)[asked] / best[asked]).mean())


@contextmanager
def trial_of(n_ratings: int) -> Generator[Trial]:
    """Yield a trial on so many ratings, see `shape_of`."""
    with trial_of_spec(shape_of(n_ratings)) as trial:
        yield trial


@contextmanager
def trial_of_spec(spec: SyntheticSpec) -> Generator[Trial]:
    """Yield a trial on fresh synthetic ratings; everything is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as name:
        folder = Path(name)
        write_synthetic(spec, folder / "data", "parquet")
        with spark_session({"spark.driver.memory": "6g"}) as spark:
            trial = Trial(spark, spec, folder)
            assert trial.test.n_ratings  # starts the Python workers, as ingest does in a night
            yield trial
