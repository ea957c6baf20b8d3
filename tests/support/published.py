"""What a night published, to be compared with what another one did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mfspark.tables.warehouse import Warehouse
from tests.support.nights import content_hash

CHANGING = {"runs": ("published_at",), "loss_history": ("seconds",)}
"""Columns that no two nights have alike."""


def content(root: Path | str, changing: Mapping[str, tuple[str, ...]] = CHANGING) -> dict[str, str]:
    """Return a hash of every table that readers see, but for what changes."""
    tables = Warehouse(root).manifest().tables
    return {name: content_hash(root, name, changing.get(name, ())) for name in tables}
