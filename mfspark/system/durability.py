"""Files that outlive a power failure."""

import ctypes
import os
import sys
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(path: Path) -> None:
    """Wait until all that was written to the file system of a directory is on disk.

    One call for thousands of files, whoever wrote them; a file that is already there costs nothing.
    Raises OSError, also where an earlier write of any of them failed.
    """
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
