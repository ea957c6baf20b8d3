"""Readers without a JVM: what the tasks of a read do, run here one after the other."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from mfspark.config.config import IngestOptions
from mfspark.ingest.readers.plan import examine_here, plan_read
from mfspark.ingest.readers.validate import CLEANED


@pytest.fixture(scope="session")
def read() -> Callable[..., list[dict[str, Any]]]:
    """Return a function that reads files and gives their rows as dictionaries."""

    def rows(*files: Any, split_bytes: int = 32 << 20, **options: Any) -> list[dict[str, Any]]:
        plan = plan_read(
            [str(f) for f in files], IngestOptions(**options), split_bytes, examine_here
        )
        batches = [
            batch.append_column("file", pa.array([split.file] * batch.num_rows, pa.int32()))
            for split in plan.splits
            for batch in plan.sources[split.file].read(split)
        ]
        schema = CLEANED.append(pa.field("file", pa.int32()))
        return pa.Table.from_batches(batches, schema).to_pylist()

    return rows


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes text or bytes to a named file; `.gz` packs them."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the path of a name, in a folder that all examples share.

    A folder for each of 20,000 examples would be found by looking at all those before it.
    """
    return tmp_path_factory.mktemp("examples").joinpath


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes rows to an .xlsx."""

    def write(rows: list[list[Any]], name: str = "sheet.xlsx") -> Path:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def ratings_of() -> Callable[..., list[tuple[str, str, float]]]:
    """Return a function that gives the accepted (user, item, rating) in order."""

    def accepted(rows: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
        return [(r["user_id"], r["item_id"], r["rating"]) for r in rows if r["reason"] is None]

    return accepted


@pytest.fixture(scope="session")
def rejects_of() -> Callable[..., list[tuple[int, str, str]]]:
    """Return a function that gives the rejected (line, reason, raw) by line."""

    def rejected(rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
        return sorted((r["line"], r["reason"], r["raw"]) for r in rows if r["reason"])

    return rejected
