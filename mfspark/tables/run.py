"""Reading published tables; needs no Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mfspark.errors import MfsparkError
from mfspark.schemas import check_schema
from mfspark.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow.dataset as ds

    from mfspark.tables.manifest import Manifest


def read_table(warehouse: str | Path, table: str, run_id: str | None = None) -> ds.Dataset:
    """Return a published table as a pyarrow dataset of exactly the files its manifest lists.

    The pointer is read once, so that a night published meanwhile changes nothing for this dataset.
    Raises NotFoundError when the warehouse, the run or the table does not exist, SchemaError with
    all differences when the files do not fit, MfsparkError when files are missing.
    """
    import pyarrow.dataset as ds  # takes a tenth of a second, which `files_of` can do without

    opened = Warehouse(warehouse)
    manifest = opened.manifest(run_id)
    paths = files_of(opened, manifest, table)
    dataset = ds.dataset([str(path) for path in paths], format="parquet")
    check_schema(dataset.schema, table, manifest.ids)
    return dataset


def files_of(warehouse: Warehouse, manifest: Manifest, table: str) -> list[Path]:
    """Return the files of a table as the run's manifest lists them.

    Raises NotFoundError when the run has no such table, MfsparkError when files are missing.
    """
    directory = warehouse.table_dir(table, manifest.run_id)
    paths = [directory / file.name for file in manifest.tables[table].files]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise MfsparkError(
            f"table '{table}' of run {manifest.run_id} lacks {', '.join(missing)} in {directory}",
            "was the run removed while it was read? read again, or name another run",
        )
    return paths
