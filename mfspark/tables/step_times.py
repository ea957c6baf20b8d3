"""What the steps of the last night took, kept beside its log: the time left goes by it."""

import json
from collections.abc import Mapping
from contextlib import suppress

from mfspark.errors import MfsparkError
from mfspark.storage.protocol import Storage

_NOTEWORTHY = 0.1  # seconds; a step below it was probably found finished
_PREFIX, _SUFFIX = "steps-", ".json"


def read_step_times(storage: Storage, work: str) -> dict[str, float]:
    """Return the seconds of each step of a piece of work, such as run or train-als.

    Empty where that is not known.
    """
    try:
        found = json.loads(storage.read(_key(work)) or b"")
        return {str(label): max(0.0, float(seconds)) for label, seconds in found.items()}
    except (MfsparkError, ValueError, TypeError, AttributeError):
        return {}


def write_step_times(storage: Storage, work: str, taken: Mapping[str, float]) -> None:
    """Keep what the steps took; those that were found finished keep their last time."""
    if not taken:
        return
    known = read_step_times(storage, work)
    times = {
        label: round(seconds if seconds >= _NOTEWORTHY else known.get(label, seconds), 3)
        for label, seconds in taken.items()
    }
    with suppress(MfsparkError):  # only an estimate: never a reason to fail a night
        storage.put(_key(work), json.dumps(times).encode())


def all_step_times(storage: Storage) -> dict[str, dict[str, float]]:
    """Return the seconds of each step, by the piece of work that it is a step of."""
    names = [name for name in storage.names("logs") if name.startswith(_PREFIX)]
    works = [name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name in names]
    return {work: read_step_times(storage, work) for work in works}


def _key(work: str) -> str:
    return f"logs/{_PREFIX}{work}{_SUFFIX}"
