"""Locks held by the process, so that two starts never meet in one warehouse.

    warehouse.lock     exclusive: a whole night; shared: any single stage
    stage-<name>.lock  exclusive: that one stage
    pointer.lock       exclusive: whoever publishes or moves CURRENT
    fit-<name>.lock    exclusive, waited for: a fit that several stages need

They are `flock` locks: the kernel lets go of them when the process ends, however it ends. Lock
files are never deleted, since a deleted one could be held and created anew at the same time.
"""

import fcntl
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mfspark.errors import LockedError
from mfspark.storage.file_system import explain_os_errors
from mfspark.tables.warehouse import Warehouse, check_name


@contextmanager
def hold_lock(warehouse: Warehouse, stage: str | None = None) -> Generator[None, None, None]:
    """Hold the warehouse for a whole night (`stage` is None), or share it for one stage.

    Two different stages may run at once; a night runs alone. It is not reentrant: take it once,
    outermost. Raises LockedError, which names the holder, at once when another process holds it.
    """
    if stage is None:
        with _held(warehouse, "warehouse", fcntl.LOCK_EX, "a whole night"):
            yield
        return
    name = f"stage-{check_name(stage, 'stage')}"
    with (
        _held(warehouse, "warehouse", fcntl.LOCK_SH, f"stage {stage}"),
        _held(warehouse, name, fcntl.LOCK_EX, f"stage {stage}"),
    ):
        yield


@contextmanager
def hold_in_turn(warehouse: Warehouse, name: str) -> Generator[None, None, None]:
    """Hold something that any stage may have to do first, after whoever is just doing it."""
    with _held(warehouse, check_name(name, "lock"), fcntl.LOCK_EX, name, wait=True):
        yield


@contextmanager
def hold_pointer_lock(warehouse: Warehouse) -> Generator[None, None, None]:
    """Hold the right to move CURRENT. Raises LockedError when another process holds it."""
    with _held(warehouse, "pointer", fcntl.LOCK_EX, "publishing"):
        yield


@contextmanager
def _held(
    warehouse: Warehouse, name: str, mode: int, purpose: str, *, wait: bool = False
) -> Generator[None, None, None]:
    directory = warehouse.root / "locks"
    warehouse.file_system.make_dir(directory)
    path = directory / f"{name}.lock"
    with explain_os_errors(path, "lock"):
        # Closed on exec, as Python opens every file: a JVM started later does not keep the lock.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with explain_os_errors(path, "lock"):
            try:
                fcntl.flock(descriptor, mode if wait else mode | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _locked(warehouse, name, directory) from None
        if mode != fcntl.LOCK_EX:
            yield
            return
        _note_holder(descriptor, purpose)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        # Said aloud, not left to close(): a process just being started may share the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _note_holder(descriptor: int, purpose: str) -> None:
    """Write who holds the lock into the lock file, for the message that others get."""
    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _locked(warehouse: Warehouse, name: str, directory: Path) -> LockedError:
    notes = [_read_note(directory / f"{name}.lock")]
    if name == "warehouse":  # stages share it and note themselves in files of their own
        notes += [_read_note(path) for path in sorted(directory.glob("stage-*.lock"))]
    holders = [
        f"{note['purpose']} (pid {note['pid']} on {note['host']}, since {note['since']})"
        for note in notes
        if note and _may_live(note)
    ]
    return LockedError(
        f"{warehouse.root} is locked by {' and '.join(holders) or 'another run'}",
        "wait until it has ended, then run again; nothing was changed",
    )


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return (
        note if isinstance(note, dict) and {"pid", "host", "since", "purpose"} <= set(note) else {}
    )


def _may_live(note: dict[str, Any]) -> bool:
    """Return False only for a note that a process killed on this machine left behind."""
    if note["host"] != socket.gethostname():
        return True
    try:
        os.kill(int(note["pid"]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
