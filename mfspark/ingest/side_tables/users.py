"""Reads user files: ids and attributes such as age or country; on the driver, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.errors import InputError
from mfspark.ingest.readers.shapes.names import TIERS, plain_name
from mfspark.ingest.readers.source import TextTable
from mfspark.ingest.side_tables.reader import SideTable, known_column, read_side_files, trimmed

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions

USER_SCHEMA = pa.schema([("user_id", pa.string()), ("attributes", pa.list_(pa.string()))])
_IDS = (*TIERS["user"][:2], frozenset({"id"}), TIERS["user"][2])
_NAMES = {"age", "gender", "sex", "occupation", "job", "zip", "zipcode", "postcode", "country"}
_MOVIELENS = (  # without a header: 100K's u.user and 1M's users.dat
    ("user_id", "age", "gender", "occupation", "zip"),
    ("user_id", "gender", "age", "occupation", "zip"),
)
_GENDERS = pa.array(["F", "M", ""])


def read_users(files: Sequence[str], options: IngestOptions) -> SideTable:
    """Read user files: CSV and the like, `u.user` and `users.dat` of MovieLens, Excel, Parquet.

    Every column but the id gives an attribute "name=value" where it is filled; of these
    `options.user_attributes` are kept, or all. A file without a header has the id first, and
    columns named column_2, column_3, ... unless it is of MovieLens. Of several rows with one id the
    first counts. Raises InputError for files that cannot be read as users, or where a column that
    is asked for is in none of them.
    """
    wanted = {plain_name(name): name for name in options.user_attributes}
    found: set[str] = set()

    def parse(path: str, content: TextTable) -> pa.Table:
        names = content.names or _names(content.columns)
        plain = [plain_name(name) for name in names]
        user = known_column(names, _IDS, path)
        if user < 0:
            raise InputError(
                f"{path}: no column looks like a user id (found: {', '.join(names)})",
                "name it userId",
            )
        found.update(plain)
        ids = trimmed(content.columns[user])
        columns = {
            names[i]: column
            for i, column in enumerate(content.columns)
            if i != user and pa.types.is_string(column.type) and (not wanted or plain[i] in wanted)
        }
        return pa.table([ids, _attributes(columns, len(ids))], schema=USER_SCHEMA)

    table = read_side_files(files, options, _NAMES.union(*_IDS), USER_SCHEMA, parse)
    missing = [name for plain, name in wanted.items() if plain not in found]
    if files and missing:
        raise InputError(
            f"no user file has a column {', '.join(missing)}", "check ingest.user_attributes"
        )
    return table


def _names(columns: Sequence[pa.ChunkedArray]) -> Sequence[str]:
    """Name the columns of a file without a header."""
    for names in _MOVIELENS:
        if len(columns) == len(names):
            genders = trimmed(columns[names.index("gender")])
            if pc.all(pc.is_in(genders, _GENDERS)).as_py():
                return names
    return ["user_id", *(f"column_{i}" for i in range(2, len(columns) + 1))]


def _attributes(columns: dict[str, pa.ChunkedArray], n_rows: int) -> pa.ListArray:
    """Return the filled columns of each row as a list of "name=value", in the order of the file."""
    texts = {name: trimmed(c).combine_chunks() for name, c in columns.items()}
    named = [pc.binary_join_element_wise(name, text, "=") for name, text in texts.items()]
    filled = [pc.not_equal(text, "").to_numpy(zero_copy_only=False) for text in texts.values()]
    rows, which = np.nonzero(np.stack(filled, axis=1) if filled else np.empty((n_rows, 0)))
    offsets = np.searchsorted(rows, np.arange(n_rows + 1)).astype(np.int32)
    values = pa.concat_arrays([pa.array([], pa.string()), *named])
    return pa.ListArray.from_arrays(offsets, values.take(pa.array(which * n_rows + rows)))
