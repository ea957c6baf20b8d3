"""A night that was refused, read where it lies: in scratch, with everything that it made."""

import json
from typing import Any

from pydantic import ValidationError

from mfspark.errors import MfsparkError, NotFoundError
from mfspark.models.records import EVALUATE, INGEST
from mfspark.system.command_line import command_line
from mfspark.tables.manifest import Manifest
from mfspark.tables.night import NOTE, WHY
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse


def is_refused(warehouse: Warehouse, run_id: str) -> bool:
    """Return whether a run is a night that was refused, and not published since."""
    if run_id not in warehouse.found_in("scratch") or run_id in warehouse.pointed().runs:
        return False
    return warehouse.storage.exists(f"{warehouse.scratch_key(run_id)}/{WHY}")


class RefusedRun(PublishedRun):
    """A refused night, asked as a published run is: its tables, its records, its verdicts.

    Nobody wrote a manifest of it; this one is put together from what the night noted, and its
    `published_at` is when it was refused. Raises NotFoundError where no refused night has the id,
    MfsparkError where its notes are damaged.
    """

    def __init__(self, warehouse: Warehouse, run_id: str) -> None:
        if not is_refused(warehouse, run_id):
            line = command_line("runs", warehouse=warehouse.root)
            raise NotFoundError(f"no refused night {run_id} is in {warehouse.root}", f"see {line}")
        self.warehouse = warehouse
        self._scratch = warehouse.scratch_key(run_id)
        try:
            self.reasons, self.manifest = self._read(run_id)
        except (ValueError, KeyError, TypeError, ValidationError):
            place = warehouse.storage.show(self._scratch)
            raise MfsparkError(
                f"what the refused night {run_id} noted in {place} is damaged, or of a version "
                "that noted other things",
                "run the night again",
            ) from None

    @property
    def place(self) -> str:
        """The directory or URL where its tables lie."""
        return self.warehouse.storage.show(self._tables_key)

    def table_key(self, table: str) -> str:
        """Return the key of a table. Raises NotFoundError when the night has no such table."""
        super().table_key(table)
        return f"{self._tables_key}/{table}"

    @property
    def _tables_key(self) -> str:
        return self.warehouse.unpublished_tables_key(self.run_id)

    def _read(self, run_id: str) -> tuple[tuple[str, ...], Manifest]:
        """Return why the night was refused, and its manifest."""
        note, why = (json.loads(self._content(name)) for name in (NOTE, WHY))
        stages = self._folder("stages")
        return tuple(why["reasons"]), Manifest.model_validate(
            {
                "run_id": run_id,
                **{name: note[name] for name in ("run_date", "parent", "base", "config", "inputs")},
                "published_at": why["refused_at"],
                "seed": note["config"]["seed"],
                "versions": {},
                "id_types": stages[INGEST.stage]["ids"],
                "tables": self._folder("written"),
                "metrics": stages.get(EVALUATE.stage, {}).get("metrics", []),
                "verdicts": why["verdicts"],
                "stages": stages,
            }
        )

    def _folder(self, name: str) -> dict[str, Any]:
        """Return the JSON files of a folder by their names."""
        files = self.warehouse.storage.names(f"{self._scratch}/{name}")
        return {
            file.removesuffix(".json"): json.loads(self._content(f"{name}/{file}"))
            for file in files
            if file.endswith(".json")
        }

    def _content(self, name: str) -> bytes:
        return self.warehouse.storage.read(f"{self._scratch}/{name}") or b""
