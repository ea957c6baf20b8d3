"""The n largest of c_u + b_i + x_u . y_i over all items i, exactly, without computing most of them.

Maximum inner product search by the bound of Cauchy and Schwarz (as LEMP, Teflioudi et al. 2015),
in blocks, so that what the bound does not rule out is one matrix product:

1. Rows of like norm are taken together. For them items are sorted by b_i + r |y_i|, where r is the
   largest norm among the rows: no score is above that. A row is done at the first item whose
   bound is below the row's n-th best score so far.
2. A block of items is multiplied with the rows that are not done, in float32. Only scores
   that reach the row's n-th best are looked at, some tens a row.
3. float32 products are rounded, and differently in blocks of another shape. So whatever lies within
   the error bound of the n-th best is kept, and at last scored again in float64 and rounded once,
   to float32. Scores and their order (higher first, then lower index) are then the same however
   rows and items were cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mfspark.kernels.arrays.tile import Array, RowArrays, Tile
from mfspark.kernels.arrays.top_n import RankedLists, falling, nth_best

_ROWS, _COLUMNS = 1024, 1024  # a block of scores: 4 MiB, so that two threads stay in the L3 cache
_POOL = 1 << 18  # candidates held at once before they are cut down to n a row
_CELLS = 1 << 20  # products of factors held at once where pairs are scored again: 8 MiB
_UNIT = 2.0**-24  # relative error of one float32 operation


@dataclass(frozen=True)
class Points(RowArrays):
    """One side of the products: factors float32 (m, k) and offsets (m), the c_u or b_i.

    Where `known` bool (m) is False nothing is listed: neither this row nor, for it, any item.
    """

    factors: Array
    offsets: Array
    known: Array

    @property
    def norms(self) -> Array:
        """|x|, float64 (m)."""
        return np.sqrt(np.einsum("mk,mk->m", self.factors, self.factors, dtype=np.float64))


def largest_products(
    rows: Points, items: Points, left_out: Tile, indices: Array, start: RankedLists
) -> RankedLists:
    """Return the n best of these items and of the lists so far, for each row.

    left_out: rows x items, pairs that are not listed. indices int (items): what the items are
    called, in any order; none of them is in `start`, lists (rows, n). Points that are not finite
    are left out as well. Scores are float32(c_u + b_i + x_u . y_i).

    Memory: the items' factors once more, and some 50 MiB.
    """
    lists = RankedLists(start.indices.copy(), start.scores.copy())
    search = _Search.of(items, np.asarray(indices))
    norms = rows.norms
    some = np.flatnonzero(rows.known & np.isfinite(norms) & np.isfinite(rows.offsets))
    some = some[np.argsort(norms[some], kind="stable")]
    for first in range(0, len(some) if len(search.items.known) else 0, _ROWS):
        chunk = some[first : first + _ROWS]
        found = search.best(rows.take(chunk), left_out.take(chunk), start.take(chunk))
        lists.indices[chunk], lists.scores[chunk] = found.indices, found.scores
    return lists


@dataclass(frozen=True)
class _Search:
    """The items to search, without those that are not known."""

    items: Points
    norms: Array
    indices: Array
    position: Array
    """Of each item of the caller among these; -1 where it is not."""
    buffer: torch.Tensor
    """Where blocks of scores lie, one after the other."""

    @classmethod
    def of(cls, items: Points, indices: Array) -> _Search:
        norms = items.norms
        taken = np.flatnonzero(items.known & np.isfinite(norms) & np.isfinite(items.offsets))
        position = np.full(len(norms), -1, np.int32)
        position[taken] = np.arange(len(taken), dtype=np.int32)
        buffer = torch.empty(_ROWS * _COLUMNS)
        return cls(items.take(taken), norms[taken], indices[taken], position, buffer)

    def best(self, rows: Points, left_out: Tile, before: RankedLists) -> RankedLists:
        """Return the best n of each row; every step is explained at the top of the module."""
        n_rows, n = before.indices.shape
        norms = rows.norms
        order, bounds = self._falling(norms.max())
        X = np.column_stack([rows.factors, np.ones(n_rows, np.float32)])
        omitted = _Omitted.of(left_out, self.position, order)
        slack = self._slack(rows.offsets, norms)
        nth = before.scores[:, -1] - rows.offsets  # without c_u; -inf while a list has room
        pool = _Pool.empty()
        for start in range(0, len(order), _COLUMNS):
            reach = _at_most(nth - slack)
            needed = np.flatnonzero(reach <= bounds[start])
            if not len(needed):
                break
            columns = order[start : start + _COLUMNS]
            scores = self._product(X[needed], columns)
            omitted.mask(scores, needed, n_rows, start)
            if start == 0:
                nth[needed] = np.maximum(nth[needed], _nth_at_least(scores, n))
                reach = _at_most(nth - slack)
            pool = _Pool.stacked([pool, _Pool.reaching(scores, needed, columns, reach)])
            nth = np.maximum(nth, nth_best(pool.rows, pool.scores, n_rows, n))
            pool = pool.kept(_at_most(nth - slack))
            if len(pool.rows) > _POOL:
                pool = self._ranked(rows, pool, n)[0]
        return self._lists(rows, pool, before)

    def _falling(self, norm: float) -> tuple[Array, Array]:
        """Return the items by their bound, highest first, and the bounds, float32 rounded up."""
        exact = self.items.offsets + norm * self.norms
        bounds = np.nextafter(exact.astype(np.float32), np.float32(np.inf))
        order = np.argsort(-bounds)
        return order, bounds[order]

    def _product(self, X: Array, columns: Array) -> Array:
        """Return x . y + b of a block, float32; it lies in the buffer until the next one."""
        Y = np.column_stack([self.items.factors[columns], self.items.offsets[columns]])
        shape = len(X), len(Y)
        scores = self.buffer[: shape[0] * shape[1]].view(shape)
        return torch.mm(
            torch.from_numpy(X), torch.from_numpy(Y.astype(np.float32)).T, out=scores
        ).numpy()

    def _slack(self, offsets: Array, norms: Array) -> Array:
        """How far below the n-th best computed score one of the true n best may be computed.

        A sum of k + 1 float32 products is off by at most (k + 1) u / (1 - (k + 1) u) times the sum
        of their sizes (Higham 2002, section 3.1), which is at most |x| |y| + |b|; both scores are
        off by that, and rounding the end result to float32 can make equal what was not.
        """
        size = norms * self.norms.max() + np.abs(self.items.offsets).max()
        terms = self.items.factors.shape[1] + 2
        return 2.02 * terms * _UNIT * size + 4 * _UNIT * (np.abs(offsets) + size)

    def _ranked(self, rows: Points, pool: _Pool, n: int) -> tuple[_Pool, Array, Array]:
        """Return the best n a row in order, their rank and their float32 score."""
        size = max(1, _CELLS // max(1, rows.factors.shape[1]))
        exact = np.concatenate(
            [np.empty(0), *(_pairs(rows, self.items, part) for part in pool.parts(size))]
        ).astype(np.float32)
        exact += np.float32(0)  # -0.0 becomes 0.0, which it ties with
        order = np.argsort(_keys(exact, self.indices[pool.items]))
        order = order[np.argsort(pool.rows[order].astype(np.uint16), kind="stable")]
        in_order = pool.rows[order]
        rank = np.arange(len(order)) - np.searchsorted(in_order, in_order)
        order, rank = order[rank < n], rank[rank < n]
        return pool.take(order), rank, exact[order]

    def _lists(self, rows: Points, pool: _Pool, before: RankedLists) -> RankedLists:
        lists = RankedLists.empty(*before.indices.shape)
        best, rank, scores = self._ranked(rows, pool, before.indices.shape[1])
        lists.indices[best.rows, rank] = self.indices[best.items]
        lists.scores[best.rows, rank] = scores
        return lists if (before.scores[:, 0] == -np.inf).all() else lists.merged(before)


@dataclass(frozen=True)
class _Omitted:
    """Pairs that must not be listed: row and place in the order of the items."""

    rows: Array
    places: Array

    @classmethod
    def of(cls, tile: Tile, position: Array, order: Array) -> _Omitted:
        place = np.empty(len(order) + 1, np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        place[-1] = -1  # where `position` is -1
        return cls(tile.rows, place[position[tile.indices]])

    def mask(self, scores: Array, needed: Array, n_rows: int, start: int) -> None:
        """Set what is omitted of the block of columns from `start` on to -inf."""
        width = scores.shape[1]
        here = np.flatnonzero((self.places >= start) & (self.places < start + width))
        row = np.full(n_rows, -1)
        row[needed] = np.arange(len(needed))
        row = row[self.rows[here]]
        scores.ravel()[(row * width + self.places[here] - start)[row >= 0]] = -np.inf


@dataclass(frozen=True)
class _Pool(RowArrays):
    """Candidates: rows int64, items int64 and computed scores float32, all (m)."""

    rows: Array
    items: Array
    scores: Array

    @classmethod
    def empty(cls) -> _Pool:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def reaching(cls, scores: Array, rows: Array, items: Array, reach: Array) -> _Pool:
        """Take the scores of a block that reach the bar of their row."""
        hits = np.flatnonzero(scores >= reach[rows, None])
        row, column = np.divmod(hits, len(items))
        return cls(rows[row], items[column], scores.ravel()[hits])

    def kept(self, reach: Array) -> _Pool:
        return self.take(np.flatnonzero(self.scores >= reach[self.rows]))

    def parts(self, size: int) -> list[_Pool]:
        return [self.take(slice(i, i + size)) for i in range(0, len(self.rows), size)]


def _nth_at_least(scores: Array, n: int) -> Array:
    """Return a number that at least n scores of each row reach, -inf where there is none.

    It is the n-th best of the maxima of groups of columns, which are found by one fast pass.
    """
    n_rows, width = scores.shape
    groups = min(width, max(64, 6 * n))
    if groups < n:
        return np.full(n_rows, -np.inf)
    depth = width // groups
    grouped = torch.from_numpy(scores)[:, : depth * groups].view(n_rows, depth, groups)
    return np.partition(grouped.amax(1).numpy(), groups - n, axis=1)[:, groups - n]


def _pairs(rows: Points, items: Points, pairs: _Pool) -> Array:
    """Return c_u + b_i + x_u . y_i of some pairs, float64 (m), summed in one order."""
    X, Y = torch.from_numpy(rows.factors), torch.from_numpy(items.factors)
    sums = X[torch.from_numpy(pairs.rows)].double().mul_(Y[torch.from_numpy(pairs.items)])
    while (
        width := sums.shape[1]
    ) > 1:  # the same additions in the same order for any number of pairs
        half = (width + 1) // 2
        sums[:, : width - half] += sums[:, half:]
        sums = sums[:, :half]
    return rows.offsets[pairs.rows] + items.offsets[pairs.items] + sums.sum(1).numpy()


def _at_most(numbers: Array) -> Array:
    """Return float32 numbers just below, and none of them -inf: that is what is not listed."""
    down = np.nextafter(numbers.astype(np.float32), np.float32(-np.inf))
    return np.maximum(down, np.finfo(np.float32).min)


def _keys(scores: Array, ties: Array) -> Array:
    """Return uint64 numbers that sort by falling float32 score, then by rising int32 `ties`."""
    return (falling(scores).astype(np.uint64) << np.uint64(32)) | ties.astype(np.uint64)
