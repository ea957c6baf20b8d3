"""Is a published run still what its manifest says?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mfspark.tables.manifest import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mfspark.tables.manifest import FileEntry, Manifest
    from mfspark.tables.warehouse import Warehouse


def damages(warehouse: Warehouse, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the files of a run; reads each of them once, for its hash.

    Files that the manifest does not know count too: readers that take a whole directory see them.
    """
    store, run_dir = warehouse.store, warehouse.run_dir(manifest.run_id)
    for table, entry in manifest.tables.items():
        directory = run_dir / table
        listed = {file.name for file in entry.files}
        there = {name for name in store.names(directory) if name.endswith(".parquet")}
        yield from (f"{directory / name} is not in the manifest" for name in sorted(there - listed))
        for file in entry.files:
            what = _damage(directory / file.name, file)
            if what:
                yield f"{directory / file.name} {what}"


def _damage(path: Path, file: FileEntry) -> str:
    try:
        size = path.stat().st_size
        if size != file.bytes:
            return f"has {size:,} bytes, its manifest says {file.bytes:,}"
        return "" if sha256_of(path) == file.sha256 else "has not the content that was published"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
