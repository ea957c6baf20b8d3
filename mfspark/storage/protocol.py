"""What the program needs of the place where a warehouse lies: a directory, or a bucket and prefix.

Everything there has a key: names joined by '/', below the root. A `Storage` says what each
operation promises; publishing is right wherever the promises hold. Storages are handed to Spark
tasks, so they pickle, and carry no secret.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa


@dataclass(frozen=True)
class StoredFile:
    """One file in a listing."""

    key: str
    bytes: int
    modified: datetime


class HeldError(Exception):
    """Somebody else holds a lock; the note that the holder wrote is in the lock's file."""


class Storage(Protocol):
    """A place for files by key.

    Small files are read and written whole: readers see the old content or the new one. What `put`,
    `create`, `replace` and `writing` wrote is durable when they return, unless it says otherwise.
    Errors of the place itself are ConfigError, a full or failing one is MfsparkError.
    """

    @property
    def root(self) -> str:
        """The directory, or the URL of bucket and prefix, as `--warehouse` takes it."""
        ...

    @property
    def moves(self) -> bool:
        """Whether a directory can be moved in one step.

        If not, tables are written where they stay, and only what a manifest lists counts.
        """
        ...

    def check(self) -> None:
        """Raise ConfigError where the place breaks a promise, as far as can be tried."""
        ...

    def show(self, key: str) -> str:
        """Return the path or URL of a key, for messages and for other programs."""
        ...

    def local(self, key: str) -> Path | None:
        """Return the path of a key on this machine's disk; None where it is not on a disk."""
        ...

    def exists(self, key: str = "") -> bool:
        """Return whether there is a file, or a directory, of this key."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return the content of a file; None where there is none."""
        ...

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return the content of a file and what `replace` wants of it; None where there is none."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Put a file, whatever was there."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Put a file where there is none; of several at once one does. Return whether it did."""
        ...

    def replace(self, key: str, content: bytes, version: str | None) -> bool:
        """Put a file if it still has this version (None: if there is none); return whether it did.

        Of several at once that know the same version, one does.
        """
        ...

    def names(self, key: str) -> list[str]:
        """Return the sorted names in a directory but hidden ones; empty where there is none."""
        ...

    def files(self, key: str) -> list[StoredFile]:
        """Return all files below a directory, by key, hidden ones too."""
        ...

    def sizes(self, key: str, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of files of these names in a directory, of those that are there."""
        ...

    def open(self, key: str) -> pa.NativeFile:
        """Open a file for reading, at any position. Raises FileNotFoundError."""
        ...

    def writing(self, key: str, *, durable: bool = True) -> AbstractContextManager[BinaryIO]:
        """Yield a new file to write to; it appears, whole, when the block ends without an error."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; those that are not there are no error."""
        ...

    def discard(self, key: str) -> None:
        """Delete a directory and all below it; it may be missing.

        Where directories move it vanishes at once, before its space is freed.
        """
        ...

    def flush(self, key: str) -> None:
        """Make everything that anybody wrote below a directory durable."""
        ...

    def sync(self, keys: Iterable[str]) -> None:
        """Make some files durable that were written with `durable=False`."""
        ...

    def move(self, source: str, target: str) -> None:
        """Move a directory to a free key: all of it or nothing, durably. Only where it `moves`."""
        ...

    def hold(
        self, name: str, note: bytes, *, shared: bool = False, wait: bool = False
    ) -> AbstractContextManager[None]:
        """Hold a lock: alone, or `shared` with others who share it; `wait` for whoever holds it.

        The note is a JSON object. While it is held alone, the file `locks/<name>.lock` has its
        keys, perhaps with others; afterwards it is empty.
        Whoever dies holding it lets go of it. Raises HeldError.
        """
        ...
