"""A run in progress, under `scratch/<run_id>/`: its tables and its finished stages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, TypeVar

from mfspark.config.config import Config
from mfspark.errors import ConfigError, MfsparkError
from mfspark.storage.protocol import Storage
from mfspark.system.command_line import CommandLine
from mfspark.tables.lock import hold_pointer_lock
from mfspark.tables.manifest import Manifest, TableEntry, as_json, plain
from mfspark.tables.records import RecordKey
from mfspark.tables.table_files import TableFiles
from mfspark.tables.warehouse import Warehouse, check_name, run_date_of

T = TypeVar("T")

_WRITTEN = "written"  # what lies in each table
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
    alone: bool = False
    """Whether no other process works on it: what nobody recorded before is recorded here."""
    _tables: dict[str, TableEntry] = field(
        default_factory=dict[str, TableEntry], init=False, repr=False, compare=False
    )
    """What was read or written of them: a stage writes its own, and no other process does."""
    _records: dict[str, dict[str, Any]] = field(
        default_factory=dict[str, dict[str, Any]], init=False, repr=False, compare=False
    )
    """Likewise of what stages recorded."""

    @classmethod
    def begin(
        cls,
        warehouse: Warehouse,
        config: Config,
        run_date: date,
        inputs: list[dict[str, Any]],
        asked: CommandLine | None = None,
        *,
        alone: bool = False,
    ) -> Night:
        """Start a night, go on with one that was interrupted, or recognise one already published.

        Raises ConfigError when the warehouse cannot be written, LockedError when this night is just
        being published by another process.
        """
        run_id = name_run(config, run_date, inputs)
        night = cls(warehouse, config, run_date, run_id, plain(inputs), asked=asked, alone=alone)
        # A kill may have left the run directory moved but not published, or scratch not removed.
        if warehouse.storage.exists(warehouse.run_key(run_id)):
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

    @property
    def storage(self) -> Storage:
        """Where the warehouse lies."""
        return self.warehouse.storage

    def scratch(self, *parts: str) -> str:
        """Return a key under `scratch/<run_id>/`."""
        if any(set(part.split("/")) & {"..", ""} for part in parts):
            raise ConfigError(f"scratch path {'/'.join(parts)} leaves the night's own directory")
        return "/".join((self.warehouse.scratch_key(self.run_id), *parts))

    @property
    def tables_key(self) -> str:
        """Where its tables lie, published or not."""
        place = self.warehouse.run_key if self.published else self.warehouse.unpublished_tables_key
        return place(self.run_id)

    def table_key(self, table: str) -> str:
        """Return the key of a table of this night, below which its files lie."""
        return f"{self.tables_key}/{check_name(table, 'table')}"

    def table_names(self) -> list[str]:
        """Return the tables that were written so far, or that were published."""
        if self.published:
            return list(self._manifest.tables)
        names = self.storage.names(self.scratch(_WRITTEN))
        return [name.removesuffix(".json") for name in names]

    def table(self, table: str) -> TableEntry:
        """Return what was written of a table. Raises MfsparkError where it was not written yet."""
        if self.published:
            return self._manifest.tables[table]
        if table in self._tables:
            return self._tables[table]
        content = self.storage.read(self.scratch(_WRITTEN, f"{check_name(table, 'table')}.json"))
        if content is None:
            raise MfsparkError(
                f"run {self.run_id} has no table '{table}' in {self.storage.show(self.tables_key)}",
                "the stage that writes it must run first",
            )
        self._tables[table] = TableEntry.model_validate_json(content)
        return self._tables[table]

    def files(self, table: str) -> TableFiles:
        """Return the files of a table of this night. Raises MfsparkError as `table` does."""
        place, entry = self.table_key(table), self.table(table)
        return TableFiles(self.storage, tuple(f"{place}/{file.name}" for file in entry.files))

    def keep_table(self, table: str, entry: TableEntry) -> None:
        """Record which files are a table of this night, in the place of what they were before."""
        key = self.scratch(_WRITTEN, f"{check_name(table, 'table')}.json")
        self.storage.put(key, as_json(entry.model_dump(mode="json", by_alias=True)))
        self._tables[table] = entry

    def drop_table(self, table: str) -> None:
        """Remove the files of a table that is written anew, and forget it.

        Where directories do not move, others may have written there too: what no manifest lists is
        removed later.
        """
        if self.storage.moves:
            self.storage.delete([self.scratch(_WRITTEN, f"{check_name(table, 'table')}.json")])
            self.storage.discard(self.table_key(table))
        self._tables.pop(table, None)

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

    def finish(self, key: RecordKey[T], record: T, seconds: float | None = None) -> None:
        """Record, durably and at once, that a stage is done, and how long it took.

        What it wrote is made durable first: after a power failure the night relies on it.
        """
        self.storage.flush(self.scratch())
        took = {} if seconds is None else {"seconds": round(seconds, 3)}
        content = as_json(plain({**took, **key.dump(record)}))
        self.storage.put(self._record_key(key.stage), content)
        self._records[key.stage] = json.loads(content)

    def records(self) -> dict[str, Any]:
        """Return what every finished stage recorded, as JSON types."""
        if self.published:
            return self._manifest.stages
        return {stage: self._recorded(stage) for stage in self._list_records()}

    def settle(self) -> None:
        """Put right what a killed publish left; the caller holds the pointer lock.

        A run directory that CURRENT does not list goes back to scratch, where directories move: no
        reader was ever sent to it. What scratch still holds of a published run is discarded.
        """
        storage, run, tables = self.storage, self.warehouse.run_key(self.run_id), self.tables_key
        if self.run_id in self.warehouse.run_ids():
            self.published = True
            storage.discard(self.scratch())
        elif storage.moves and storage.exists(run):
            if storage.exists(tables):  # written since, so newer than what was moved
                storage.discard(run)
            else:
                storage.move(run, tables)

    def _first_begun(self) -> tuple[str | None, str | None]:
        """Return current_run and base_run as noted when this night first began, maybe now."""
        content = self.storage.read(self.scratch(NOTE))
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
        self.storage.put(self.scratch(NOTE), as_json(note))
        return current, base

    def _recorded(self, stage: str) -> dict[str, Any] | None:
        if self.published:
            return self._manifest.stages.get(stage)
        if stage not in self._records:
            if self.alone and stage not in self._recorded_before:
                return None
            content = self.storage.read(self._record_key(stage))
            if content is None:
                return None
            self._records[stage] = json.loads(content)
        return self._records[stage]

    def _record_key(self, stage: str) -> str:
        return self.scratch("stages", f"{check_name(stage, 'stage')}.json")

    def _list_records(self) -> list[str]:
        names = self.storage.names(self.scratch("stages"))
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    @cached_property
    def _recorded_before(self) -> set[str]:
        return set(self._list_records())

    @cached_property
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
