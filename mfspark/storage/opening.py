"""From what `--warehouse` says to the storage that is meant."""

import os
import re
from pathlib import Path

from mfspark.errors import ConfigError
from mfspark.storage.posix import PosixStorage
from mfspark.storage.protocol import Storage

SCHEMES = ("s3", "gs", "az")
"""Object stores, by the scheme of their URLs."""
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/")
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "wasbs": "az"}


def open_storage(root: str | os.PathLike[str]) -> Storage:
    """Return the storage of a directory, or of `s3://`, `gs://` or `az://` BUCKET/PREFIX.

    Nothing is created or asked. Raises ConfigError for any other URL, for an empty path, and where
    the packages for object stores are not installed.
    """
    given = os.fspath(root)
    url = _URL.match(given)
    scheme = url[1].lower() if url else "file"
    if scheme in SCHEMES:
        from mfspark.storage.object_store import ObjectStorage

        return ObjectStorage.at(given)
    if scheme in _ALIASES:
        meant = f"{_ALIASES[scheme]}{given[len(scheme) :]}"
        raise ConfigError(f"the warehouse {given} is a URL as Hadoop spells it", f"write {meant}")
    if scheme != "file":
        raise ConfigError(
            f"the warehouse {given} is not on a local file system",
            f"give a directory, or a URL that begins with {', '.join(f'{s}://' for s in SCHEMES)}",
        )
    if url:
        given = re.sub(r"^file:/+", "/", given, flags=re.IGNORECASE)
    if not given.strip():
        raise ConfigError("the warehouse is an empty path", "name a directory: --warehouse DIR")
    return PosixStorage(str(Path(given).expanduser().absolute()))
