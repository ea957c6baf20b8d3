"""Copies of objects on a machine's own disk, so that many tasks there fetch an object once."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from mfspark.storage.machine import directory_of_this_user
from mfspark.storage.protocol import Storage

_PIECE_BYTES = 16 << 20


@dataclass(frozen=True)
class MachineCache:
    """Files that never change, by storage and key, in one directory for all processes of a user.

    `night`: whatever is another one where a key may mean other content (an application, say).
    `limit_bytes`: what all copies may take, of all nights together; the least recently used go
    first. A copy that goes while somebody reads it takes its space until he has done.
    """

    night: str
    limit_bytes: int

    def open(self, storage: Storage, key: str) -> pa.NativeFile:
        """Map a file into memory, after it was fetched if need be. Raises FileNotFoundError.

        A file on this machine's disk is opened where it is; one that is larger than the limit, or
        for which the disk has no room, is read from its storage.
        """
        if storage.local(key) is not None:
            return storage.open(key)
        path = self._path(storage, key)
        for _ in range(3):  # what was fetched may be gone again before it is opened
            with suppress(FileNotFoundError):
                file = pa.memory_map(str(path))
                with suppress(FileNotFoundError):
                    now = time.time_ns()  # finer than the clock of file systems
                    os.utime(path, ns=(now, now))  # its last use
                return file
            if not self._fetch(storage, key, path):
                break
        return storage.open(key)

    @contextmanager
    def writing(self, storage: Storage, key: str) -> Generator[BinaryIO, None, None]:
        """Yield a file to write to, as `Storage.writing` does, not durable; keep a copy of it.

        What is on no disk is held in memory until it is written.
        """
        if storage.local(key) is not None:
            with storage.writing(key, durable=False) as file:
                yield file
            return
        held = BytesIO()
        yield held
        content = held.getvalue()
        storage.put(key, content)
        self._keep(self._path(storage, key), content)

    def _path(self, storage: Storage, key: str) -> Path:
        name = "\n".join((self.night, storage.root, key))
        return _directory() / hashlib.sha256(name.encode()).hexdigest()

    def _keep(self, path: Path, content: bytes) -> None:
        """Write a copy, in the place of an older one, if there is room."""
        with _locked(path.with_name(f"lock-{path.name[:2]}")):
            beside = path.with_name(f"{path.name}.tmp")
            try:
                if self._make_room(beside, len(content)):
                    with beside.open("r+b") as target:
                        target.write(content)
                    os.replace(beside, path)
                    return
            except OSError:  # the disk is full, or others needed the room more
                beside.unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _fetch(self, storage: Storage, key: str, path: Path) -> bool:
        """Copy a file, while others who want it wait; return whether there was room."""
        with _locked(path.with_name(f"lock-{path.name[:2]}")):
            if path.exists():
                return True
            with storage.open(key) as source:
                beside = path.with_name(f"{path.name}.tmp")
                if not self._make_room(beside, source.size()):
                    return False
                try:
                    with beside.open("r+b") as target:
                        while piece := source.read(_PIECE_BYTES):
                            target.write(piece)
                    os.replace(beside, path)
                except OSError:  # the disk is full, or others needed the room more
                    beside.unlink(missing_ok=True)
                    return False
                except BaseException:
                    beside.unlink(missing_ok=True)
                    raise
        return True

    def _make_room(self, beside: Path, size: int) -> bool:
        """Make a file of a size, after others have gone for it; return whether it fits at all."""
        if size > self.limit_bytes:
            return False
        with _locked(beside.with_name("lock-all")):
            beside.unlink(missing_ok=True)  # left by a process that was killed
            copies: list[tuple[int, int, Path]] = []
            for entry in os.scandir(beside.parent):
                with suppress(FileNotFoundError):
                    if not entry.name.startswith("lock-"):
                        status = entry.stat()
                        copies.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
            taken = sum(size for _, size, _ in copies)
            for _, freed, path in sorted(copies):
                if taken + size <= self.limit_bytes:
                    break
                path.unlink(missing_ok=True)
                taken -= freed
            with beside.open("wb") as file:
                file.truncate(size)  # counted from now on, though it takes no space yet
        return True


def _directory() -> Path:
    """Return the directory for copies, which nobody else can read. Raises ConfigError."""
    base = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
    return directory_of_this_user(Path(base), "cache")


@contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
