"""A run in progress, under `scratch/<run_id>/`: its tables and its finished stages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from mfspark.config.config import Config
from mfspark.errors import ConfigError, MfsparkError
from mfspark.system.command_line import CommandLine
from mfspark.tables.lock import hold_pointer_lock
from mfspark.tables.manifest import Manifest, as_json, plain
from mfspark.tables.records import RecordKey
from mfspark.tables.warehouse import Warehouse, check_name, run_date_of

T = TypeVar("T")

NOTE, WHY = "night.json", "why.json"
"""What a night in scratch notes when it begins, and when it is refused."""


@dataclass
class Night:
    """One run of a run date, configuration and inputs; the same three always give the same run.

    `inputs` are fingerprints of what is read. `current_run` is what readers saw when this night
    first began; only that one may be replaced. `base_run` is the run that it builds upon (its ids,
    its factors, its ratings where new ones are merged): the newest of an earlier date. The two
    differ where a night is run again with other inputs, or after later ones. Once `published`, the
    tables lie in the run directory and nothing is written.
    """

    warehouse: Warehouse
    config: Config
    run_date: date
    run_id: str
    inputs: list[dict[str, Any]]
    current_run: str | None = None
    base_run: str | None = None
    published: bool = False
    asked: CommandLine | None = None
    """What it was asked for with, for hints: this time; noted for others when it first begins."""

    @classmethod
    def begin(
        cls,
        warehouse: Warehouse,
        config: Config,
        run_date: date,
        inputs: list[dict[str, Any]],
        asked: CommandLine | None = None,
    ) -> Night:
        """Start a night, go on with one that was interrupted, or recognise one already published.

        Raises ConfigError when the warehouse cannot be written, LockedError when this night is just
        being published by another process.
        """
        run_id = name_run(config, run_date, inputs)
        night = cls(warehouse, config, run_date, run_id, plain(inputs), asked=asked)
        # A kill may have left the run directory moved but not published, or scratch not removed.
        if warehouse.file_system.is_dir(warehouse.run_dir(run_id)):
            with hold_pointer_lock(warehouse):
                night.settle()
        if night.published:
            manifest = warehouse.manifest(run_id)
            night.current_run, night.base_run = manifest.current_run, manifest.base_run
        else:
            night.current_run, night.base_run = night._first_begun()
        return night

    @property
    def reference_run(self) -> str | None:
        """The run that this one is judged by: what readers see, or before it, if that is later."""
        if self.current_run is None or run_date_of(self.current_run) <= self.run_date:
            return self.current_run
        return self.base_run

    def scratch(self, *parts: str) -> Path:
        """Return a path under `scratch/<run_id>/`; its parent directory exists."""
        path = self.warehouse.scratch_dir(self.run_id).joinpath(*parts)
        if not path.resolve().is_relative_to(self.warehouse.scratch_dir(self.run_id).resolve()):
            raise ConfigError(f"scratch path {'/'.join(parts)} leaves the night's own directory")
        self.warehouse.file_system.make_dir(path.parent)
        return path

    def table_dir(self, table: str) -> Path:
        """Return where a table of this night lies: in scratch, or in the run once published."""
        check_name(table, "table")
        if self.published:
            return self.warehouse.run_dir(self.run_id) / table
        return self.scratch("tables", table)

    def finished(self, key: RecordKey[Any]) -> bool:
        """Return whether a stage was finished, now or by an interrupted run of this night."""
        return self._recorded(key.stage) is not None

    def record(self, key: RecordKey[T]) -> T:
        """Return what a finished stage recorded. Raises MfsparkError when it has not finished."""
        found = self.find(key)
        if found is None:
            raise MfsparkError(
                f"stage '{key.stage}' of run {self.run_id} has not finished", "run it first"
            )
        return found

    def find(self, key: RecordKey[T]) -> T | None:
        """Return what a stage recorded; None where it has not finished."""
        recorded = self._recorded(key.stage)
        return None if recorded is None else key.parse(recorded, self.run_id)

    def finish(self, key: RecordKey[T], record: T) -> None:
        """Record, durably and at once, that a stage is done.

        What it wrote is made durable first: after a power failure the night relies on it.
        """
        path = self._record_path(key.stage)
        self.warehouse.file_system.make_dir(path.parent)
        self.warehouse.file_system.flush(path.parent)
        self.warehouse.file_system.replace_file(path, as_json(plain(key.dump(record))))

    def records(self) -> dict[str, Any]:
        """Return what every finished stage recorded, as JSON types."""
        if self.published:
            return self._manifest().stages
        names = self.warehouse.file_system.names(self.warehouse.scratch_dir(self.run_id) / "stages")
        stages = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return {stage: self._recorded(stage) for stage in stages}

    def settle(self) -> None:
        """Put right what a killed publish left; the caller holds the pointer lock.

        A run directory that CURRENT does not list goes back to scratch: no reader was ever sent to
        it. What scratch still holds of a published run is discarded.
        """
        file_system, run_dir = self.warehouse.file_system, self.warehouse.run_dir(self.run_id)
        if self.run_id in self.warehouse.run_ids():
            self.published = True
            file_system.discard(self.warehouse.scratch_dir(self.run_id))
        elif file_system.is_dir(run_dir):
            tables = self.scratch("tables")
            if file_system.is_dir(tables):  # written since, so newer than what was moved
                file_system.discard(run_dir)
            else:
                file_system.move_dir(run_dir, tables)

    def _first_begun(self) -> tuple[str | None, str | None]:
        """Return current_run and base_run as noted when this night first began, maybe now."""
        path = self.scratch(NOTE)
        content = self.warehouse.file_system.read(path)
        if content is not None:
            note = json.loads(content)
            return note["parent"], note["base"]
        current = self.warehouse.current()
        base = base_of(self.warehouse, current, self.run_date)
        note = {
            "run_id": self.run_id,
            "run_date": self.run_date.isoformat(),
            "parent": current,
            "base": base,
            "begun_at": datetime.now(UTC).isoformat(),
            "config": plain(self.config.content()),
            "inputs": self.inputs,
            "asked": asdict(self.asked) if self.asked else None,
        }
        self.warehouse.file_system.replace_file(path, as_json(note))
        return current, base

    def _recorded(self, stage: str) -> dict[str, Any] | None:
        if self.published:
            return self._manifest().stages.get(stage)
        content = self.warehouse.file_system.read(self._record_path(stage))
        return None if content is None else json.loads(content)

    def _record_path(self, stage: str) -> Path:
        name = f"{check_name(stage, 'stage')}.json"
        return self.warehouse.scratch_dir(self.run_id) / "stages" / name

    def _manifest(self) -> Manifest:
        return self.warehouse.manifest(self.run_id)


def base_of(warehouse: Warehouse, current: str | None, run_date: date) -> str | None:
    """Return the run that a night of a date builds upon: the current one if that is older.

    Otherwise the newest kept one of an earlier date.
    """
    if current is None or run_date_of(current) < run_date:
        return current
    return next((run for run in warehouse.run_ids() if run_date_of(run) < run_date), None)


def name_run(config: Config, run_date: date, inputs: list[dict[str, Any]]) -> str:
    """Return the run id: the date and 8 hex digits of what decides the content of the tables.

    Secrets are redacted before hashing, so that a new password does not make a new run.
    """
    content = json.dumps(
        plain({"config": config.content(), "inputs": inputs}), sort_keys=True, separators=(",", ":")
    )
    return f"{run_date.isoformat()}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
