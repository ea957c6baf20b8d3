"""Partial top-n of score matrices in one order: higher score first, then lower index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mfspark.kernels.arrays.tile import Array, RowArrays, Tile

NOBODY = -1
"""Fills lists that are shorter than n."""


@dataclass(frozen=True)
class RankedLists(RowArrays):
    """The best n columns of each row: indices int32 and scores float64, both (rows, n).

    Lists that are shorter end with NOBODY and -inf.
    """

    indices: Array
    scores: Array

    @classmethod
    def empty(cls, n_rows: int, n: int) -> RankedLists:
        """Return lists with nothing in them."""
        return cls(
            np.full((n_rows, n), NOBODY, np.int32), np.full((n_rows, n), -np.inf, np.float64)
        )

    @property
    def lengths(self) -> Array:
        """Entries of each list, int64 (rows)."""
        return (self.indices != NOBODY).sum(1)

    def first(self, n: int) -> RankedLists:
        """Return the best n of each list."""
        return RankedLists(self.indices[:, :n], self.scores[:, :n])

    def until(self, marked: Array) -> RankedLists:
        """Return each list up to its first marked entry; marked bool (rows, n)."""
        over = np.logical_or.accumulate(marked, axis=1)
        if not over.any():
            return self
        return RankedLists(
            np.where(over, np.int32(NOBODY), self.indices), np.where(over, -np.inf, self.scores)
        )

    def merged(self, other: RankedLists) -> RankedLists:
        """Return the best n of both; a column must not be in both.

        >>> one = RankedLists(np.array([[4, 7]]), np.array([[0.9, 0.2]]))
        >>> other = RankedLists(np.array([[5, NOBODY]]), np.array([[0.5, -np.inf]]))
        >>> one.merged(other).indices.tolist()
        [[4, 5]]
        """
        n = self.indices.shape[1]
        indices = np.concatenate([self.indices, other.indices], axis=1)
        scores = np.concatenate([self.scores, other.scores], axis=1)
        # lexsort sorts by its last key first: rows stay together, then score, then index.
        rows = np.repeat(np.arange(len(indices)), indices.shape[1])
        order = np.lexsort((indices.ravel(), -scores.ravel(), rows)).reshape(indices.shape)[:, :n]
        return RankedLists(indices.ravel()[order], scores.ravel()[order])


def top_columns(scores: Array, n: int, indices: Array) -> RankedLists:
    """Return the n best columns of each row of a dense matrix; -inf is never taken.

    scores float32 or float64 (rows, columns); indices (columns), ascending, is what the columns
    are called. A plain partial sort may drop any of several equal scores, so the n-th best value
    is found first and everything from there up is put in order.

    >>> scores = np.array([[0.1, 0.9, 0.5], [-np.inf, 0.3, -np.inf]])
    >>> lists = top_columns(scores, 2, np.array([10, 20, 30]))
    >>> lists.indices.tolist(), lists.scores.tolist()
    ([[20, 30], [20, -1]], [[0.9, 0.5], [0.3, -inf]])
    """
    n_rows, n_columns = scores.shape
    lists = RankedLists.empty(n_rows, n)
    if not n_rows or not n_columns:
        return lists
    kept = min(n, n_columns)
    best = torch.topk(torch.from_numpy(scores), kept, dim=1, sorted=False).values
    threshold = best.amin(dim=1).numpy()
    rows, columns = np.nonzero((scores >= threshold[:, None]) & (scores > -np.inf))
    values = scores[rows, columns]
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    taken = rank < n
    lists.indices[rows[taken], rank[taken]] = np.asarray(indices)[columns[taken]]
    lists.scores[rows[taken], rank[taken]] = values[taken]
    return lists


def best_items(
    scores: Array, seen: Tile, n: int, eligible: Array | None = None, indices: Array | None = None
) -> RankedLists:
    """Return the n best items that a row has not rated; -inf is never one.

    scores float64 (rows, items), which is written over; eligible bool (items); indices (items),
    ascending: what the items are called, if not 0, 1, ...
    """
    scores[seen.rows, seen.indices] = -np.inf
    if eligible is not None:
        scores[:, ~eligible] = -np.inf
    return top_columns(scores, n, np.arange(scores.shape[1]) if indices is None else indices)


def nth_best(rows: Array, scores: Array, n_rows: int, n: int) -> Array:
    """Return the n-th best of the scores of each row, float32 (n_rows); -inf where there are fewer.

    rows int (m): the row of each score, in any order; scores float32 (m).

    >>> nth_best(np.array([1, 0, 0]), np.array([4, 1, 3], np.float32), n_rows=2, n=2).tolist()
    [1.0, -inf]
    """
    # Row and score in one number: sorting those is many times faster than np.lexsort.
    key = np.sort((rows.astype(np.int64) << 32) | falling(scores))
    counts = np.bincount(rows, minlength=n_rows)
    full = np.flatnonzero(counts >= n)
    nth = np.full(n_rows, -np.inf, np.float32)
    nth[full] = _from_falling(key[(np.cumsum(counts) - counts)[full] + n - 1] & 0xFFFFFFFF)
    return nth


def falling(scores: Array) -> Array:
    """Return int64 numbers from 0 to 2^32 - 1 that fall as float32 scores rise.

    >>> np.argsort(falling(np.array([0.5, -2.0, 3.0], np.float32))).tolist()
    [2, 0, 1]
    """
    bits = scores.view(np.int32)
    return 0x7FFFFFFF - (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)


def _from_falling(numbers: Array) -> Array:
    """Return the float32 scores that `falling` turned into these numbers."""
    ordered = (0x7FFFFFFF - numbers).astype(np.int32)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)


def top_up(
    lists: RankedLists, seen: Tile, order: Array, row_scores: Array, column_scores: Array
) -> tuple[RankedLists, Array]:
    """Fill lists that are too short with the first columns of `order` that a row has not seen.

    Those are put in the order of their scores, none of them above the entry before: lists fall.

    seen: what each row has rated, columns by global index; order (m): columns by preference; an
    added entry scores row_scores (rows) + column_scores (columns). Returns the filled lists and a
    mask (rows, n) of the entries that were added.

    >>> lists = RankedLists(np.array([[0, 1], [2, NOBODY]]), np.array([[5.0, 4.0], [3.0, -np.inf]]))
    >>> seen = Tile.from_triples([1], [0], [5], 2, 3)
    >>> filled, added = top_up(lists, seen, np.arange(3), np.ones(2), np.array([1.0, 0.5, 0.0]))
    >>> filled.indices.tolist(), filled.scores.tolist()
    ([[0, 1], [2, 1]], [[5.0, 4.0], [3.0, 1.5]])
    >>> added.tolist()
    [[False, False], [False, True]]
    """
    n = lists.indices.shape[1]
    indices, scores = lists.indices.copy(), lists.scores.copy()
    added = np.zeros(indices.shape, bool)
    lengths = lists.lengths
    for row in np.flatnonzero(lengths < n):
        have = int(lengths[row])
        rated = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        taken = np.union1d(rated, indices[row, :have])
        # At most len(taken) of the first columns are out, so this prefix is always long enough.
        prefix = order[: n - have + len(taken)]
        extra = prefix[~np.isin(prefix, taken)][: n - have]
        score = row_scores[row] + column_scores[extra]
        best_first = np.argsort(-score, kind="stable")
        where = slice(have, have + len(extra))
        indices[row, where] = extra[best_first]
        last = scores[row, have - 1] if have else np.inf
        scores[row, where] = np.minimum(score[best_first], last)
        added[row, where] = True
    return RankedLists(indices, scores), added
