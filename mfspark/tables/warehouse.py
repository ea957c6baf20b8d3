"""A warehouse: a directory of immutable runs and one pointer to the run that readers see.

    warehouse/
      CURRENT                  {"run_id": ..., "runs": [newest, ..., oldest]}; replaced last
      runs/<run_id>/           manifest.json and one directory a table
      exports/top_n.parquet    optional
      scratch/<run_id>/        a night in progress
      locks/

A run counts as published when CURRENT lists it. So one replaced file decides both what readers see
and which runs exist, and a run directory that a killed night left behind is never mistaken for one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mfspark.errors import ConfigError, MfsparkError, NotFoundError
from mfspark.schemas import table_names
from mfspark.tables.manifest import MANIFEST, Manifest, as_json, parse_manifest
from mfspark.tables.store import LocalStore, Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/")


def check_name(name: str, what: str) -> str:
    """Return a name that is safe as one path component. Raises ConfigError for any other."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r} is not a name", "use letters, digits, '.', '_' and '-' only"
        )
    return name


class Warehouse:
    """The runs under one root directory. Nothing is created until something is written."""

    def __init__(self, root: str | Path, store: Store | None = None) -> None:
        self.root = _local_path(str(root))
        self.store: Store = store or LocalStore()

    @property
    def pointer(self) -> Path:
        """The file CURRENT."""
        return self.root / "CURRENT"

    def run_dir(self, run_id: str) -> Path:
        """Return the directory of a published run."""
        return self.root / "runs" / check_name(run_id, "run")

    def scratch_dir(self, run_id: str) -> Path:
        """Return the directory of a night in progress."""
        return self.root / "scratch" / check_name(run_id, "run")

    def current(self) -> str | None:
        """Return the run that readers see; None where nothing was published."""
        return self._pointed()[0]

    def run_ids(self) -> list[str]:
        """Return the published runs that are still kept, newest first."""
        return [run for run in self._pointed()[1] if self.store.is_dir(self.run_dir(run))]

    def point_at(self, run_id: str) -> None:
        """Make a whole run the one that readers see; the caller holds the pointer lock."""
        runs = self.run_ids()
        runs = runs if run_id in runs else [run_id, *runs]
        self.store.replace_file(self.pointer, as_json({"run_id": run_id, "runs": runs}))

    def manifest(self, run_id: str | None = None) -> Manifest:
        """Return the manifest of a run; of CURRENT, resolved once, where none is given.

        Raises NotFoundError when the warehouse or the run does not exist.
        """
        found = self._resolve(run_id)
        path = self.run_dir(found) / MANIFEST
        content = self.store.read(path)
        if content is None:
            raise NotFoundError(
                f"run {found} was published but {path} is gone", self._say_runs(self.run_ids())
            )
        return parse_manifest(content, path)

    def table_dir(self, table: str, run_id: str | None = None) -> Path:
        """Return the directory of a published table, which no later night changes.

        Raises NotFoundError when the warehouse, the run or the table does not exist.
        """
        manifest = self.manifest(run_id)
        if table not in manifest.tables:
            known = table in table_names()
            missing = f"run {manifest.run_id} has no table '{table}'"
            raise NotFoundError(
                missing if known else f"no table is named '{table}'",
                f"tables there: {', '.join(manifest.tables)}",
            )
        return self.run_dir(manifest.run_id) / table

    def _resolve(self, run_id: str | None) -> str:
        if not self.root.is_dir():
            raise NotFoundError(
                f"there is no warehouse at {self.root}",
                "give the right one with --warehouse DIR, or make one: mfspark run --warehouse DIR",
            )
        current, runs = self._pointed()
        if current is None:
            raise NotFoundError(
                f"nothing was published in {self.root} yet", "publish a night first: mfspark run"
            )
        if run_id is None:
            return current
        if check_name(run_id, "run") not in runs:
            raise NotFoundError(
                f"no run {run_id} was published in {self.root}", self._say_runs(runs)
            )
        return run_id

    def _say_runs(self, runs: list[str]) -> str:
        more = f" and {len(runs) - 5} older" if len(runs) > 5 else ""
        return f"published runs: {', '.join(runs[:5])}{more}"

    def _pointed(self) -> tuple[str | None, list[str]]:
        """Read CURRENT once: the current run, and all published ones, newest first."""
        content = self.store.read(self.pointer)
        if content is None:
            return None, []
        try:
            pointed: dict[str, Any] = json.loads(content)
            current = check_name(pointed["run_id"], "run")
            return current, [check_name(r, "run") for r in pointed.get("runs", [current])]
        except (ValueError, KeyError, TypeError, ConfigError):
            raise MfsparkError(
                f"the pointer {self.pointer} is damaged: {content[:80]!r}",
                f'write {{"run_id": "..."}} into it, naming a directory of {self.root / "runs"}',
            ) from None


def _local_path(root: str) -> Path:
    """Return an absolute path. Raises ConfigError for a URL of another file system."""
    url = _URL.match(root)
    if url and url[1].lower() != "file":
        raise ConfigError(
            f"the warehouse {root} is not on a local file system",
            "give a directory; for other file systems write one Store (mfspark/tables/store.py)",
        )
    if url:
        root = re.sub(r"^file:/+", "/", root, flags=re.IGNORECASE)
    if not root.strip():
        raise ConfigError("the warehouse is an empty path", "name a directory: --warehouse DIR")
    return Path(root).expanduser().absolute()
