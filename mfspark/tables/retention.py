"""What is removed from a warehouse, and what never is."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mfspark.errors import MfsparkError
from mfspark.tables.lock import hold_lock, hold_pointer_lock
from mfspark.tables.night import NOTE
from mfspark.tables.publish import unlisted
from mfspark.tables.warehouse import Warehouse

GRACE = timedelta(hours=24)
"""How long a reader may go on with the run it was sent to."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Removed:
    """What `collect` removed."""

    runs: list[str]
    scratch: list[str]
    """Nights that were refused or interrupted and can no longer be published, and directories that
    a killed night left among the runs."""
    strays: list[str]
    """Files among the tables of published runs that no manifest lists, as paths or URLs."""


def collect(
    warehouse: Warehouse, keep: int, grace: timedelta = GRACE, now: datetime | None = None
) -> Removed:
    """Remove old runs and dead nights; running it again, also after a kill, changes nothing.

    Kept are the newest `keep` runs, the one that CURRENT names, every run that readers were sent to
    within the grace time, and what nights in scratch still build upon. A night in scratch is
    removed once another run is current than it could replace, and the grace time has passed. Where
    tasks write next to published tables (an object store), so are files of theirs that came late.
    Raises LockedError while a night runs or publishes.
    """
    now = now or datetime.now(UTC)
    with hold_lock(warehouse), hold_pointer_lock(warehouse):
        storage, pointer = warehouse.storage, warehouse.pointed()
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
        known = {*pointer.runs, *nights} - set(dead)
        orphans = _orphans(warehouse, known, now - grace)
        warehouse.forget(old, pointer)
        for run in old + orphans:
            storage.discard(warehouse.run_key(run))
        for run in dead:
            storage.discard(warehouse.scratch_key(run))
        strays = [] if storage.moves else _strays(warehouse, now - grace)
        storage.delete(strays)
    return Removed(old, list(dict.fromkeys(dead + orphans)), [storage.show(key) for key in strays])


def scratch_nights(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Return the notes of the nights in scratch; an empty one where it cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    for name in warehouse.found_in("scratch"):
        key = warehouse.scratch_key(name)
        content = warehouse.storage.read(f"{key}/{NOTE}")
        if content is None and not warehouse.storage.exists(key):
            continue  # some object stores show directories in which nothing is left
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
        return _changed(warehouse, run_id)


def _orphans(warehouse: Warehouse, known: set[str], before: datetime) -> list[str]:
    """Return what lies among the runs and is neither published nor a night's: one was killed there.

    Young ones stay: the night goes on with them when it is run again.
    """
    unknown = (name for name in warehouse.found_in("runs") if name not in known)
    found = (name for name in unknown if warehouse.storage.exists(warehouse.run_key(name)))
    return [name for name in found if _changed(warehouse, name) < before]


def _strays(warehouse: Warehouse, before: datetime) -> list[str]:
    """Return old files that the manifests of their runs do not list; runs without one keep theirs.

    A task that was thought dead may end its file after the night was published.
    """
    found: list[str] = []
    for run in warehouse.run_ids():
        try:
            manifest = warehouse.manifest(run)
        except MfsparkError:
            continue
        found += [file.key for file in unlisted(warehouse, manifest) if file.modified < before]
    return found


def _changed(warehouse: Warehouse, run_id: str) -> datetime:
    files = warehouse.storage.files(warehouse.run_key(run_id))
    return max((file.modified for file in files), default=_LONG_AGO)


def _older(moment: str | None, than: datetime) -> bool:
    return moment is None or datetime.fromisoformat(moment) < than
