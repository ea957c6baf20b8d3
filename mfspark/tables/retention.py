"""What is removed from a warehouse, and what never is."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mfspark.errors import MfsparkError
from mfspark.tables.lock import hold_lock, hold_pointer_lock
from mfspark.tables.night import NOTE
from mfspark.tables.warehouse import Warehouse

GRACE = timedelta(hours=24)
"""How long a reader may go on with the run it was sent to."""


@dataclass(frozen=True)
class Removed:
    """What `collect` removed."""

    runs: list[str]
    scratch: list[str]
    """Nights that were refused or interrupted and can no longer be published, and directories that
    a killed night left among the runs."""


def collect(
    warehouse: Warehouse, keep: int, grace: timedelta = GRACE, now: datetime | None = None
) -> Removed:
    """Remove old runs and dead nights; running it again, also after a kill, changes nothing.

    Kept are the newest `keep` runs, the one that CURRENT names, every run that readers were sent to
    within the grace time, and what nights in scratch still build upon. A night in scratch is
    removed once another run is current than it could replace, and the grace time has passed.
    Raises LockedError while a night runs or publishes.
    """
    now = now or datetime.now(UTC)
    with hold_lock(warehouse), hold_pointer_lock(warehouse):
        file_system, pointer = warehouse.file_system, warehouse.pointed()
        nights = scratch_nights(warehouse)
        dead = [
            run
            for run, note in nights.items()
            if note.get("parent") != pointer.run_id and _older(note.get("begun_at"), now - grace)
        ]
        needed = {note.get("base") for run, note in nights.items() if run not in dead}
        needed |= {pointer.run_id, *warehouse.run_ids()[:keep]}
        old = [
            run
            for run in warehouse.run_ids()
            if run not in needed and _last_read(warehouse, run) < now - grace
        ]
        orphans = _orphans(warehouse, set(pointer.runs), now - grace)
        for run in old + orphans:
            file_system.discard(warehouse.run_dir(run))
        for run in dead:
            file_system.discard(warehouse.scratch_dir(run))
    return Removed(old, dead + orphans)


def scratch_nights(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Return the notes of the nights in scratch; an empty one where it cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    for name in warehouse.file_system.names(warehouse.root / "scratch"):
        content = warehouse.file_system.read(warehouse.scratch_dir(name) / NOTE)
        try:
            found[name] = json.loads(content or b"{}")
        except ValueError:
            found[name] = {}
    return found


def _last_read(warehouse: Warehouse, run_id: str) -> datetime:
    """Return when readers may last have been sent to a run that is not current."""
    left = warehouse.pointed().left.get(run_id)
    if left is not None:
        return left
    try:
        return warehouse.manifest(run_id).published_at
    except MfsparkError:  # damaged: nobody can be reading it by its manifest
        return _changed(warehouse.run_dir(run_id))


def _orphans(warehouse: Warehouse, listed: set[str], before: datetime) -> list[str]:
    """Return directories among the runs that CURRENT does not list: a night was killed there.

    Young ones stay: the night goes on with them when it is run again.
    """
    names = warehouse.file_system.names(warehouse.root / "runs")
    return [n for n in names if n not in listed and _changed(warehouse.run_dir(n)) < before]


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _older(moment: str | None, than: datetime) -> bool:
    return moment is None or datetime.fromisoformat(moment) < than
