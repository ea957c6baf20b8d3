"""A whole training loop inside one Spark task, for ratings that fit one machine easily.

No Spark round per iteration, and all cores, which share out the blocks. The same trainer code runs
as on the Spark grid: only the store (memory, with Parquet behind it) and the runner differ.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import TileSet
from mfspark.grid.runners import InProcess, OnSpark
from mfspark.grid.training import Algorithm, Checkpoint, State, train
from mfspark.kernels.arrays.threads import one_thread_a_kernel
from mfspark.kernels.arrays.tile import Numbers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def train_in_one_task(
    spark: SparkSession,
    tiles: TileSet,
    store: BlockStore,
    algorithm: Algorithm,
    name: str,
    checkpoint: Checkpoint,
) -> State:
    """Train in a single task; blocks and checkpoints land in the shared store."""
    threads = _cores_of_one_machine(spark)

    def task(_: int) -> Numbers:
        one_thread_a_kernel()
        grid = Grid(tiles, MemoryStore(behind=store), InProcess(threads))
        train(grid, algorithm, name, checkpoint)
        return {}

    OnSpark(spark).run(1, task, f"train {name}")
    state = checkpoint.read()
    assert state is not None, "the task wrote its last state before it ended"
    return state


def ratings_of_one_task(spark: SparkSession) -> int:
    """Return up to how many ratings a single task is the fastest way to train.

    On one machine it has all cores and reads nothing twice: what limits it is the memory of one
    Python worker, 16 bytes a rating. On a cluster the other machines would stand idle.
    """
    return 50_000_000 if _master(spark).split("[")[0] == "local" else 5_000_000


def _cores_of_one_machine(spark: SparkSession) -> int:
    """Return the cores that the executor of a task has: all of them are idle but for this task."""
    master = _master(spark)
    if master.startswith("local["):
        cores = master[len("local[") :].split("]")[0].split(",")[0]
        return len(os.sched_getaffinity(0)) if cores == "*" else int(cores)
    return int(spark.conf.get("spark.executor.cores", "1") or 1)


def _master(spark: SparkSession) -> str:
    return spark.conf.get("spark.master", "") or ""
