"""What every stage of a night works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mfspark.config.config import Config
from mfspark.grid.block_store import ParquetStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import TileSet
from mfspark.grid.runners import InProcess, OnSpark, Runner
from mfspark.grid.shared_storage import check_shared, gather_traffic
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.models.records import INGEST, requests_key
from mfspark.storage.traffic import Traffic, tally_of
from mfspark.system.spark import Session, session_on_demand
from mfspark.system.task_errors import task_errors
from mfspark.tables.lock import hold_in_turn
from mfspark.tables.nearby import nothing_left_nearby
from mfspark.tables.night import Night
from mfspark.tables.records import RecordKey

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


T = TypeVar("T")
FEW_RATINGS = 500_000
"""Ratings that are not worth cutting at all."""
_FEW_USERS = 50_000  # whose lists of ten models fit this process


@dataclass(frozen=True)
class RunContext:
    """A night and the Spark session it runs on."""

    session: Session
    night: Night
    work: str = "run"
    """What of the night is done here: all of it, or such as train-als."""

    @property
    def spark(self) -> SparkSession:
        """The session, started when it is first asked for."""
        return self.session.spark

    @property
    def config(self) -> Config:
        """The night's configuration."""
        return self.night.config

    @property
    def store(self) -> ParquetStore:
        """Where this night's blocks lie; driver and workers share it."""
        return ParquetStore(self.night.storage, self.night.scratch("blocks"))

    @property
    def runner(self) -> Runner:
        """Runs tasks on the executors; in this process where the night is `small`."""
        if self.small:
            one_thread_a_kernel()
            return InProcess()
        return OnSpark(self.spark, self.night.storage)

    @property
    def small(self) -> bool:
        """Whether what comes after ingest is done in this process, as a job of Spark costs more.

        Only where all tasks would run on this machine anyway; unless `grid.engine` says otherwise.
        """
        report = self.night.find(INGEST)
        if report is None or self.config.grid.engine != "auto" or self.config.grid.blocks:
            return False
        few = report.n_accepted <= FEW_RATINGS and report.n_users <= _FEW_USERS
        return few and self.session.here

    def grid(self, tiles: TileSet) -> Grid:
        """Return a grid over some tiles."""
        return Grid(tiles, self.store, self.runner)

    def once_in_turn(self, key: RecordKey[T], make: Callable[[], T]) -> T:
        """Return what was recorded, as `once`; waits for others who are making the same.

        Stages of a night may run at once, and two of them need the same. Not where nobody else
        works on it.
        """
        found = self.night.find(key)
        if found is None:
            alone = self.night.alone
            with nullcontext() if alone else hold_in_turn(self.night.warehouse, key.stage):
                found = self.once(key, make)
        return found

    def once(self, key: RecordKey[T], make: Callable[[], T]) -> T:
        """Return what a stage recorded; it runs now, unless this night finished it before."""
        found = self.night.find(key)
        if found is None:
            began = time.perf_counter()
            made = make()
            self.night.finish(key, made, time.perf_counter() - began)
            found = self.night.record(key)
        return found

    def count_requests(self) -> None:
        """Record what this work asked of the warehouse so far, tasks included; nothing of a disk.

        Lets every executor tell what its machine counted: one small job, none in this process.
        """
        key, storage = requests_key(self.work), self.night.storage
        if not self.session.here:
            gather_traffic(self.spark, storage)
        asked = tally_of(storage.root).take()
        if asked.requests:
            self.night.finish(key, (self.night.find(key) or Traffic()) + asked)


@contextmanager
def session_for(night: Night, work: str = "run") -> Generator[RunContext]:
    """Yield a night on a Spark session that is started, if at all, for the size of its inputs.

    Raises MfsparkError where driver and executors do not share the warehouse, and what tasks
    raised with a remedy as it was raised there. What tasks left on this machine goes at the end.
    """
    size = sum(file["bytes"] for file in night.inputs)
    begun = partial(check_shared, storage=night.storage)
    with nothing_left_nearby(), session_on_demand(size, begun) as session, task_errors():
        yield RunContext(session, night, work)
