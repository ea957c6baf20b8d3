"""A warehouse: a directory of immutable runs and one pointer to the run that readers see.

    warehouse/
      CURRENT                  {"run_id": ..., "runs": [newest, ...], "left": {...}}; replaced last
      runs/<run_id>/           manifest.json and one directory a table
      exports/top_n.parquet    optional
      scratch/<run_id>/        a night in progress
      locks/

A run counts as published when CURRENT lists it. So one replaced file decides both what readers see
and which runs exist, and a run directory that a killed night left behind is never mistaken for one.
`runs` is ordered by run date, then by when they were published; `left` says when readers were last
sent to a run that is not current any more.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mfspark.errors import ConfigError, MfsparkError, NotFoundError
from mfspark.storage.file_system import FileSystem, LocalFileSystem
from mfspark.system.command_line import command_line
from mfspark.tables.manifest import MANIFEST, Manifest, as_json, parse_manifest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/")


def check_name(name: str, what: str) -> str:
    """Return a name that is safe as one path component. Raises ConfigError for any other."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r} is not a name", "use letters, digits, '.', '_' and '-' only"
        )
    return name


def run_date_of(run_id: str) -> date:
    """Return the date that a run id begins with."""
    return date.fromisoformat(run_id[:10])


@dataclass(frozen=True)
class Pointer:
    """What CURRENT says."""

    run_id: str | None = None
    runs: tuple[str, ...] = ()
    left: dict[str, datetime] = field(default_factory=dict[str, datetime])


class Warehouse:
    """The runs under one root directory. Nothing is created until something is written."""

    def __init__(self, root: str | Path, file_system: FileSystem | None = None) -> None:
        self.root = _local_path(str(root))
        self.file_system: FileSystem = file_system or LocalFileSystem()

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
        return self.pointed().run_id

    def run_ids(self) -> list[str]:
        """Return the published runs that are still kept, newest first."""
        return [run for run in self.pointed().runs if self.file_system.is_dir(self.run_dir(run))]

    def point_at(self, run_id: str, *, listed_only: bool = False) -> None:
        """Make a whole run the one that readers see; the caller holds the pointer lock.

        `listed_only`: only list it among the published ones; readers stay where they are.
        """
        before, kept = self.pointed(), self.run_ids()
        if run_id not in kept:
            later = [run for run in kept if run_date_of(run) > run_date_of(run_id)]
            kept.insert(len(later), run_id)
        current = before.run_id if listed_only and before.run_id else run_id
        left = {run: at for run, at in before.left.items() if run in kept and run != current}
        if before.run_id not in (None, current):
            left[before.run_id] = datetime.now(UTC)
        content = {
            "run_id": current,
            "runs": kept,
            "left": {run: at.isoformat(timespec="seconds") for run, at in left.items()},
        }
        self.file_system.replace_file(self.pointer, as_json(content))

    def manifest(self, run_id: str | None = None) -> Manifest:
        """Return the manifest of a run; of CURRENT, resolved once, where none is given.

        Raises NotFoundError when the warehouse or the run does not exist.
        """
        found = self.resolve(run_id)
        path = self.run_dir(found) / MANIFEST
        content = self.file_system.read(path)
        if content is None:
            raise NotFoundError(
                f"run {found} was published but {path} is gone", self._say_runs(self.run_ids())
            )
        return parse_manifest(content, path)

    def resolve(self, run_id: str | None = None) -> str:
        """Return a published run; the one that CURRENT names where none is given.

        Raises NotFoundError when the warehouse does not exist or the run was never published.
        """
        if not self.root.is_dir():
            raise NotFoundError(
                f"there is no warehouse at {self.root}",
                "give the right one with --warehouse DIR, or make one of the embedded survey: "
                + command_line("run", warehouse=self.root),
            )
        pointed = self.pointed()
        if pointed.run_id is None:
            begun = self.file_system.names(self.root / "scratch")
            hint = "see which nights wait there, and go on with one" if begun else "publish a night"
            line = command_line("runs" if begun else "run", warehouse=self.root)
            raise NotFoundError(f"nothing was published in {self.root} yet", f"{hint}: {line}")
        if run_id is None:
            return pointed.run_id
        if check_name(run_id, "run") not in pointed.runs:
            raise NotFoundError(
                f"no run {run_id} was published in {self.root}", self._say_runs(pointed.runs)
            )
        return run_id

    def _say_runs(self, runs: Sequence[str]) -> str:
        more = f" and {len(runs) - 5} older" if len(runs) > 5 else ""
        return f"published runs: {', '.join(runs[:5])}{more}"

    def pointed(self) -> Pointer:
        """Read CURRENT once. Raises MfsparkError where it is damaged."""
        content = self.file_system.read(self.pointer)
        if content is None:
            return Pointer()
        try:
            pointed: dict[str, Any] = json.loads(content)
            current = check_name(pointed["run_id"], "run")
            runs = tuple(check_name(run, "run") for run in pointed.get("runs", [current]))
            left = {run: datetime.fromisoformat(at) for run, at in pointed.get("left", {}).items()}
            return Pointer(current, runs, left)
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
            "give a directory; another file system is one class of mfspark/storage/file_system.py",
        )
    if url:
        root = re.sub(r"^file:/+", "/", root, flags=re.IGNORECASE)
    if not root.strip():
        raise ConfigError("the warehouse is an empty path", "name a directory: --warehouse DIR")
    return Path(root).expanduser().absolute()
