"""Cosine similarity of rows with unrated = 0: sim(u, v) = r_u . r_v / (|r_u| |r_v|).

Dot products of whole- and half-star ratings are exact in float64, so neighbors do not depend on
how users were cut into blocks. The quotient dot^2 / (|r_u|^2 |r_v|^2) is taken before the
root: similarities that are equal as fractions are then equal as numbers, so that ties are ties.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.top_n import NOBODY, RankedLists, top_columns

if TYPE_CHECKING:
    from mfspark.kernels.tile import Array, Arrays, Tile

Strips = Iterable[tuple["Array", "Tile"]]
_CHUNK_CELLS = 1 << 23  # similarities held at once: 64 MiB of float64


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbors of each row, best first.

    indices int32, similarity float64 and n_common int32, all (rows, k); shorter lists end with
    NOBODY, -inf and 0.
    """

    indices: Array
    similarity: Array
    n_common: Array

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Neighbors:
        """Read back what `arrays` gave."""
        return cls(arrays["indices"], arrays["similarity"], arrays["n_common"])

    def arrays(self) -> Arrays:
        """Return the neighbors as named arrays."""
        return {
            "indices": self.indices,
            "similarity": self.similarity,
            "n_common": self.n_common,
        }


def cosine_neighbors(
    strip: Tile, own: Array, others: Strips, k: int, min_support: int
) -> Neighbors:
    """Return the k nearest neighbors of each row of a strip among the rows of all strips.

    strip: ratings of this block over all columns; own int64 (rows): global indices of its rows;
    others: (global indices, strip) of every block; it is gone through twice. A row is never its own
    neighbor, and rows that share fewer than `min_support` columns are no neighbors. Where shared
    ratings cancel out, or are all 0, the similarity is 0.
    """
    best = RankedLists.empty(strip.n_rows, k)
    for indices, other in others:
        best = best.merged(_best_of_block(strip, own, indices, other, k, min_support))
    n_common = np.zeros((strip.n_rows, k), np.int32)
    for indices, other in others:  # counted for the final neighbors only: far fewer than all pairs
        n_common += _n_common(strip, other, best.indices, indices)
    return Neighbors(best.indices, best.scores, n_common)


def _best_of_block(
    strip: Tile, own: Array, indices: Array, other: Tile, k: int, min_support: int
) -> RankedLists:
    """Return the k most similar rows of one other block for each row of the strip."""
    squares, other_squares = _squares(strip), _squares(other)
    columns = _matrix(other).T.tocsr()
    # Of positive ratings the dot product alone tells that something is shared: it is not 0.
    counted = min_support > 1 or min(strip.values.min(initial=1), other.values.min(initial=1)) <= 0
    columns_ones = _ones(other).T.tocsr() if counted else None
    chunk = max(1, _CHUNK_CELLS // max(1, other.n_rows))
    parts = [RankedLists.empty(0, k)]
    for start in range(0, strip.n_rows, chunk):
        rows = np.arange(start, min(start + chunk, strip.n_rows))
        part = strip.take(rows)
        product = (_matrix(part) @ columns).tocoo()
        scores = np.full((len(rows), other.n_rows), -np.inf)
        scale = squares[rows][product.row] * other_squares[product.col]
        cosine = np.sign(product.data) * np.sqrt(product.data**2 / scale)
        scores[product.row, product.col] = cosine
        if columns_ones is not None:
            support = (_ones(part) @ columns_ones).toarray()
            scores[scores == -np.inf] = 0.0
            scores[support < min_support] = -np.inf
        scores[own[rows][:, None] == indices] = -np.inf
        parts.append(top_columns(scores, k, indices))
    return RankedLists(
        np.concatenate([p.indices for p in parts]), np.concatenate([p.scores for p in parts])
    )


def _n_common(strip: Tile, other: Tile, neighbors: Array, indices: Array) -> Array:
    """Return how many columns each row shares with its listed neighbors of one block, (rows, k)."""
    rows, ranks = np.nonzero(np.isin(neighbors, indices) & (neighbors != NOBODY))
    result = np.zeros(neighbors.shape, np.int32)
    if len(rows):
        position = np.searchsorted(indices, neighbors[rows, ranks])
        both = _ones(strip.take(rows)).multiply(_ones(other.take(position)))
        result[rows, ranks] = both.sum(axis=1)
    return result


def _matrix(tile: Tile) -> csr_array:
    return csr_array(
        (tile.values.astype(np.float64), tile.indices, tile.indptr),
        shape=(tile.n_rows, tile.n_columns),
    )


def _ones(tile: Tile) -> csr_array:
    ones = np.ones(tile.n_ratings, np.float64)
    return csr_array((ones, tile.indices, tile.indptr), shape=(tile.n_rows, tile.n_columns))


def _squares(tile: Tile) -> Array:
    """Return |r_u|^2 of each row, float64."""
    squares = tile.values.astype(np.float64) ** 2
    return np.bincount(tile.rows, weights=squares, minlength=tile.n_rows)
