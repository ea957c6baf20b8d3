"""What lists hold: hits, and how new and how varied they are, one by one."""

from __future__ import annotations

import numpy as np

from mfspark.kernels.arrays.tile import Array, Tile
from mfspark.kernels.arrays.top_n import NOBODY


def self_information(n: Array, n_users: int) -> Array:
    """Return -log2(n_i / n_users) of items with n_i ratings (items), in bits, float64.

    Of a random user's rating the item is one with that probability (Vargas & Castells 2011: the
    item's popularity complement, as information). An item without ratings counts as with one.

    >>> self_information(np.array([8, 2, 0]), 8).tolist()
    [0.0, 2.0, 3.0]
    """
    return np.log2(max(1, n_users) / np.maximum(n, 1))


def novelty(lists: Array, information: Array) -> Array:
    """Return the mean self-information of each list's items, float64 (rows); NaN of empty lists.

    lists int32 (rows, k), NOBODY where there is no entry; information float64 (items).
    """
    there = np.asarray(lists != NOBODY)
    return _quotient((information[lists] * there).sum(1), there.sum(1))


def diversity(lists: Array, vectors: Array) -> Array:
    """Return the mean of 1 - cosine over all pairs of each list's items, float64 (rows).

    Intra-list diversity (Ziegler et al. 2005). lists int32 (rows, k); vectors float32 (items, d) of
    length 1, or zeros of items of which nothing is known: they are in no pair. NaN where a list has
    no pair. With the sum S of m unit vectors the mean cosine is (|S|^2 - m) / (m (m - 1)).
    """
    known = np.asarray(lists != NOBODY) & np.asarray(vectors.any(1))[lists]
    m = known.sum(1)
    total = np.zeros((len(lists), vectors.shape[1]))
    for place in range(lists.shape[1]):
        total += vectors[lists[:, place]] * known[:, place, None]
    cosines = np.einsum("rd,rd->r", total, total) - m
    return 1.0 - _quotient(cosines, m * (m - 1))


def hits(lists: Array, relevant: Tile) -> Array:
    """Return which entries of lists are relevant, bool (rows, k).

    lists int32 (rows, k), NOBODY where there is no entry; relevant: a tile of the same rows whose
    columns are items by their global index; its values do not count.

    >>> relevant = Tile.from_triples([0, 1], [2, 0], [5, 5], n_rows=2, n_columns=3)
    >>> hits(np.array([[1, 2], [2, NOBODY]]), relevant).tolist()
    [[False, True], [False, False]]
    """
    if not relevant.n_ratings:
        return np.zeros(lists.shape, bool)
    width = np.int64(relevant.n_columns)
    wanted = relevant.rows * width + relevant.indices  # ascends, as a tile's ratings do
    cells = np.arange(len(lists))[:, None] * width + lists
    place = np.minimum(np.searchsorted(wanted, cells), len(wanted) - 1)
    return (wanted[place] == cells) & (lists != NOBODY)


def _quotient(total: Array, n: Array) -> Array:
    return np.divide(total, n, where=n > 0, out=np.full(len(n), np.nan))
