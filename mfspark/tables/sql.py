"""SQL over the Parquet files of tables, by DuckDB inside this process; needs no Spark."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from mfspark.tables.table_files import TableFiles

Row = dict[str, Any]

_TABLE = re.compile(r"\{([\w.]+)\}")


class Tables:
    """Queries in which `{name}` stands for a table, whose files `files_of` gives.

    `spill` is where DuckDB puts what does not fit its memory, which is then limited.
    """

    def __init__(self, files_of: Callable[[str], TableFiles], spill: Path | None = None) -> None:
        self._files_of = files_of
        self._connection = duckdb.connect()
        self._registered: set[str] = set()
        if spill:
            settings = {"temp_directory": str(spill), "memory_limit": "2GB"}
            for name, value in settings.items():
                self._connection.execute(f"set {name} = {_quoted(value)}")

    def rows(self, query: str, *parameters: object, **named: object) -> list[Row]:
        """Run a query with parameters `?`, or `$name`, and return its rows."""
        cursor = self._run(query, parameters, named)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrays(self, query: str, *parameters: object) -> dict[str, Any]:
        """Run a query and return its columns as numpy arrays; nulls are masked."""
        return self._run(query, parameters, {}).fetchnumpy()

    def _run(
        self, query: str, parameters: tuple[object, ...], named: dict[str, object]
    ) -> duckdb.DuckDBPyConnection:
        sql = _TABLE.sub(lambda found: self._source(found[1]), query)
        return self._connection.execute(sql, named or list(parameters))

    def _source(self, table: str) -> str:
        """Return a table's files as DuckDB reads them: row groups that cannot match are skipped."""
        files = self._files_of(table)
        if files.paths is None:
            if table not in self._registered:  # a dataset opens a file, for its schema
                self._connection.register(table, files.dataset())
                self._registered.add(table)
            return f'"{table}"'
        return f"read_parquet([{', '.join(map(_quoted, files.paths))}])"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
