"""Locks held by the process, so that two starts never meet in one warehouse.

warehouse     alone: a whole night; shared: any single stage
stage-<name>  alone: that one stage
pointer       alone: whoever publishes or moves CURRENT
fit-<name>    alone, waited for: a fit that several stages need
"""

import json
import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from mfspark.errors import LockedError
from mfspark.storage.protocol import HeldError, Storage
from mfspark.tables.warehouse import Warehouse, check_name


@contextmanager
def hold_lock(warehouse: Warehouse, stage: str | None = None) -> Generator[None, None, None]:
    """Hold the warehouse for a whole night (`stage` is None), or share it for one stage.

    Two different stages may run at once; a night runs alone. It is not reentrant: take it once,
    outermost. Raises LockedError, which names the holder, at once when another process holds it.
    """
    if stage is None:
        with _held(warehouse, "warehouse", "a whole night"):
            yield
        return
    name, purpose = f"stage-{check_name(stage, 'stage')}", f"stage {stage}"
    with _held(warehouse, "warehouse", purpose, shared=True), _held(warehouse, name, purpose):
        yield


@contextmanager
def hold_in_turn(warehouse: Warehouse, name: str) -> Generator[None, None, None]:
    """Hold something that any stage may have to do first, after whoever is just doing it."""
    with _held(warehouse, check_name(name, "lock"), name, wait=True):
        yield


@contextmanager
def hold_pointer_lock(warehouse: Warehouse) -> Generator[None, None, None]:
    """Hold the right to move CURRENT. Raises LockedError when another process holds it."""
    with _held(warehouse, "pointer", "publishing"):
        yield


@contextmanager
def _held(
    warehouse: Warehouse, name: str, purpose: str, *, shared: bool = False, wait: bool = False
) -> Generator[None, None, None]:
    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
    }
    content = json.dumps(note).encode()
    with ExitStack() as stack:
        try:
            stack.enter_context(warehouse.storage.hold(name, content, shared=shared, wait=wait))
        except HeldError:
            raise _locked(warehouse.storage, name) from None
        yield


def _locked(storage: Storage, name: str) -> LockedError:
    notes = [_read_note(storage, f"locks/{name}.lock")]
    if name == "warehouse":  # stages share it and note themselves in files of their own
        others = (other for other in storage.names("locks") if other.startswith("stage-"))
        notes += [_read_note(storage, f"locks/{other}") for other in others]
    holders = [
        f"{note['purpose']} (pid {note['pid']} on {note['host']}, since {note['since']})"
        for note in notes
        if note and _may_live(note)
    ]
    return LockedError(
        f"{storage.root} is locked by {' and '.join(holders) or 'another run'}",
        "wait until it has ended, then run again; nothing was changed",
    )


def _read_note(storage: Storage, key: str) -> dict[str, Any]:
    try:
        note = json.loads(storage.read(key) or b"")
    except ValueError:
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
