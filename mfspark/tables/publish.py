"""Publishing: the night's tables and its manifest stand where readers look; the pointer moves last.

On a file system the tables are made durable and moved by one rename. On an object store they were
written where they stay: the manifest is created once, and what it does not list is no table.

Each step leaves a state from which the same call, or a rerun of the night, goes on rightly; see
docs/publishing.md for the table of what a kill leaves. Here too: is a published run still what its
manifest says?
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from mfspark.errors import MfsparkError, RefusedError
from mfspark.schemas import SORTED_BY, IdTypes, table_schema
from mfspark.storage.protocol import Storage, StoredFile
from mfspark.system.command_line import command_line
from mfspark.tables.lock import hold_pointer_lock
from mfspark.tables.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    TableEntry,
    installed_versions,
    parse_manifest,
    plain,
    sha256_of,
)
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Pointer, Warehouse, run_date_of

EXPORTED, FORMERLY = "serving", "top_n"
"""The table that is also one file; what older versions wrote goes on where it is there."""
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
    warehouse, storage = night.warehouse, night.storage
    with hold_pointer_lock(warehouse):
        night.settle()
        if night.published:
            return warehouse.manifest(night.run_id)
        before = warehouse.pointed()
        _check_readers_still_see_it(night, before)

        manifest = _put_in_place(night, describe_night(night, ids, metrics, verdicts))
        older = night.current_run is not None and run_date_of(night.current_run) > night.run_date
        if night.config.publish.single_file and not older:
            export_single_files(warehouse, manifest, wanted=(EXPORTED,))

        warehouse.point_at(night.run_id, before, listed_only=older)  # from here on it is published
        night.published = True
        try:
            storage.discard(warehouse.scratch_key(night.run_id))
        except MfsparkError as error:  # readers have the run; the next night removes the rest
            _log.warning("run %s is published, but: %s", night.run_id, error.message)
    return manifest


def _put_in_place(night: Night, manifest: Manifest) -> Manifest:
    """Bring tables and manifest to the run that readers will be sent to; return its manifest.

    Where directories do not move, another attempt at the same night may have been here before: what
    its manifest lists is the run then, as both have the same content.
    """
    storage, run = night.storage, night.warehouse.run_key(night.run_id)
    if storage.moves:
        storage.delete(file.key for file in _unlisted(storage, night.tables_key, manifest))
        storage.put(f"{night.tables_key}/{MANIFEST}", manifest.to_json())
        storage.move(night.tables_key, run)
        return manifest
    key = f"{run}/{MANIFEST}"
    if not storage.create(key, manifest.to_json()):
        manifest = parse_manifest(storage.read(key) or b"", key, storage)
    storage.delete(file.key for file in unlisted(night.warehouse, manifest))
    return manifest


def unlisted(warehouse: Warehouse, manifest: Manifest) -> list[StoredFile]:
    """Return the files among a run's tables that its manifest does not list."""
    return _unlisted(warehouse.storage, warehouse.run_key(manifest.run_id), manifest)


def _unlisted(storage: Storage, place: str, manifest: Manifest) -> list[StoredFile]:
    """Return what tasks left below a key that were killed, or ran twice."""
    listed = {
        f"{place}/{table}/{file.name}"
        for table, entry in manifest.tables.items()
        for file in entry.files
    }
    listed.add(f"{place}/{MANIFEST}")
    return [file for file in storage.files(place) if file.key not in listed]


def describe_night(
    night: Night, ids: IdTypes, metrics: list[dict[str, Any]], verdicts: list[dict[str, Any]]
) -> Manifest:
    """Build the manifest from what was written. Raises MfsparkError where files are missing."""
    tables = {name: night.table(name) for name in night.table_names()}
    if not tables:
        raise MfsparkError(
            f"run {night.run_id} has no tables in {night.storage.show(night.tables_key)}",
            "run its stages first",
        )
    _check_untouched(night, tables)
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
        tables=tables,
        metrics=plain(metrics),
        verdicts=plain(verdicts),
        stages=night.records(),
    )


