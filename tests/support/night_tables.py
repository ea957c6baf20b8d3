"""Tables put into a night by hand, without Spark."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from mfspark.schemas import SORTED_BY
from mfspark.tables.manifest import FileEntry, TableEntry, sha256_of
from mfspark.tables.night import Night


def put_table(night: Night, table: str, *parts: pa.Table) -> None:
    """Write a file a part, as they are, and list them as the table."""
    files: list[FileEntry] = []
    for number, rows in enumerate(parts):
        name = f"part-{number}.parquet"
        key = f"{night.table_key(table)}/{name}"
        with night.storage.writing(key) as sink:
            pq.write_table(rows, sink)
        with night.storage.open(key) as content:
            size, sha256 = content.size(), sha256_of(content)
        files.append(FileEntry(name=name, rows=rows.num_rows, bytes=size, sha256=sha256))
    entry = TableEntry(
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        schema={field.name: str(field.type) for field in parts[0].schema},
        sorted_by=SORTED_BY[table],
        files=tuple(files),
    )
    night.keep_table(table, entry)
