"""Lists made more varied: chosen one entry after the other from a longer list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.arrays.top_n import NOBODY, RankedLists

_ROWS = 1024  # lists that are chosen at once


@dataclass(frozen=True)
class Variety:
    """How varied lists are to be."""

    share: float = 0.0
    """How much being unlike what was chosen before counts, 0 to 1, against the model's score."""
    max_per_genre: int = 0
    """Items of one genre that a list may hold; 0: any number."""


def chosen_places(
    lists: RankedLists, n: int, variety: Variety, vectors: Array, genres: Array
) -> Array:
    """Return n places of each list in the order in which their items are chosen, int64 (rows, n).

    Maximal marginal relevance (Carbonell & Goldstein 1998): each step takes the item with the most
    (1 - share) relevance - share * (largest cosine with an item chosen before), the first of
    equals. Relevance is the score, brought to 0..1 over the list's candidates; where all are equal
    it is 1. An item of a genre that has max_per_genre items already is taken only where no other is
    left, so that lists stay as long as they can be. NOBODY where the list ends.

    vectors float32 (items, d) of length 1, or zeros; genres bool (items, G). Both may have no
    columns.

    >>> lists = RankedLists(np.array([[0, 1, 2]], np.int32), np.array([[3.0, 2.9, 1.0]]))
    >>> vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> chosen_places(lists, 2, Variety(share=0.6), vectors, np.zeros((3, 0), bool)).tolist()
    [[0, 2]]
    """
    rows = [
        _chosen(lists.take(slice(at, at + _ROWS)), n, variety, vectors, genres)
        for at in range(0, len(lists.indices), _ROWS)
    ]
    return np.concatenate(rows) if rows else np.empty((0, n), np.int64)


def _chosen(lists: RankedLists, n: int, variety: Variety, vectors: Array, genres: Array) -> Array:
    indices, m = lists.indices, lists.indices.shape[1]
    left = indices != NOBODY
    relevance = (1.0 - variety.share) * _relevance(lists.scores, left)
    candidates, kinds = vectors[indices], genres[indices]  # (rows, m, d), (rows, m, G)
    nearest = np.zeros(indices.shape)  # before the first is chosen, nothing is like anything
    counts = np.zeros((len(indices), genres.shape[1]), np.int64)
    found = np.full((len(indices), n), NOBODY, np.int64)
    each = np.arange(len(indices))
    for step in range(min(n, m)):
        gain = relevance - variety.share * nearest
        if variety.max_per_genre:
            full = counts >= variety.max_per_genre
            over = (kinds & full[:, None, :]).any(2)
            gain = np.where(over, gain - 4.0, gain)  # gains lie in [-1, 1]
        place = np.where(left, gain, -np.inf).argmax(1)
        there = left[each, place]
        found[there, step] = place[there]
        left[each, place] = False
        cosine = np.einsum("rmd,rd->rm", candidates, candidates[each, place])
        nearest = cosine if step == 0 else np.maximum(nearest, cosine)
        counts += kinds[each, place] & there[:, None]
    return found


def _relevance(scores: Array, there: Array) -> Array:
    """Return scores brought to 0..1 in each row; 1 where all are equal."""
    high = np.where(there, scores, -np.inf).max(1, keepdims=True, initial=-np.inf)
    low = np.where(there, scores, np.inf).min(1, keepdims=True, initial=np.inf)
    span = high - low
    some = there & (span > 0)
    return np.divide(scores - low, span, where=some, out=there.astype(np.float64))
