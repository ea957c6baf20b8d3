"""Where things lie on this machine's disk, for tests that look at files themselves."""

from __future__ import annotations

from pathlib import Path

from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import POINTER, Warehouse


def table_dir(of: Night | PublishedRun, table: str) -> Path:
    """The directory of a table."""
    return Path(of.warehouse.root, of.table_key(table))


def scratch_dir(night: Night, *parts: str) -> Path:
    """A place in the scratch of a night."""
    return Path(night.warehouse.root, night.scratch(*parts))


def run_dir(warehouse: Warehouse, run_id: str) -> Path:
    """The directory of a run."""
    return Path(warehouse.root, warehouse.run_key(run_id))


def pointer(warehouse: Warehouse) -> Path:
    """The file CURRENT."""
    return Path(warehouse.root, POINTER)
