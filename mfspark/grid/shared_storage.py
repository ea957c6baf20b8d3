"""Whether driver and executors see one storage: tried before a night begins, not found out after.

Without, rows are lost: executors would write to their own disks, and the driver would find nothing.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from mfspark.errors import ConfigError
from mfspark.grid.runners import OnSpark
from mfspark.kernels.arrays.tile import Numbers
from mfspark.storage.protocol import Storage
from mfspark.storage.traffic import tally_of
from mfspark.system.spark import runs_here

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TASKS = 16  # enough that every executor of a small cluster gets some of them
_SECONDS = 0.1  # a task waits that long, so that the others go to other executors


def check_shared(spark: SparkSession, storage: Storage) -> None:
    """Let executors read what the driver wrote, and the driver what they wrote.

    One small job; none where this process started Spark on this machine. Executors that come later
    are found out by the first file that they or the driver miss. Raises ConfigError where a file is
    not seen.
    """
    if runs_here(spark):
        return
    place, token = f"scratch/.shared-{uuid.uuid4().hex[:8]}", uuid.uuid4().bytes
    try:
        storage.put(f"{place}/driver", token)
        look = _Look(storage, place, token)
        looks = OnSpark(spark, storage).run(_TASKS, look, "look for the warehouse")
        if not all(found["seen"] for found in looks):
            raise _not_shared(storage, "an executor cannot read what the driver")
        if any(storage.read(f"{place}/{number}") != token for number in range(_TASKS)):
            raise _not_shared(storage, "the driver cannot read what an executor")
    finally:
        storage.discard(place)


def gather_traffic(spark: SparkSession, storage: Storage) -> None:
    """Let executors tell what their machines asked of an object store, and no task told yet.

    One small job; none where all run on this machine, or nothing was asked.
    """
    if not runs_here(spark) and tally_of(storage.root).seen().requests:
        OnSpark(spark, storage).run(_TASKS, _wait, "count requests")


def _wait(_: int) -> Numbers:
    time.sleep(_SECONDS)
    return {}


class _Look:
    """A task that looks for the driver's file, and writes one of its own."""

    def __init__(self, storage: Storage, place: str, token: bytes) -> None:
        self._storage, self._place, self._token = storage, place, token

    def __call__(self, number: int) -> Numbers:
        seen = self._storage.read(f"{self._place}/driver") == self._token
        if seen:
            self._storage.put(f"{self._place}/{number}", self._token)
        time.sleep(_SECONDS)
        return {"seen": float(seen)}


def _not_shared(storage: Storage, who: str) -> ConfigError:
    return ConfigError(
        f"driver and executors do not share the warehouse {storage.root}: {who} wrote there",
        "choose a directory on a file system that all machines mount, or an object store: "
        "--warehouse s3://BUCKET/PREFIX (gs://, az://)",
    )
