"""A warehouse: immutable runs in a storage, and one pointer to the run that readers see.

    warehouse/
      CURRENT                  {"run_id": ..., "runs": [newest, ...], "left": {...}}; replaced last
      runs/<run_id>/           manifest.json and one directory a table
      exports/serving.parquet  optional
      scratch/<run_id>/        a night in progress
      locks/

A run counts as published when CURRENT lists it. So one replaced file decides both what readers see
and which runs exist, and a run directory that a killed night left behind is never mistaken for one.
`runs` is ordered by run date, then by when they were published; `left` says when readers were last
sent to a run that is not current any more.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from mfspark.errors import ConfigError, MfsparkError, NotFoundError, RefusedError
from mfspark.storage.opening import open_storage
from mfspark.storage.protocol import Storage
from mfspark.system.command_line import command_line
from mfspark.tables.manifest import MANIFEST, Manifest, as_json, parse_manifest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RUN_ID = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{8}")  # as nights are named
POINTER = "CURRENT"


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
    version: str | None = None
    """Of the file, as its storage counts: whoever replaces it says which one was read."""


class Warehouse:
    """The runs in one storage. Nothing is created until something is written.

    Raises ConfigError for a place that no storage is for.
    """

    def __init__(self, place: str | os.PathLike[str] | Storage) -> None:
        self.storage = open_storage(place) if isinstance(place, str | os.PathLike) else place

    @property
    def root(self) -> str:
        """The directory or URL, as `--warehouse` takes it."""
        return self.storage.root

    def run_key(self, run_id: str) -> str:
        """Return the key of a published run."""
        return f"runs/{check_name(run_id, 'run')}"

    def scratch_key(self, run_id: str) -> str:
        """Return the key of a night in progress."""
        return f"scratch/{check_name(run_id, 'run')}"

    def unpublished_tables_key(self, run_id: str) -> str:
        """Return the key of a night's tables until it is published.

        In scratch where directories move, else where they stay.
        """
        moved = self.storage.moves
        return f"{self.scratch_key(run_id)}/tables" if moved else self.run_key(run_id)

    def current(self) -> str | None:
        """Return the run that readers see; None where nothing was published."""
        return self.pointed().run_id

    def run_ids(self) -> list[str]:
        """Return the published runs that are still kept, newest first."""
        return self._kept(self.pointed())

    def found_in(self, key: str) -> list[str]:
        """Return the ids of what lies in `runs` or `scratch`, published or not, sorted.

        What has another name is not ours: nobody looks at it, and nobody removes it.
        """
        return [name for name in self.storage.names(key) if _RUN_ID.fullmatch(name)]

    def point_at(self, run_id: str, before: Pointer, *, listed_only: bool = False) -> None:
        """Make a whole run the one that readers see, if they still see what `before` says.

        `listed_only`: only list it among the published ones; readers stay where they are. Raises
        RefusedError when CURRENT was replaced meanwhile.
        """
        kept = self._kept(before)
        if run_id not in kept:
            later = [run for run in kept if run_date_of(run) > run_date_of(run_id)]
            kept.insert(len(later), run_id)
        current = before.run_id if listed_only and before.run_id else run_id
        left = {run: at for run, at in before.left.items() if run in kept and run != current}
        if before.run_id not in (None, current):
            left[before.run_id] = datetime.now(UTC)
        if not self._replace(before, current, kept, left):
            raise RefusedError(
                f"{self.storage.show(POINTER)} was replaced while run {run_id} was about to be "
                "published; readers see what the other one published",
                "run the same command again",
            )

    def forget(self, run_ids: Sequence[str], before: Pointer) -> None:
        """Take runs that are about to be removed off the published ones; readers stay.

        Some object stores go on showing their directories, and a kill may leave half of them.
        Raises RefusedError when CURRENT was replaced meanwhile.
        """
        if not run_ids or before.run_id is None:
            return
        kept = [run for run in before.runs if run not in run_ids]
        left = {run: at for run, at in before.left.items() if run in kept}
        if not self._replace(before, before.run_id, kept, left):
            raise RefusedError(
                f"{self.storage.show(POINTER)} was replaced meanwhile; nothing was removed",
                "run the same command again",
            )

    def _replace(
        self, before: Pointer, current: str, runs: Sequence[str], left: Mapping[str, datetime]
    ) -> bool:
        content = {
            "run_id": current,
            "runs": list(runs),
            "left": {run: at.isoformat(timespec="seconds") for run, at in left.items()},
        }
        return self.storage.replace(POINTER, as_json(content), before.version)

    def manifest(self, run_id: str | None = None) -> Manifest:
        """Return the manifest of a run; of CURRENT, resolved once, where none is given.

        Raises NotFoundError when the warehouse or the run does not exist.
        """
        found = self.resolve(run_id)
        key = f"{self.run_key(found)}/{MANIFEST}"
        content = self.storage.read(key)
        if content is None:
            raise NotFoundError(
                f"run {found} was published but {self.storage.show(key)} is gone",
                self._say_runs(self.run_ids()),
            )
        return parse_manifest(content, key, self.storage)

    def resolve(self, run_id: str | None = None) -> str:
        """Return a published run; the one that CURRENT names where none is given.

        Raises NotFoundError when the warehouse does not exist or the run was never published.
        """
        pointed = self.pointed()
        if pointed.run_id is None and not self.storage.exists():
            raise NotFoundError(
                f"there is no warehouse at {self.root}",
                "give the right one with --warehouse DIR, or make one of the embedded survey: "
                + command_line("run", warehouse=self.root),
            )
        if pointed.run_id is None:
            begun = self.found_in("scratch")
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

    def _kept(self, pointed: Pointer) -> list[str]:
        there = set(self.storage.names("runs"))
        return [run for run in pointed.runs if run in there]

    def _say_runs(self, runs: Sequence[str]) -> str:
        more = f" and {len(runs) - 5} older" if len(runs) > 5 else ""
        return f"published runs: {', '.join(runs[:5])}{more}"

    def pointed(self) -> Pointer:
        """Read CURRENT once. Raises MfsparkError where it is damaged."""
        found = self.storage.read_version(POINTER)
        if found is None:
            return Pointer()
        content, version = found
        try:
            pointed: dict[str, Any] = json.loads(content)
            current = check_name(pointed["run_id"], "run")
            runs = tuple(check_name(run, "run") for run in pointed.get("runs", [current]))
            left = {run: datetime.fromisoformat(at) for run, at in pointed.get("left", {}).items()}
            return Pointer(current, runs, left, version)
        except (ValueError, KeyError, TypeError, ConfigError):
            raise MfsparkError(
                f"the pointer {self.storage.show(POINTER)} is damaged: {content[:80]!r}",
                f'write {{"run_id": "..."}} into it, naming a run of {self.storage.show("runs")}',
            ) from None
