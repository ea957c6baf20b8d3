"""The completed users x items matrix of a published run; needs no Spark."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mfspark.errors import NotFoundError
from mfspark.kernels.arrays.tile import Array
from mfspark.queries.lookup import Id
from mfspark.tables.export import defused
from mfspark.tables.run import PublishedRun

KNOWN = "*"
"""Marks known ratings where they stand beside predictions."""


@dataclass(frozen=True)
class CompletedMatrix:
    """Known ratings, and predictions of all cells: float64 (users, items), NaN where unknown."""

    users: list[Id]
    items: list[Id]
    names: list[str]
    """Titles of the items, or their ids."""
    ratings: Array
    predictions: Array

    @property
    def known(self) -> Array:
        """Which cells were rated, bool (users, items)."""
        return ~np.isnan(self.ratings)

    @property
    def filled(self) -> Array:
        """Known ratings as they are, the others predicted."""
        return np.where(self.known, self.ratings, self.predictions)


def completed_matrix(run: PublishedRun) -> CompletedMatrix:
    """Read table `completed`, users by id and items by their number of ratings, the most first.

    Raises NotFoundError where the run published none.
    """
    if not run.has("completed"):
        raise NotFoundError(
            f"run {run.run_id} has no completed matrix",
            "it is written up to completed.max_cells users x items: raise that and run again",
        )
    items = run.rows(
        """select item_id as id, coalesce(title, cast(item_id as varchar)) as name from {items}
           order by coalesce(n_ratings, 0) desc, item_id"""
    )
    users = [row["id"] for row in run.rows("select user_id as id from {users} order by user_id")]
    column = {row["id"]: i for i, row in enumerate(items)}
    line = {user: u for u, user in enumerate(users)}
    cells = run.rows("select user_id, item_id, rating, prediction from {completed}")
    ratings, predictions = np.full((2, len(users), len(items)), np.nan)
    for cell in cells:
        at = line[cell["user_id"]], column[cell["item_id"]]
        ratings[at] = np.nan if cell["rating"] is None else cell["rating"]
        predictions[at] = cell["prediction"]
    ids, names = ([row[key] for row in items] for key in ("id", "name"))
    return CompletedMatrix(users, ids, names, ratings, predictions)


def wide_rows(matrix: CompletedMatrix, mark: str = KNOWN) -> Iterator[list[str]]:
    """Yield a row a user: the id, then each item's value; known ones carry the mark."""
    for user, values, known in zip(matrix.users, matrix.filled, matrix.known, strict=True):
        cells = (f"{v:.4g}{mark if k else ''}" for v, k in zip(values, known, strict=True))
        yield [str(user), *cells]


def write_wide(matrix: CompletedMatrix, path: Path, mark: str = KNOWN) -> None:
    """Write a CSV file of a row a user and a column an item; no name runs in a spreadsheet."""
    users, names = _defused(matrix.users), _defused(matrix.names)
    rows = wide_rows(matrix, mark)
    _write(
        path, ["user", *names], ([user, *row[1:]] for user, row in zip(users, rows, strict=True))
    )


def write_long(matrix: CompletedMatrix, path: Path) -> None:
    """Write a CSV file of a row a cell: user, item, title, value, and whether it was known."""
    items = list(zip(_defused(matrix.items), _defused(matrix.names), strict=True))
    rows = (
        [user, item, name, f"{value:.10g}", str(bool(known)).lower()]
        for user, values, flags in zip(
            _defused(matrix.users), matrix.filled, matrix.known, strict=True
        )
        for (item, name), value, known in zip(items, values, flags, strict=True)
    )
    _write(path, ["user", "item", "title", "value", "known"], rows)


def _defused(names: Sequence[Id]) -> list[Id]:
    return defused(pa.array(names)).to_pylist()


def _write(path: Path, header: list[Id], rows: Iterator[list[Id]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
