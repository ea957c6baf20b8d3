"""Nights that wait in scratch to be gone on with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from mfspark.errors import MfsparkError
from mfspark.system.command_line import CommandLine
from mfspark.tables.retention import scratch_nights
from mfspark.tables.warehouse import Warehouse


@dataclass(frozen=True)
class WaitingNight:
    """A night that was begun and not published, and still can be."""

    run_id: str
    run_date: date
    inputs: list[dict[str, Any]]
    asked: CommandLine | None

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.run_date} ({self.ratings})"

    @property
    def ratings(self) -> str:
        """The names of its files of ratings."""
        names = [str(file["name"]) for file in self.inputs if file.get("part") == "ratings"]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more

    def command(self, stage: str) -> str:
        """Return the command that goes on with it."""
        if self.asked is None:  # begun by another version, or from Python
            return f"mfspark {stage} with the options it was begun with"
        return self.asked.of(stage)


def waiting_nights(warehouse: Warehouse) -> list[WaitingNight]:
    """Return the nights in scratch that can still be published, the latest date first.

    That is those which began when readers saw the run that they see now.
    """
    pointer = warehouse.pointed()
    found = [
        _waiting(run_id, note)
        for run_id, note in scratch_nights(warehouse).items()
        if note and note["parent"] == pointer.run_id and run_id not in pointer.runs
    ]
    return sorted(found, key=lambda night: night.run_id, reverse=True)


def nights_of_other_ratings(warehouse: Warehouse, sha256: str) -> Iterator[str]:
    """Name the published runs, and the nights in scratch, that read any other file of ratings."""

    def is_other(inputs: list[dict[str, Any]]) -> bool:
        return any(file.get("part") == "ratings" and file["sha256"] != sha256 for file in inputs)

    for run_id in warehouse.run_ids():
        try:
            if is_other(warehouse.manifest(run_id).inputs):
                yield f"run {run_id}"
        except MfsparkError:  # damaged: nobody knows what it read
            yield f"run {run_id}"
    for run_id, note in scratch_nights(warehouse).items():
        if is_other(note.get("inputs", [])):
            yield f"run {run_id}, unfinished"


def _waiting(run_id: str, note: dict[str, Any]) -> WaitingNight:
    asked = note.get("asked")
    command = CommandLine(tuple(asked["options"]), asked["directory"]) if asked else None
    return WaitingNight(run_id, date.fromisoformat(note["run_date"]), note["inputs"], command)
