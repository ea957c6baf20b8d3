"""One published run, for nights that build upon it and for readers; needs no Spark."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mfspark.errors import MfsparkError, NotFoundError, SchemaError
from mfspark.schemas import check_schema, table_names, table_schema
from mfspark.tables.manifest import Manifest
from mfspark.tables.records import RecordKey
from mfspark.tables.table_files import TableFiles
from mfspark.tables.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from mfspark.tables.sql import Row, Tables

T = TypeVar("T")


class PublishedRun:
    """One published run of a warehouse.

    The pointer and the manifest are read when it is opened, so that nights published meanwhile
    change no answer. Raises NotFoundError when the warehouse or the run does not exist.
    """

    def __init__(
        self, warehouse: str | os.PathLike[str] | Warehouse, run_id: str | None = None
    ) -> None:
        opened = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
        self.warehouse = opened
        self.manifest: Manifest = opened.manifest(run_id)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.manifest.run_id

    @property
    def place(self) -> str:
        """The directory or URL where its tables lie."""
        return self.warehouse.storage.show(self.warehouse.run_key(self.run_id))

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose lists were published, in the configured order."""
        return tuple(self.manifest.config["models"]["run"])

    @property
    def subset(self) -> str:
        """Which ratings the published models were fitted on: all, or those left for training."""
        evaluation = self.manifest.config["evaluation"]
        return "all" if evaluation["refit"] or evaluation["split"] == "none" else "train"

    def record(self, key: RecordKey[T]) -> T | None:
        """Return what a stage recorded; None where it did not run."""
        content = self.manifest.stages.get(key.stage)
        return None if content is None else key.parse(content, self.run_id)

    def figures(self, metric: str) -> dict[str, float | None]:
        """Return a metric of every model that was measured by it; None where it has no value."""
        return {m["model"]: m["value"] for m in self.manifest.metrics if m["metric"] == metric}

    def has(self, table: str) -> bool:
        """Return whether the run published a table."""
        return table in self.manifest.tables

    def table_key(self, table: str) -> str:
        """Return the key of a table, which no later night changes.

        Raises NotFoundError when the run has no such table.
        """
        if not self.has(table):
            missing = f"run {self.run_id} has no table '{table}'"
            raise NotFoundError(
                missing if table in table_names() else f"no table is named '{table}'",
                f"tables there: {', '.join(self.manifest.tables)}",
            )
        return f"{self.warehouse.run_key(self.run_id)}/{table}"

    def unknown_columns(self, table: str) -> list[str]:
        """Return the columns of a table that this version does not know, as it names others."""
        known = table_schema(table, self.manifest.ids).names
        return [name for name in self.manifest.tables[table].columns if name not in known]

    def files(self, table: str) -> TableFiles:
        """Return the files of a table as the manifest lists them.

        Raises NotFoundError when the run has no such table, SchemaError when its columns have the
        names of another version, MfsparkError when files on a disk are missing.
        """
        key, storage = self.table_key(table), self.warehouse.storage
        if unknown := self.unknown_columns(table):
            version = self.manifest.versions.get("mfspark", "unknown")
            raise SchemaError(
                f"table '{table}' of run {self.run_id} was written by another version of mfspark "
                f"({version}), whose columns have other names: {', '.join(unknown)}",
                f"ask a run of a later night, or read the files in {storage.show(key)} themselves",
            )
        names = [file.name for file in self.manifest.tables[table].files]
        files = TableFiles(storage, tuple(f"{key}/{name}" for name in names))
        places = zip(names, files.paths or (), strict=False)
        missing = [name for name, path in places if not os.path.isfile(path)]
        if missing:
            raise MfsparkError(
                f"table '{table}' of run {self.run_id} lacks {', '.join(missing)} in "
                f"{storage.show(key)}",
                "was the run removed while it was read? read again, or name another run",
            )
        return files

    def dataset(self, table: str) -> ds.Dataset:
        """Return a table as a pyarrow dataset of exactly the files that the manifest lists.

        Raises what `files` does, and SchemaError with all differences where they do not fit.
        """
        dataset = self.files(table).dataset()
        check_schema(dataset.schema, table, self.manifest.ids)
        return dataset

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """Run a query in which `{table}` stands for a table of this run and `?` for a parameter.

        Raises NotFoundError for a table the run has not, MfsparkError where files are missing.
        """
        return self._tables.rows(query, *parameters)

    def arrays(self, query: str, *parameters: object) -> dict[str, Any]:
        """Run a query like `rows`, and return its columns as numpy arrays; nulls are masked."""
        return self._tables.arrays(query, *parameters)

    @cached_property
    def _tables(self) -> Tables:
        from mfspark.tables.sql import Tables  # DuckDB takes a tenth of a second too

        return Tables(self.files)


def read_table(
    warehouse: str | os.PathLike[str] | Warehouse, table: str, run_id: str | None = None
) -> ds.Dataset:
    """Return a published table as a pyarrow dataset; the pointer is read once.

    Raises NotFoundError when the warehouse, the run or the table does not exist, SchemaError with
    all differences when the files do not fit, MfsparkError when files are missing.
    """
    return PublishedRun(warehouse, run_id).dataset(table)
