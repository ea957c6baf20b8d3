"""SLIM (Ning & Karypis 2011): sparse weights of items by an elastic net, each item by itself.

    minimise  |x_j - X w_j|^2 / 2 + l2 |w_j|^2 / 2 + l1 |w_j|_1        w_j >= 0, w_jj = 0

x_j is column j of X, the choices. All that is read of X is the Gramian G = X'X, how many users
chose both of two items: an item i that fewer than l1 users chose together with j can have no part,
as then G_ij - G_i w_j <= l1 for any w_j >= 0.

With few items each target looks at all of them (`solve_all`). With many it looks at its nearest by
cosine, and of the Gramian only what is between those is made (`solve_among`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.kernels.item_weights.weights import SparseWeights

_GRAMS = 1 << 27  # numbers of the Gramians held at once: 512 MiB


@dataclass(frozen=True)
class ElasticNet:
    """What is minimised, and how closely."""

    l1: float
    """In users who chose both of two items."""
    l2: float
    """The same."""
    tol: float
    """Steps up to this share of the largest G_ij of the target may be left to take."""


@dataclass(frozen=True)
class Choices:
    """Who chose what, in both directions, as compressed rows.

    user_starts int64 (users + 1), user_items int32 (n), in any order; item_starts int64
    (items + 1), item_users int32 (n).
    """

    user_starts: Array
    user_items: Array
    item_starts: Array
    item_users: Array

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """As compiled loops take them: items first."""
        return self.item_starts, self.item_users, self.user_starts, self.user_items

    @classmethod
    def of(cls, tiles: Sequence[Tile], items: Array) -> Choices:
        """Take the tiles of all users, one below the other; items: the index of each column."""
        starts = np.concatenate([[0], *(tile.degrees for tile in tiles)]).cumsum()
        chosen = [np.empty(0, np.int32), *(tile.indices for tile in tiles)]
        user_items = items[np.concatenate(chosen)].astype(np.int32)
        marks = np.ones(len(user_items), np.int8)
        by_item = csr_array((marks, user_items, starts), (len(starts) - 1, len(items))).tocsc()
        return cls(
            starts.astype(np.int64),
            user_items,
            by_item.indptr.astype(np.int64),
            by_item.indices.astype(np.int32),
        )


def solve_all(gram: Array, targets: Array, net: ElasticNet) -> SparseWeights:
    """Return the weights of some targets from all items; gram float32 (items, items)."""
    from mfspark.kernels.item_weights.compiled import descend_each

    found = np.zeros((len(targets), len(gram)), np.float32)
    descend_each(gram, targets, net.l1, net.l2, net.tol, found)
    return SparseWeights.of_rows(np.broadcast_to(np.arange(len(gram)), found.shape), found)


def solve_among(choices: Choices, targets: Array, k: int, net: ElasticNet) -> SparseWeights:
    """Return the weights of some targets from the k nearest items of each.

    Where no more than k were chosen with a target by more than l1 users, these are the weights from
    all items. Memory: 4 k^2 bytes a target, 512 MiB at most at once (or one target), and the
    choices.
    """
    from mfspark.kernels.item_weights.compiled import descend_among

    candidates, common = nearest(choices, targets, k, net.l1)
    sizes = (candidates >= 0).sum(1)
    found = np.zeros((len(targets), k), np.float32)
    for part in _parts(sizes):
        grams, offsets = _grams(choices, candidates[part], sizes[part])
        one = common[part], sizes[part]
        descend_among(grams, offsets, *one, net.l1, net.l2, net.tol, found[part])
    return SparseWeights.of_rows(candidates, found)


def nearest(choices: Choices, targets: Array, k: int, least: float) -> tuple[Array, Array]:
    """Return the k items nearest to each target by cosine, of those chosen together often enough.

    That is by more users than `least`. Returns candidates int32 (targets, k), ascending, -1 where
    there are fewer, and float32 (targets, k), how many users chose both. Of equally near items the
    lower index comes first.
    """
    from mfspark.kernels.item_weights.compiled import count_common

    n_items = len(choices.item_starts) - 1
    candidates = np.full((len(targets), k), -1, np.int32)
    common = np.zeros((len(targets), k), np.float32)
    counts, found = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    norms = np.sqrt(np.diff(choices.item_starts))
    for t, own in enumerate(targets):
        n = count_common(own, *choices.arrays, counts, found)
        some = found[:n]
        near = np.sort(some[(counts[some] > least) & (some != own)])
        if len(near) > k:
            cosine = counts[near] / norms[near]
            bar = np.partition(cosine, len(near) - k)[len(near) - k]
            above, tied = np.flatnonzero(cosine > bar), np.flatnonzero(cosine == bar)
            near = near[np.sort(np.concatenate([above, tied[: k - len(above)]]))]
        candidates[t, : len(near)], common[t, : len(near)] = near, counts[near]
        counts[some] = 0.0
    return candidates, common


def _parts(sizes: Array) -> Iterator[slice]:
    """Yield the targets, so many at a time that their Gramians fit."""
    ends, start = np.cumsum(sizes**2), 0
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _GRAMS, side="right")))
        yield slice(start, end)
        start = end


def _grams(choices: Choices, candidates: Array, sizes: Array) -> tuple[Array, Array]:
    """Return the Gramians (m, m) of each target's candidates, one after the other, and where."""
    from mfspark.kernels.item_weights.compiled import gather_grams

    offsets = np.concatenate([[0], np.cumsum(sizes**2)])
    grams = np.empty(offsets[-1], np.float32)
    target, place = np.nonzero(candidates >= 0)
    item = candidates[target, place]
    order = np.argsort(item, kind="stable")
    items, first = np.unique(item[order], return_index=True)
    starts = np.concatenate([first, [len(item)]])
    where = target[order], place[order]
    gather_grams(items, starts, *where, candidates, offsets, *choices.arrays, grams)
    return grams, offsets
