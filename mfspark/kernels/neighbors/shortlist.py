"""Shortlists: the candidates for the k nearest neighbors of some rows, while pairs are compared."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists, nth_best

_NONE = np.iinfo(np.int32).max  # above every index
_GROWTH = 1.3  # a list that has grown so much is cut: its bars rise, and fewer pairs pass them


@dataclass
class Shortlist:
    """The best candidates of each row so far: higher similarity first, then lower index.

    A pair below the bar of its row, float64 (rows), is not among the k best. Pairs are offered in
    any order, and what is left is the same.
    """

    n_rows: int
    k: int
    bars: Array = field(init=False)
    _last: Array = field(init=False)
    """Index of the k-th best, where it is known exactly which one that is."""
    _rows: Array = field(init=False)
    _indices: Array = field(init=False)
    _scores: Array = field(init=False)
    _cut_at: float = 0.0

    def __post_init__(self) -> None:
        self.bars = np.full(self.n_rows, -np.inf)
        self._last = np.full(self.n_rows, _NONE, np.int32)
        self._keep(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float64))

    @classmethod
    def of(cls, lists: RankedLists, *, bars_only: bool = False) -> Shortlist:
        """Start from lists (rows, k), or only from the bars that they set."""
        n_rows, k = lists.indices.shape
        shortlist = cls(n_rows, k)
        shortlist.bars = lists.scores[:, -1].copy()
        shortlist._last = np.where(shortlist.bars > -np.inf, lists.indices[:, -1], _NONE)
        if not bars_only:
            rows, rank = np.nonzero(lists.indices != NOBODY)
            shortlist._keep(
                rows.astype(np.int32), lists.indices[rows, rank], lists.scores[rows, rank]
            )
        return shortlist

    def __len__(self) -> int:
        return len(self._rows)

    def offer(self, rows: Array, indices: Array, scores: Array) -> None:
        """Add pairs: which row, index of the other, similarity float64; each pair may come once."""
        bars = self.bars[rows]
        tied = (scores == bars) & (scores > -np.inf) & (indices < self._last[rows])
        good = np.flatnonzero((scores > bars) | tied)
        self._keep(
            np.concatenate([self._rows, rows[good].astype(np.int32)]),
            np.concatenate([self._indices, indices[good].astype(np.int32)]),
            np.concatenate([self._scores, scores[good]]),
        )
        if len(self) > self._cut_at:
            self.cut()

    def cut(self) -> None:
        """Leave out what is not among the k best, and raise the bars."""
        short = self._scores.astype(np.float32)
        nth = nth_best(self._rows, short, self.n_rows, self.k)
        self._take(np.flatnonzero(short >= nth[self._rows]))
        # float32 of the k-th best: itself it is not below the next lower float32 number.
        below = np.nextafter(nth, np.float32(-np.inf)).astype(np.float64)
        self.bars = np.maximum(self.bars, below)
        if len(self) > 1.1 * self.k * self.n_rows:  # many are equal, or almost
            self._cut_exactly()
        self._cut_at = _GROWTH * max(len(self), self.k)

    def _cut_exactly(self) -> None:
        rank = self._ranked()
        self._take(np.flatnonzero(rank < self.k))
        full = np.flatnonzero(rank[rank < self.k] == self.k - 1)
        rows = self._rows[full]
        self.bars[rows], self._last[rows] = self._scores[full], self._indices[full]

    def _ranked(self) -> Array:
        """Put candidates in order; return the rank of each within its row."""
        self._take(np.lexsort((self._indices, -self._scores, self._rows)))
        return np.arange(len(self)) - np.searchsorted(self._rows, self._rows)

    def lists(self) -> RankedLists:
        """Return the k best of each row in order."""
        self.cut()
        rank = self._ranked()
        self._take(np.flatnonzero(rank < self.k))
        rank = rank[rank < self.k]
        lists = RankedLists.empty(self.n_rows, self.k)
        lists.indices[self._rows, rank] = self._indices
        lists.scores[self._rows, rank] = self._scores
        return lists

    def arrays(self) -> Arrays:
        """Return the candidates as named arrays."""
        self.cut()
        return {"rows": self._rows, "near": self._indices, "similarity": self._scores}

    def offer_arrays(self, arrays: Arrays) -> None:
        """Add what `arrays` gave."""
        self.offer(arrays["rows"], arrays["near"], arrays["similarity"])

    def _take(self, chosen: Array) -> None:
        self._keep(self._rows[chosen], self._indices[chosen], self._scores[chosen])

    def _keep(self, rows: Array, indices: Array, scores: Array) -> None:
        self._rows, self._indices, self._scores = rows, indices, scores
