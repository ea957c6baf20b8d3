"""Who runs the tasks of a pass: this process, one after the other, or Spark, all at once.

A task is a function of its number that reads blocks, writes blocks and returns a few numbers.
Tasks of one pass share nothing and write different blocks, so any number may run at once and any
of them may be run again. Tables are written from blocks likewise: a task a block, no shuffle.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa

from mfspark.errors import MfsparkError
from mfspark.storage.protocol import Storage
from mfspark.storage.traffic import Tally, tally_of
from mfspark.system.task_errors import error_named

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


T = TypeVar("T")
"""What a task returns: numbers by name, or other JSON."""

BlockReader = Callable[[int], pa.RecordBatch]
"""Gives rows of one block."""


class Runner(Protocol):
    """Runs the tasks 0..n-1 of a pass and returns their numbers in order."""

    def run(self, n_tasks: int, task: Callable[[int], T], label: str) -> list[T]:
        """Run all tasks; the first failure is raised."""
        ...


class InProcess:
    """Runs tasks in this process, on one or more threads.

    Threads share out the blocks and each kernel keeps to one: the answer has the same bits on any
    number of cores, which it has not where threads share a matrix product.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def run(self, n_tasks: int, task: Callable[[int], T], label: str) -> list[T]:
        """Run all tasks here."""
        if self._threads == 1 or n_tasks == 1:
            return [task(i) for i in range(n_tasks)]
        with ThreadPoolExecutor(self._threads, thread_name_prefix=label) as pool:
            return list(pool.map(task, range(n_tasks)))


class OnSpark:
    """Runs each task as one Spark task, with one thread each; a lost task is run again by Spark.

    One job a pass and no shuffle: tasks read and write their blocks in shared storage by
    themselves, so the driver receives only the numbers (n_tasks small rows).
    """

    def __init__(self, spark: SparkSession, storage: Storage) -> None:
        self._spark, self._tally = spark, tally_of(storage.root)

    def run(self, n_tasks: int, task: Callable[[int], T], label: str) -> list[T]:
        """Run all tasks on the executors."""
        tally = self._tally

        def run_tasks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            spare_imports()
            for batch in batches:
                outcomes = [json.dumps(_outcome(task, i, tally)) for i in batch["id"].to_pylist()]
                yield pa.RecordBatch.from_pydict({"id": batch["id"], "outcome": outcomes})

        # A range of n numbers in n partitions: one number, and so one task, in each.
        frame = self._spark.range(0, n_tasks, 1, n_tasks)
        self._spark.addTag(label)
        try:
            rows: list[Any] = frame.mapInArrow(run_tasks, "id long, outcome string").collect()
        finally:
            self._spark.removeTag(label)
        outcomes = [json.loads(row["outcome"]) for row in sorted(rows, key=lambda r: r["id"])]
        for outcome in outcomes:
            tally.add(**outcome["requests"])
        for outcome in outcomes:
            if "error" in outcome:
                raise error_named(*outcome["error"])
        return [outcome["numbers"] for outcome in outcomes]


def spare_imports() -> None:
    """Take what this process has imported so far out of its garbage collections.

    A Spark worker collects garbage after every task, and its next task waits for that: 0.15 s with
    torch and pandas imported, which is more than most tasks take.
    """
    _freeze(len(sys.modules))


@cache
def _freeze(_n_modules: int) -> None:
    gc.freeze()  # once for each number of modules: garbage that is frozen would never be freed


def _outcome(task: Callable[[int], Any], i: int, tally: Tally) -> dict[str, Any]:
    """Run a task; an error with a remedy travels as data, so that no stack trace buries it.

    Running the task again would give the same error, which is why Spark is not told to. What this
    machine asked of the storage so far goes along.
    """
    try:
        outcome: dict[str, Any] = {"numbers": task(i)}
    except MfsparkError as error:
        outcome = {"error": [type(error).__name__, error.message, error.hint]}
    return {**outcome, "requests": tally.take().counts()}


@dataclass(frozen=True)
class ReadEach:
    """Reads the blocks of several things one after the other, as if they were one."""

    readers: Sequence[BlockReader]
    n_blocks: int
    """Blocks of each thing."""

    def __call__(self, number: int) -> pa.RecordBatch:
        """Read block `number mod n_blocks` of thing `number div n_blocks`."""
        thing, block = divmod(number, self.n_blocks)
        return self.readers[thing](block)

    @property
    def n_tasks(self) -> int:
        """Blocks of all things."""
        return len(self.readers) * self.n_blocks

    def numbers(self, spark: SparkSession) -> DataFrame:
        """Return the numbers of all blocks as a DataFrame, one in each partition."""
        return spark.range(0, self.n_tasks, 1, self.n_tasks)

    def rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return the rows of the blocks that are numbered in batches; runs in tasks."""
        spare_imports()
        for batch in batches:
            yield from map(self, batch["id"].to_pylist())
