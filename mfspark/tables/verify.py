"""Is a published run still what its manifest says?"""

from collections.abc import Iterator
from pathlib import Path

from mfspark.errors import MfsparkError
from mfspark.tables.manifest import FileEntry, parquet_names, sha256_of
from mfspark.tables.warehouse import Warehouse


def damages(warehouse: Warehouse, run_id: str) -> Iterator[str]:
    """Yield what is wrong with a published run; reads each of its files once, for its hash.

    Files that the manifest does not know count too: readers that take a whole directory see them.
    Raises NotFoundError for a run that is not kept.
    """
    try:
        manifest = warehouse.manifest(run_id)
    except MfsparkError as error:
        if run_id not in warehouse.run_ids():
            raise
        yield error.message
        return
    file_system, run_dir = warehouse.file_system, warehouse.run_dir(run_id)
    for table, entry in manifest.tables.items():
        directory = run_dir / table
        listed = {file.name for file in entry.files}
        for name in parquet_names(directory, file_system):
            if name not in listed:
                yield f"{directory / name} is not in the manifest"
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
