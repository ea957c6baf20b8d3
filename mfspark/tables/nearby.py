"""A directory of this machine for what only this process and its tasks need.

Where all tasks of a session run on this machine and the warehouse does not lie on its disk, frames
of a night and copies of its tables lie here: Spark itself writes and reads them, and no request is
made for them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial

from mfspark.storage.posix import PosixStorage
from mfspark.storage.problems import explain_os_errors
from mfspark.storage.protocol import Storage
from mfspark.tables.table_files import TableFiles

_AT_ONCE = 8  # files fetched: small ones mostly wait for the answer


def nearby(storage: Storage, *, here: bool) -> Storage:
    """Return where to keep what need not outlive this process: nearby, or else where it all is.

    here: whether all tasks of the session run on this machine.
    """
    if storage.local("") is not None or not here:
        return storage
    return PosixStorage(_folder().name)


def brought_nearby(files: TableFiles, *, here: bool) -> TableFiles:
    """Return copies of files nearby, each fetched once; the files themselves where none are kept.

    Names of files in a table are like no others, so that a copy is never old.
    """
    near = nearby(files.storage, here=here)
    if near == files.storage:
        return files
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(partial(_copy, files.storage, near), files.keys))
    return TableFiles(near, files.keys)


@contextmanager
def nothing_left_nearby() -> Generator[None, None, None]:
    """Remove the directory when the block ends."""
    try:
        yield
    finally:
        if _folder.cache_info().currsize:
            _folder().cleanup()
            _folder.cache_clear()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mfspark-night-", ignore_cleanup_errors=True)


def _copy(storage: Storage, here: Storage, key: str) -> None:
    path = here.local(key)
    assert path is not None
    if path.exists():
        return
    with explain_os_errors(path.parent, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
        with storage.open(key) as source, beside.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 24)
        os.replace(beside, path)
