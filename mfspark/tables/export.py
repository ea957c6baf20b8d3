"""A published table as one file, for programs that read no directory."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from mfspark.errors import ConfigError
from mfspark.storage.posix import PosixStorage
from mfspark.tables.run import read_table
from mfspark.tables.warehouse import Warehouse

_KINDS: dict[str, Callable[[BinaryIO, pa.Schema], csv.CSVWriter | pq.ParquetWriter]] = {
    ".csv": csv.CSVWriter,
    ".parquet": lambda sink, schema: pq.ParquetWriter(sink, schema, compression="zstd"),
}
STANDARD_OUTPUT = Path("-")
"""In the place of a file: CSV goes to standard output."""
_FORMULA = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""How a cell begins that spreadsheets compute, also in its full-width forms."""


def export_table(
    warehouse: Warehouse,
    table: str,
    target: Path,
    run_id: str | None = None,
    *,
    for_spreadsheets: bool = False,
) -> int:
    """Write a table to one CSV or Parquet file, which appears by one rename, and return its rows.

    To `STANDARD_OUTPUT` goes CSV, as it is read. Lists become texts joined by '|' in CSV.
    `for_spreadsheets` puts an apostrophe before texts that a spreadsheet would take for a formula;
    numbers stay numbers. Raises ConfigError for another kind of file or a place that cannot be
    written.
    """
    piped = target == STANDARD_OUTPUT
    flat = piped or kind_of_file(target) == ".csv"
    dataset = read_table(warehouse, table, run_id)
    schema = pa.schema([_flat_field(f) for f in dataset.schema]) if flat else dataset.schema
    rows = 0
    with _printing(schema) if piped else writing_table(target, schema) as write:
        for batch in dataset.to_batches():
            columns = [_flat(column) for column in batch.columns] if flat else batch.columns
            if for_spreadsheets:
                columns = [defused(column) for column in columns]
            write(pa.record_batch(columns, schema=schema))
            rows += batch.num_rows
    return rows


def kind_of_file(target: Path) -> str:
    """Return the ending of a file that can be written. Raises ConfigError for any other kind."""
    if (kind := target.suffix.lower()) not in _KINDS:
        raise ConfigError(f"{target} is neither .csv nor .parquet", "name the file so")
    return kind


Write = Callable[[pa.RecordBatch], None]


@contextmanager
def _printing(schema: pa.Schema) -> Generator[Write]:
    """Yield what prints batches as CSV."""
    with csv.CSVWriter(sys.stdout.buffer, schema) as writer:
        yield writer.write_batch
    sys.stdout.buffer.flush()


@contextmanager
def writing_table(target: Path, schema: pa.Schema) -> Generator[Write]:
    """Yield what writes batches to a CSV or Parquet file, which appears whole, by one rename.

    Raises ConfigError for another kind of file or a place that cannot be written.
    """
    kind, folder = kind_of_file(target), target.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {target}: there is no directory {folder}", "make it first")
    with (
        PosixStorage(str(folder)).writing(target.name) as sink,
        _KINDS[kind](sink, schema) as writer,
    ):
        yield writer.write_batch


def _flat_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, pa.string()) if pa.types.is_list(field.type) else field


def _flat(column: pa.Array) -> pa.Array:
    if not pa.types.is_list(column.type):
        return column
    texts = column.cast(pa.list_(pa.string()))
    return pc.binary_join(texts, "|")


def defused(column: pa.Array) -> pa.Array:
    """Put an apostrophe before texts that a spreadsheet would compute; numbers stay numbers."""
    if not pa.types.is_string(column.type):
        return column
    risky = pc.match_substring_regex(column, _FORMULA)
    return pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)
