"""Tiles: the ratings of one block of rows for one block of columns, as compressed sparse rows.

Rows and columns are dense indices dealt out to blocks in turn, which makes the blocks even:
index i lies in block `i mod B` at row `i div B`. With 4 users and 2 blocks:

    user 0 -> block 0, row 0        user 1 -> block 1, row 0
    user 2 -> block 0, row 1        user 3 -> block 1, row 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mfspark.kernels.arrays.ordering import order_of_pairs

Array = NDArray[Any]
"""Of the shape and type that each docstring gives."""
Arrays = dict[str, Array]
"""The named arrays of one block."""
Numbers = dict[str, float]
"""What a kernel counts or sums up, by name."""


@dataclass(frozen=True)
class NamedArrays:
    """Base of dataclasses that hold nothing but arrays: in a block they have the fields' names."""

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Read back what `arrays` gave; a block may hold others too."""
        return cls(**{each.name: arrays[each.name] for each in fields(cls)})

    def arrays(self) -> Arrays:
        """Return the fields as named arrays."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True)
class RowArrays(NamedArrays):
    """Base of those whose arrays all have the same rows."""

    @classmethod
    def stacked(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, one below the other."""
        names = [each.name for each in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    def take(self, rows: Array | slice) -> Self:
        """Return some of the rows."""
        return type(self)(**{name: array[rows] for name, array in self.arrays().items()})


@dataclass(frozen=True)
class Tile:
    """Ratings of `n_rows` rows for `n_columns` columns in CSR form; columns ascend in each row.

    indptr int64 (n_rows + 1), indices int32 (n), values float32 (n).

    >>> tile = Tile.from_triples([1, 0, 0], [1, 2, 0], [3, 4, 5], n_rows=2, n_columns=3)
    >>> tile.indptr.tolist(), tile.indices.tolist(), tile.values.tolist()
    ([0, 2, 3], [0, 2, 1], [5.0, 4.0, 3.0])
    >>> tile.degrees.tolist(), tile.rows.tolist()
    ([2, 1], [0, 0, 1])
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    n_columns: int

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def n_ratings(self) -> int:
        """Number of ratings."""
        return len(self.indices)

    @property
    def degrees(self) -> NDArray[np.int64]:
        """Ratings a row, int64 (n_rows)."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> NDArray[np.int32]:
        """The row of each rating, int32 (n)."""
        return np.repeat(np.arange(self.n_rows, dtype=np.int32), self.degrees)

    @classmethod
    def from_triples(
        cls, rows: Array, columns: Array, values: Array, n_rows: int, n_columns: int
    ) -> Tile:
        """Build a tile from ratings in any order; each (row, column) may occur once."""
        order = order_of_pairs(rows, columns, n_rows, n_columns)
        rows, columns, values = (np.asarray(each)[order] for each in (rows, columns, values))
        return cls.from_sorted(rows, columns, values, n_rows, n_columns)

    @classmethod
    def from_sorted(
        cls, rows: Array, columns: Array, values: Array, n_rows: int, n_columns: int
    ) -> Tile:
        """Build a tile from ratings in the order of rows and, in each, of columns."""
        indptr = np.zeros(n_rows + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
        return cls(indptr, columns.astype(np.int32), values.astype(np.float32), n_columns)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Tile:
        """Read back what `arrays` gave."""
        return cls(arrays["indptr"], arrays["indices"], arrays["values"], int(arrays["n_columns"]))

    def arrays(self) -> Arrays:
        """Return the tile as named arrays."""
        return {
            "indptr": self.indptr,
            "indices": self.indices,
            "values": self.values,
            "n_columns": np.asarray(self.n_columns, np.int64),
        }

    def with_values(self, values: Array) -> Tile:
        """Return the same structure with other values, float32 (n)."""
        return Tile(self.indptr, self.indices, values, self.n_columns)

    def with_zeros(self) -> Tile:
        """Return all cells of the tile; those without a rating are 0.

        >>> Tile.from_triples([0, 1], [0, 1], [5, 3], 2, 2).with_zeros().values.tolist()
        [5.0, 0.0, 0.0, 3.0]
        """
        dense = np.zeros((self.n_rows, self.n_columns), np.float32)
        dense[self.rows, self.indices] = self.values
        indptr = np.arange(self.n_rows + 1, dtype=np.int64) * self.n_columns
        indices = np.tile(np.arange(self.n_columns, dtype=np.int32), self.n_rows)
        return Tile(indptr, indices, dense.ravel(), self.n_columns)

    def where(self, mask: Array) -> Tile:
        """Return only the ratings under a mask, bool (n).

        >>> tile = Tile.from_triples([0, 1], [0, 1], [5, 3], 2, 2)
        >>> high = tile.where(tile.values > 4)
        >>> high.indptr.tolist(), high.values.tolist()
        ([0, 1, 1], [5.0])
        """
        if mask.all():
            return self
        kept = np.concatenate([[0], np.cumsum(mask)])  # ratings kept before each
        return Tile(kept[self.indptr], self.indices[mask], self.values[mask], self.n_columns)

    def at_least(self, least: float | None) -> Tile:
        """Return only the ratings from `least` on; None: all.

        >>> Tile.from_triples([0, 1], [0, 1], [5, 3], 2, 2).at_least(4.0).values.tolist()
        [5.0]
        """
        return self if least is None else self.where(self.values >= least)

    def transposed(self) -> Tile:
        """Return the same ratings with rows and columns exchanged.

        >>> turned = Tile.from_triples([0, 1], [2, 0], [5, 3], 2, 3).transposed()
        >>> turned.rows.tolist(), turned.indices.tolist(), turned.values.tolist()
        ([0, 2], [1, 0], [3.0, 5.0])
        """
        from scipy.sparse import csr_array

        matrix = csr_array(
            (self.values, self.indices, self.indptr), shape=(self.n_rows, self.n_columns)
        ).tocsc()
        return Tile(
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32),
            matrix.data.astype(np.float32),
            self.n_rows,
        )

    def used_columns(self) -> tuple[Tile, Array]:
        """Return the tile with only the columns that have ratings, and which those are (m).

        >>> small, columns = Tile.from_triples([0, 1], [7, 2], [5, 3], 2, 9).used_columns()
        >>> small.indices.tolist(), small.n_columns, columns.tolist()
        ([1, 0], 2, [2, 7])
        """
        used = np.zeros(self.n_columns, bool)
        used[self.indices] = True
        position = (np.cumsum(used) - 1).astype(np.int32)
        columns = np.flatnonzero(used)
        return Tile(self.indptr, position[self.indices], self.values, len(columns)), columns

    def take(self, rows: Array) -> Tile:
        """Return the named rows, in that order, as a tile of their own.

        >>> tile = Tile.from_triples([0, 1, 1], [0, 0, 1], [5, 3, 4], 2, 2)
        >>> tile.take(np.array([1, 1, 0])).values.tolist()
        [3.0, 4.0, 3.0, 4.0, 5.0]
        """
        degrees = self.degrees[rows]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(degrees, out=indptr[1:])
        entries = np.repeat(self.indptr[:-1][rows] - indptr[:-1], degrees) + np.arange(indptr[-1])
        return Tile(indptr, self.indices[entries], self.values[entries], self.n_columns)


def stack_rows(tiles: Sequence[Tile]) -> Tile:
    """Return one tile with the rows of all, one tile below the other; columns must be the same.

    >>> tile = Tile.from_triples([0, 1], [0, 1], [5, 3], 2, 2)
    >>> stack_rows([tile, tile]).rows.tolist()
    [0, 1, 2, 3]
    """
    if len(tiles) == 1:
        return tiles[0]
    offsets = np.cumsum([0, *(t.n_ratings for t in tiles)])
    indptr = np.concatenate(
        [[0], *(t.indptr[1:] + o for t, o in zip(tiles, offsets[:-1], strict=True))]
    ).astype(np.int64)
    return Tile(
        indptr,
        np.concatenate([t.indices for t in tiles]),
        np.concatenate([t.values for t in tiles]),
        tiles[0].n_columns,
    )


def stack_columns(tiles: Sequence[Tile]) -> Tile:
    """Return one tile with the columns of all side by side: those of the first come first.

    >>> tile = Tile.from_triples([0, 1], [0, 1], [5, 3], 2, 2)
    >>> both = stack_columns([tile, tile])
    >>> both.indptr.tolist(), both.indices.tolist()
    ([0, 2, 4], [0, 2, 1, 3])
    """
    if len(tiles) == 1:
        return tiles[0]
    offsets = np.cumsum([0, *(t.n_columns for t in tiles)])
    columns = [t.indices + o for t, o in zip(tiles, offsets[:-1], strict=True)]
    return _side_by_side(tiles, columns, int(offsets[-1]))


def _side_by_side(tiles: Sequence[Tile], columns: Sequence[Array], n_columns: int) -> Tile:
    """Return one tile with the rows of all side by side; columns: what those of each are there."""
    indptr = np.zeros(tiles[0].n_rows + 1, np.int64)
    np.cumsum(np.sum([t.degrees for t in tiles], axis=0), out=indptr[1:])
    indices = np.empty(indptr[-1], np.int32)
    values = np.empty(indptr[-1], np.float32)
    start = indptr[:-1].copy()  # where the next tile's part of each row begins
    for tile, those in zip(tiles, columns, strict=True):
        target = np.repeat(start - tile.indptr[:-1], tile.degrees) + np.arange(tile.n_ratings)
        indices[target] = those
        values[target] = tile.values
        start += tile.degrees
    return Tile(indptr, indices, values, n_columns)


def by_global_column(tiles: Sequence[Tile], n_columns: int) -> Tile:
    """Return the strip of one row block over all columns, columns by their global index.

    `tiles` are in the order of their column blocks; column c of block q is global c * Q + q.

    >>> tile = Tile.from_triples([0, 1], [0, 1], [5, 3], 2, 2)
    >>> by_global_column([tile, tile], 4).indices.tolist()
    [0, 1, 2, 3]
    """
    if len(tiles) == 1:
        return Tile(tiles[0].indptr, tiles[0].indices, tiles[0].values, n_columns)
    from scipy.sparse import csr_array

    columns = [t.indices * np.int32(len(tiles)) + np.int32(q) for q, t in enumerate(tiles)]
    strip = _side_by_side(tiles, columns, n_columns)
    matrix = csr_array((strip.values, strip.indices, strip.indptr), shape=(strip.n_rows, n_columns))
    matrix.sort_indices()  # in place
    indices, values = matrix.indices.astype(np.int32), matrix.data.astype(np.float32, copy=False)
    return Tile(strip.indptr, indices, values, n_columns)
