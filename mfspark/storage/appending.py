"""Files that others append to, such as logs."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mfspark.storage.problems import explain_os_errors
from mfspark.storage.protocol import Storage


@contextmanager
def appended(storage: Storage, key: str) -> Generator[Path, None, None]:
    """Yield a path on this machine's disk; what is appended to it is in the file of this key.

    At once where that lies on a disk, otherwise when the block ends, however it ends.
    """
    path = storage.local(key)
    if path is not None:
        with explain_os_errors(path.parent, "create"):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mfspark-") as folder:
        copy = Path(folder, key.rpartition("/")[2])
        copy.write_bytes(storage.read(key) or b"")
        try:
            yield copy
        finally:
            storage.put(key, copy.read_bytes())
