"""What is asked of object stores: it is what they charge for.

Every process counts into one file of its machine, so that no count is lost with the process: Spark
ends idle workers, and those whose task failed. Tasks that report something anyway take what their
machine has counted along to the driver, which adds it to its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from mfspark.errors import ConfigError
from mfspark.storage.machine import directory_of_this_user


@dataclass(frozen=True)
class Traffic:
    """Counts of requests, by kind, and of bytes.

    A listing counts one for every thousand files, and so do deletions; a long file that is written
    in parts counts the parts, and two to begin and to end. Parts that the client library sends
    again by itself are not seen.
    """

    gets: int = 0
    puts: int = 0
    lists: int = 0
    deletes: int = 0
    retries: int = 0
    """Those among them that repeat a try that failed."""
    bytes_read: int = 0
    bytes_written: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        """Return the sums."""
        return Traffic(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def requests(self) -> int:
        """All requests together."""
        return self.gets + self.puts + self.lists + self.deletes

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


_COUNTS = struct.Struct("<7q")


class Tally:
    """What all processes of a user on this machine asked of one warehouse, since it was taken."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = Lock()
        self._unwritten = Traffic()  # where this machine has no place for the file

    def __reduce__(self) -> tuple[Callable[[str], Tally], tuple[str]]:
        """Be the tally of the machine where it is unpickled."""
        return tally_of, (self._root,)

    def add(self, **counts: int) -> None:
        """Add to some counts, from any thread."""
        more = Traffic(**counts)
        with self._lock:
            try:
                with _opened(self._path()) as file:
                    os.pwrite(file, _COUNTS.pack(*astuple(_read(file) + more)), 0)
            except (OSError, ConfigError):  # no reason to fail: this process tells what it knows
                self._unwritten += more

    def seen(self) -> Traffic:
        """Return the counts."""
        with self._lock:
            return self._unwritten + self._kept(take=False)

    def take(self) -> Traffic:
        """Return the counts and begin anew: whoever takes them passes them on."""
        with self._lock:
            found, self._unwritten = self._unwritten, Traffic()
            return found + self._kept(take=True)

    def _kept(self, *, take: bool) -> Traffic:
        try:
            path = self._path()
            if not path.exists():
                return Traffic()
            with _opened(path) as file:
                found = _read(file)
                if take:
                    os.ftruncate(file, 0)
                return found
        except (OSError, ConfigError):
            return Traffic()

    def _path(self) -> Path:
        name = hashlib.sha256(self._root.encode()).hexdigest()
        return directory_of_this_user(Path(tempfile.gettempdir()), "requests") / name


@cache
def tally_of(root: str) -> Tally:
    """Return the tally of a warehouse, by its URL; that of a directory stays empty."""
    return Tally(root)


@contextmanager
def _opened(path: Path) -> Generator[int, None, None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _read(file: int) -> Traffic:
    content = os.pread(file, _COUNTS.size, 0)
    return Traffic(*_COUNTS.unpack(content)) if len(content) == _COUNTS.size else Traffic()
