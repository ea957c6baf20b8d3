"""Publishing: seal the night's tables, move them by one rename, then move the pointer, last.

Each step leaves a state from which the same call, or a rerun of the night, goes on rightly; see
docs/publishing.md for the table of what a kill leaves. Here too: is a published run still what its
manifest says?
"""

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mfspark.errors import MfsparkError, RefusedError
from mfspark.schemas import SORTED_BY, IdTypes, table_schema
from mfspark.storage.file_system import explain_os_errors
from mfspark.system.command_line import command_line
from mfspark.tables.lock import hold_pointer_lock
from mfspark.tables.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    describe_table,
    installed_versions,
    parquet_names,
    plain,
    sha256_of,
)
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse, run_date_of

EXPORTED = "top_n"
_log = logging.getLogger(__name__)


def publish(
    night: Night, ids: IdTypes, metrics: list[dict[str, Any]], verdicts: list[dict[str, Any]]
) -> Manifest:
    """Make a finished night the run that readers see, and return its manifest.

    A night of an earlier date than the one readers see is only listed among the published ones.
    Publishing a published run again changes nothing. Raises LockedError while another process
    publishes, RefusedError when another run was published since this night began, SchemaError when
    a table does not fit; in all three cases readers see what they saw.
    """
    warehouse, file_system = night.warehouse, night.warehouse.file_system
    with hold_pointer_lock(warehouse):
        night.settle()
        if night.published:
            return warehouse.manifest(night.run_id)
        _check_readers_still_see_it(night)

        manifest = describe_night(night, ids, metrics, verdicts)
        tables, run_dir = night.scratch("tables"), warehouse.run_dir(night.run_id)
        file_system.replace_file(tables / MANIFEST, manifest.to_json())
        file_system.seal(tables)
        file_system.make_dir(run_dir.parent)
        file_system.move_dir(tables, run_dir)
        older = night.current_run is not None and run_date_of(night.current_run) > night.run_date
        if night.config.publish.single_file and not older:
            export_single_file(warehouse, manifest)

        warehouse.point_at(night.run_id, listed_only=older)  # from here on the run is published
        night.published = True
        try:
            file_system.discard(warehouse.scratch_dir(night.run_id))
        except MfsparkError as error:  # readers have the run; the next night removes the rest
            _log.warning("run %s is published, but: %s", night.run_id, error.message)
    return manifest


def describe_night(
    night: Night, ids: IdTypes, metrics: list[dict[str, Any]], verdicts: list[dict[str, Any]]
) -> Manifest:
    """Build the manifest from the tables in scratch: each file is read once, for its hash.

    Raises MfsparkError where there are no tables, SchemaError where one does not fit.
    """
    directory, file_system = night.scratch("tables"), night.warehouse.file_system
    names = [name for name in file_system.names(directory) if file_system.is_dir(directory / name)]
    if not names:
        raise MfsparkError(
            f"run {night.run_id} has no tables in {directory}", "run its stages first"
        )
    return Manifest(
        run_id=night.run_id,
        run_date=night.run_date,
        current_run=night.current_run,
        base_run=night.base_run,
        published_at=datetime.now(UTC),
        config=plain(night.config.content()),
        seed=night.config.seed,
        versions=installed_versions(),
        inputs=night.inputs,
        id_types={"user": ids.user, "item": ids.item},
        tables={name: describe_table(directory / name, name, ids, file_system) for name in names},
        metrics=plain(metrics),
        verdicts=plain(verdicts),
        stages=night.records(),
    )


def rollback(warehouse: Warehouse, run_id: str) -> Manifest:
    """Send readers to another published run; an exported single file follows.

    Only the pointer lock is taken, so that it need not wait for a night; that night is then refused
    when it publishes. Raises NotFoundError for a run that is not kept, MfsparkError where one of
    its files is not what was published.
    """
    with hold_pointer_lock(warehouse):
        damage = next(damages(warehouse, run_id), None)
        if damage:
            raise MfsparkError(
                f"run {run_id} is damaged: {damage}; readers stay where they are",
                "roll back to another one of: " + command_line("runs", warehouse=warehouse.root),
            )
        manifest = warehouse.manifest(run_id)
        if (warehouse.root / "exports" / f"{EXPORTED}.parquet").exists():
            export_single_file(warehouse, manifest)
        warehouse.point_at(run_id)
    return manifest


def export_single_file(warehouse: Warehouse, manifest: Manifest) -> None:
    """Replace `exports/top_n.parquet` with the run's list, row group by row group, in order."""
    if EXPORTED not in manifest.tables:
        return
    source, target = warehouse.run_dir(manifest.run_id) / EXPORTED, warehouse.root / "exports"
    warehouse.file_system.make_dir(target)
    beside = target / f".{EXPORTED}.parquet.tmp"  # hidden: no reader's glob finds it
    schema = table_schema(EXPORTED, manifest.ids)
    order = [pq.SortingColumn(schema.get_field_index(name)) for name in SORTED_BY[EXPORTED]]
    with (
        explain_os_errors(beside, "write"),
        pq.ParquetWriter(beside, schema, compression="zstd", sorting_columns=order) as writer,
    ):
        for file in manifest.tables[EXPORTED].files:
            with pq.ParquetFile(source / file.name) as parquet:
                for i in range(parquet.num_row_groups):
                    group = parquet.read_row_group(i, columns=schema.names)
                    writer.write_table(group.select(schema.names).cast(schema))
    warehouse.file_system.adopt_file(beside, target / f"{EXPORTED}.parquet")


def _check_readers_still_see_it(night: Night) -> None:
    """Compare-and-swap on CURRENT: only the run that it named when this night began is replaced."""
    current = night.warehouse.current()
    if current == night.current_run:
        return
    scratch = night.warehouse.scratch_dir(night.run_id)
    raise RefusedError(
        f"run {night.run_id} began when readers saw {night.current_run or 'nothing'}, "
        f"but {current or 'nothing'} is current now; it was not replaced",
        f"to keep {current or 'things as they are'} do nothing; "
        f"to publish this night on top of it, remove {os.fspath(scratch)} and run the night again",
    )


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
