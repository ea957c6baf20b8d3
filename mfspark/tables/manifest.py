"""The manifest of a run: what was published, from what, by what, and how good it was."""

import hashlib
import json
import math
import platform
from datetime import date, datetime
from importlib import metadata
from typing import Any, cast

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mfspark._version import __version__
from mfspark.errors import MfsparkError
from mfspark.schemas import IdType, IdTypes
from mfspark.storage.protocol import Storage
from mfspark.system.command_line import command_line
from mfspark.system.redaction import REDACTED, names_secret, redact

MANIFEST = "manifest.json"
_PIECE = 1 << 24  # bytes hashed at once
_PACKAGES = ("pyspark", "torch", "numpy", "pyarrow", "pandas")


class FileEntry(BaseModel):
    """One Parquet file of a table."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    bytes: int
    sha256: str


class TableEntry(BaseModel):
    """One published table."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    rows: int
    bytes: int
    columns: dict[str, str] = Field(alias="schema")
    """Column names with their arrow types, in order."""
    sorted_by: tuple[str, ...]
    files: tuple[FileEntry, ...]


class Manifest(BaseModel):
    """Everything known about one run; `manifest.json` beside its tables."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    run_id: str
    run_date: date
    current_run: str | None = Field(validation_alias="parent", serialization_alias="parent")
    """The run that readers saw when this one began."""
    base_run: str | None = Field(default=None, validation_alias="base", serialization_alias="base")
    """The run of an earlier date that this one builds upon."""
    published_at: datetime
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    inputs: list[dict[str, Any]]
    id_types: dict[str, IdType]
    tables: dict[str, TableEntry]
    metrics: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    stages: dict[str, dict[str, Any]]
    """What each stage recorded when it finished."""

    @property
    def ids(self) -> IdTypes:
        """The types of this run's ids, as schemas want them."""
        return IdTypes(self.id_types["user"], self.id_types["item"])

    def to_json(self) -> bytes:
        """Return the bytes of `manifest.json`."""
        return as_json(self.model_dump(mode="json", by_alias=True))


def parse_manifest(content: bytes, key: str, storage: Storage) -> Manifest:
    """Read `manifest.json`. Raises MfsparkError when it is damaged."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise MfsparkError(
            f"the manifest {storage.show(key)} is damaged: {where}: {first['msg']}",
            "restore it from a backup, or roll back to another one of: "
            + command_line("runs", warehouse=storage.root),
        ) from None


def sha256_of(file: pa.NativeFile) -> str:
    """Return the SHA-256 of the bytes of an open file, in hex."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, mfspark and what answers depend on, importing none."""
    versions = {"python": platform.python_version(), "mfspark": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def as_json(value: object) -> bytes:
    """Write a plain value as readable UTF-8 JSON with a final newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it, with secrets redacted.

    The values of keys that look secret, `secret=...` in texts and logins in URLs become `***`;
    NaN and infinities become null; numpy scalars, dates and paths become plain.
    """
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(k): REDACTED if _hides(str(k), v) else plain(v) for k, v in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in cast("list[Any]", value)]
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):  # datetime is one too
        return value.isoformat()
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, pa.Scalar):
        return plain(value.as_py())
    return plain(str(value))


def _hides(key: str, value: Any) -> bool:
    return value is not None and names_secret(key)
