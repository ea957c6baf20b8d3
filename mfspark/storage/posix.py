"""A warehouse in a directory of a POSIX file system."""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from mfspark.storage.problems import explain_os_errors
from mfspark.storage.protocol import HeldError, StoredFile
from mfspark.system.durability import flush, sync

_DISCARDED = ".discarded-"


@dataclass(frozen=True)
class PosixStorage:
    """Files below a directory: fsync before every rename that others may see, and after it.

    The underscored methods are the single steps; fault tests stop the program at each of them.
    """

    root: str

    @property
    def moves(self) -> bool:
        """By one rename."""
        return True

    def check(self) -> None:
        """Nothing: a POSIX file system keeps them."""

    def show(self, key: str) -> str:
        """Return the path of a key."""
        return str(self.local(key))

    def local(self, key: str) -> Path:
        """Return the path of a key."""
        return Path(self.root, key)

    def exists(self, key: str = "") -> bool:
        """Return whether there is a file or a directory."""
        return self.local(key).exists()

    def read(self, key: str) -> bytes | None:
        """Return the content of a file; None where there is none."""
        path = self.local(key)
        with explain_os_errors(path, "read"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return the content of a file, and its hash; None where there is none."""
        content = self.read(key)
        return None if content is None else (content, hashlib.sha256(content).hexdigest())

    def put(self, key: str, content: bytes) -> None:
        """Write beside the target, fsync, replace, fsync the directory."""
        path = self.local(key)
        self._make_dir(path.parent)
        with explain_os_errors(path, "write"):
            beside = path.with_name(f".{path.name}.tmp")
            self._write(beside, content)
            self._replace(beside, path)
            self._sync(path.parent)

    def create(self, key: str, content: bytes) -> bool:
        """Put a file where there is none; a lock of the directory keeps others away meanwhile."""
        return self.replace(key, content, None)

    def replace(self, key: str, content: bytes, version: str | None) -> bool:
        """Put a file if its content is still what it was; return whether it did."""
        directory = self.local(key).parent
        self._make_dir(directory)
        with _flocked(directory, os.O_RDONLY, fcntl.LOCK_EX):
            found = self.read_version(key)
            if (found and found[1]) != version:
                return False
            self.put(key, content)
        return True

    def names(self, key: str) -> list[str]:
        """Return the sorted names in a directory but hidden ones; empty where there is none."""
        path = self.local(key)
        with explain_os_errors(path, "list"):
            try:
                return sorted(name for name in os.listdir(path) if not name.startswith("."))
            except FileNotFoundError:
                return []

    def files(self, key: str) -> list[StoredFile]:
        """Return all files below a directory, by key."""
        found: list[StoredFile] = []
        with explain_os_errors(self.local(key), "list"):
            for directory, _, names in os.walk(self.local(key)):
                for path in (Path(directory, name) for name in names):
                    size, modified = path.stat().st_size, path.stat().st_mtime
                    shown = path.relative_to(self.root).as_posix()
                    found.append(StoredFile(shown, size, datetime.fromtimestamp(modified, UTC)))
        return sorted(found, key=lambda file: file.key)

    def sizes(self, key: str, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of files in a directory; by their names, as a listing may be old."""
        found: dict[str, int] = {}
        for name in names:
            path = self.local(f"{key}/{name}")
            with explain_os_errors(path, "look at"), suppress(FileNotFoundError):
                found[name] = path.stat().st_size
        return found

    def open(self, key: str) -> pa.NativeFile:
        """Map a file into memory. Raises FileNotFoundError."""
        return pa.memory_map(str(self.local(key)))

    @contextmanager
    def writing(self, key: str, *, durable: bool = True) -> Generator[BinaryIO, None, None]:
        """Yield a hidden file beside the target, which takes its place by one rename."""
        path = self.local(key)
        if durable:
            self._make_dir(path.parent)
        with explain_os_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # One name where there is one writer, so that the next one removes what a kill left.
            own = "" if durable else f".{uuid.uuid4().hex}"
            beside = path.with_name(f".{path.name}{own}.tmp")
            try:
                with beside.open("wb") as file:
                    yield cast("BinaryIO", file)
                if durable:
                    self._sync(beside)
                self._replace(beside, path)
            finally:
                beside.unlink(missing_ok=True)  # there only where writing failed
            if durable:
                self._sync(path.parent)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files."""
        for key in keys:
            with explain_os_errors(self.local(key), "remove"):
                self.local(key).unlink(missing_ok=True)

    def discard(self, key: str) -> None:
        """Rename to a hidden name, then delete; also deletes what an earlier kill left so."""
        path = self.local(key)
        with explain_os_errors(path, "remove"):
            if path.is_dir():
                self._rename(path, path.with_name(f"{_DISCARDED}{path.name}-{os.getpid()}"))
                self._sync(path.parent)
            if path.parent.is_dir():
                for left in sorted(path.parent.glob(f"{_DISCARDED}*")):
                    self._delete(left)

    def flush(self, key: str) -> None:
        """Flush the whole file system: one call for many files, most of them durable already."""
        path = self.local(key)
        self._make_dir(path)
        with explain_os_errors(path, "sync"):
            self._flush(path)

    def sync(self, keys: Iterable[str]) -> None:
        """Fsync files and their names."""
        paths = [self.local(key) for key in keys]
        for path in (*paths, *{path.parent for path in paths}):
            with explain_os_errors(path, "sync"):
                self._sync(path)

    def move(self, source: str, target: str) -> None:
        """Fsync every file, then every directory from the leaves up; rename; fsync both parents."""
        here, there = self.local(source), self.local(target)
        self._make_dir(there.parent)
        with explain_os_errors(here, "sync"):
            for directory, _, names in os.walk(here, topdown=False):
                for name in sorted(names):
                    self._sync(Path(directory, name))
                self._sync(Path(directory))
        with explain_os_errors(there, "create"):
            self._rename(here, there)
            self._sync(there.parent)
            self._sync(here.parent)

    @contextmanager
    def hold(
        self, name: str, note: bytes, *, shared: bool = False, wait: bool = False
    ) -> Generator[None, None, None]:
        """Hold a `flock`: the kernel lets go of it when the process ends, however it ends.

        Lock files are never deleted: a deleted one could be held and created anew at one time.
        """
        path = self.local(f"locks/{name}.lock")
        self._make_dir(path.parent)
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        flags = os.O_RDWR | os.O_CREAT
        with _flocked(path, flags, mode if wait else mode | fcntl.LOCK_NB) as descriptor:
            if shared:
                yield
                return
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note, 0)
            try:
                yield
            finally:
                os.ftruncate(descriptor, 0)

    def _make_dir(self, path: Path) -> None:
        """Create a directory and its parents; each new name is synced in its parent."""
        with explain_os_errors(path, "create"):
            missing = [p for p in (path, *path.parents) if not p.is_dir()]
            for directory in reversed(missing):
                self._mkdir(directory)
                self._sync(directory.parent)

    def _mkdir(self, path: Path) -> None:
        path.mkdir(exist_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _sync(self, path: Path) -> None:
        sync(path)

    def _flush(self, path: Path) -> None:
        flush(path)

    def _replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def _rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def _delete(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _flocked(path: Path, flags: int, mode: int) -> Generator[int, None, None]:
    """Open a file or directory, hold its `flock`, and yield the descriptor. Raises HeldError."""
    with explain_os_errors(path, "lock"):
        # Closed on exec, as Python opens every file: no JVM started later keeps the lock.
        descriptor = os.open(path, flags, 0o666)
    try:
        with explain_os_errors(path, "lock"):
            try:
                fcntl.flock(descriptor, mode)
            except BlockingIOError:
                raise HeldError from None
        yield descriptor
    finally:
        # Said aloud, not left to close(): a process just being started may share it.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
