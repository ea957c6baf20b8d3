"""The few operations that publishing needs of a file system.

Everything that publishing does to the disk goes through a `FileSystem`, so that another one can
follow by writing one class. What each operation must promise is in its docstring; publishing is
right wherever the promises hold.
"""

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mfspark.errors import ConfigError, MfsparkError
from mfspark.system.durability import flush, sync

_DISCARDED = ".discarded-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WRONG_PLACE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST,
    errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOLCK, errno.EOPNOTSUPP,
}  # fmt: skip


@contextmanager
def explain_os_errors(path: Path, action: str) -> Generator[None, None, None]:
    """Turn an OSError into an error that names the path and the remedy.

    Raises ConfigError where the place itself is wrong, MfsparkError for a full or failing disk.
    """
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}: {error.strerror or error}"
        if error.errno in _FULL:
            hint = "free some space and run the same command again: it goes on where it stopped"
            raise MfsparkError(message, hint) from error
        if error.errno in _WRONG_PLACE:
            hint = "choose a warehouse that this user can create and write: --warehouse DIR"
            raise ConfigError(message, hint) from error
        hint = "look at the disk, then run the same command again: it goes on where it stopped"
        raise MfsparkError(message, hint) from error


class FileSystem(Protocol):
    """A file system as publishing sees it."""

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None where there is none."""
        ...

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a directory but hidden ones; empty where there is none."""
        ...

    def is_dir(self, path: Path) -> bool:
        """Return whether the directory exists."""
        ...

    def make_dir(self, path: Path) -> None:
        """Create a directory and its parents, durably; it may exist."""
        ...

    def replace_file(self, path: Path, content: bytes) -> None:
        """Put new content at a path: readers see the old or the new, whole; durable on return."""
        ...

    def adopt_file(self, source: Path, target: Path) -> None:
        """Move a written file over another: readers see the old or the new; durable on return."""
        ...

    def seal(self, path: Path) -> None:
        """Make everything under a directory durable."""
        ...

    def flush(self, path: Path) -> None:
        """Make what anybody wrote under a directory durable, as scratch is before it is relied on.

        What `seal` does, for many files of which most are durable already.
        """
        ...

    def move_dir(self, source: Path, target: Path) -> None:
        """Move a directory to a free path: all of it or nothing; durable on return."""
        ...

    def discard(self, path: Path) -> None:
        """Make a directory vanish at once, then free its space; it may be missing."""
        ...


class LocalFileSystem:
    """A POSIX file system: fsync before every rename that others may see, and after it.

    The underscored methods are the single steps; fault tests stop the program at each of them.
    """

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None where there is none."""
        with explain_os_errors(path, "read"):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a directory but hidden ones; empty where there is none."""
        with explain_os_errors(path, "list"):
            try:
                return sorted(name for name in os.listdir(path) if not name.startswith("."))
            except FileNotFoundError:
                return []

    def is_dir(self, path: Path) -> bool:
        """Return whether the directory exists."""
        return path.is_dir()

    def make_dir(self, path: Path) -> None:
        """Create a directory and its parents; each new name is synced in its parent."""
        with explain_os_errors(path, "create"):
            missing = [p for p in (path, *path.parents) if not p.is_dir()]
            for directory in reversed(missing):
                self._mkdir(directory)
                self._sync(directory.parent)

    def replace_file(self, path: Path, content: bytes) -> None:
        """Write beside the target, fsync, replace, fsync the directory."""
        with explain_os_errors(path, "write"):
            beside = path.with_name(f".{path.name}.tmp")
            self._write(beside, content)
            self._replace(beside, path)
            self._sync(path.parent)

    def adopt_file(self, source: Path, target: Path) -> None:
        """Fsync the written file, replace the target, fsync the directory."""
        with explain_os_errors(target, "replace"):
            self._sync(source)
            self._replace(source, target)
            self._sync(target.parent)

    def seal(self, path: Path) -> None:
        """Fsync every file, then every directory from the leaves up."""
        with explain_os_errors(path, "sync"):
            for directory, _, files in os.walk(path, topdown=False):
                for name in sorted(files):
                    self._sync(Path(directory, name))
                self._sync(Path(directory))

    def flush(self, path: Path) -> None:
        """Flush the whole file system."""
        with explain_os_errors(path, "sync"):
            self._flush(path)

    def move_dir(self, source: Path, target: Path) -> None:
        """Move by one rename, then fsync both parents."""
        with explain_os_errors(target, "create"):
            self._rename(source, target)
            self._sync(target.parent)
            self._sync(source.parent)

    def discard(self, path: Path) -> None:
        """Rename to a hidden name, then delete; also deletes what an earlier kill left so."""
        with explain_os_errors(path, "remove"):
            if path.is_dir():
                self._rename(path, path.with_name(f"{_DISCARDED}{path.name}-{os.getpid()}"))
                self._sync(path.parent)
            if path.parent.is_dir():
                for left in sorted(path.parent.glob(f"{_DISCARDED}*")):
                    self._delete(left)

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