def _check_untouched(night: Night, tables: dict[str, TableEntry]) -> None:
    """Refuse a night whose files are not there, or not as large as they were written."""
    there = {file.key: file.bytes for file in night.storage.files(night.tables_key)}
    for table, entry in tables.items():
        for file in entry.files:
            key = f"{night.table_key(table)}/{file.name}"
            size = there.get(key)
            if size != file.bytes:
                found = "is gone" if size is None else f"has {size:,} bytes"
                raise MfsparkError(
                    f"{night.storage.show(key)} {found}, but {file.bytes:,} bytes were written",
                    f"somebody changed the tables of this night: remove "
                    f"{night.storage.show(night.scratch())} and run it again",
                )


def rollback(warehouse: Warehouse, run_id: str) -> Manifest:
    """Send readers to another published run; an exported single file follows.

    Only the pointer lock is taken, so that it need not wait for a night; that night is then refused
    when it publishes. Raises NotFoundError for a run that is not kept, MfsparkError where one of
    its files is not what was published.
    """
    with hold_pointer_lock(warehouse):
        before = warehouse.pointed()
        damage = next(damages(warehouse, run_id), None)
        if damage:
            raise MfsparkError(
                f"run {run_id} is damaged: {damage}; readers stay where they are",
                "roll back to another one of: " + command_line("runs", warehouse=warehouse.root),
            )
        manifest = warehouse.manifest(run_id)
        export_single_files(warehouse, manifest)
        warehouse.point_at(run_id, before)
    return manifest


def export_single_files(
    warehouse: Warehouse, manifest: Manifest, wanted: tuple[str, ...] = ()
) -> None:
    """Replace the files in `exports/` that are there or wanted with the run's tables.

    One that the run has no table for is removed: readers rather find nothing than another night.
    """
    for table in (EXPORTED, FORMERLY):
        key = f"exports/{table}.parquet"
        if table not in wanted and not warehouse.storage.exists(key):
            continue
        if table in manifest.tables:
            _export(warehouse, manifest, table, key)
        else:
            warehouse.storage.delete([key])
            _log.warning("run %s has no table '%s': %s is removed", manifest.run_id, table, key)


def _export(warehouse: Warehouse, manifest: Manifest, table: str, key: str) -> None:
    """Write a table to one file, row group by row group, in order."""
    source, storage = f"{warehouse.run_key(manifest.run_id)}/{table}", warehouse.storage
    schema = table_schema(table, manifest.ids)
    order = [pq.SortingColumn(schema.get_field_index(name)) for name in SORTED_BY[table]]
    with (
        storage.writing(key) as sink,
        pq.ParquetWriter(sink, schema, compression="zstd", sorting_columns=order) as writer,
    ):
        for file in manifest.tables[table].files:
            with pq.ParquetFile(storage.open(f"{source}/{file.name}")) as parquet:
                for i in range(parquet.num_row_groups):
                    group = parquet.read_row_group(i, columns=schema.names)
                    writer.write_table(group.select(schema.names).cast(schema))


def _check_readers_still_see_it(night: Night, pointed: Pointer) -> None:
    """Refuse unless CURRENT names the run that it named when this night began."""
    current = pointed.run_id
    if current == night.current_run:
        return
    scratch = night.storage.show(night.scratch())
    raise RefusedError(
        f"run {night.run_id} began when readers saw {night.current_run or 'nothing'}, "
        f"but {current or 'nothing'} is current now; it was not replaced",
        f"to keep {current or 'things as they are'} do nothing; "
        f"to publish this night on top of it, remove {scratch} and run the night again",
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
    storage, run = warehouse.storage, warehouse.run_key(run_id)
    for key in (file.key for file in unlisted(warehouse, manifest)):
        if not key.endswith(".parquet") or key.rpartition("/")[2].startswith("."):
            continue  # no reader of the directory takes it for a part of the table
        yield f"{storage.show(key)} is not in the manifest"
    for table, entry in manifest.tables.items():
        for file in entry.files:
            key = f"{run}/{table}/{file.name}"
            what = _damage(storage, key, file)
            if what:
                yield f"{storage.show(key)} {what}"


def _damage(storage: Storage, key: str, file: FileEntry) -> str:
    try:
        with storage.open(key) as content:
            size = content.size()
            if size != file.bytes:
                return f"has {size:,} bytes, its manifest says {file.bytes:,}"
            same = sha256_of(content) == file.sha256
        return "" if same else "has not the content that was published"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
