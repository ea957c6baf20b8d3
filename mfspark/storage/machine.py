"""Directories on a machine's own disk that all processes of one user share there."""

import os
import stat
from pathlib import Path

from mfspark.errors import ConfigError


def directory_of_this_user(base: Path, what: str) -> Path:
    """Return a directory for something, made if need be, that nobody else can read.

    Raises ConfigError where somebody else made it, OSError where it cannot be made.
    """
    path = base / f"mfspark-{what}-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o77 or path.is_symlink():
        raise ConfigError(
            f"{path} is not a directory of this user alone",
            f"remove it, or let it be: chmod 700 {path}",
        )
    return path
