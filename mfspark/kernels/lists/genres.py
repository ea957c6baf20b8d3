"""Genres of items as a matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mfspark.kernels.arrays.tile import Array

MOST_GENRES = 1024
"""Genres that are told apart, the commonest first; data that have more hold tags."""


def genre_rows(genres: Sequence[Sequence[str] | None]) -> Array:
    """Return which genres each item has, bool (items, G), the commonest first.

    >>> genre_rows([["Drama", "Crime"], None, ["Drama", "Drama"]]).astype(int).tolist()
    [[1, 1], [0, 0], [1, 0]]
    """
    named = [set(names) if names is not None else set[str]() for names in genres]
    counts = Counter(name for names in named for name in names)
    common = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_GENRES]
    column = {name: g for g, name in enumerate(common)}
    rows = np.zeros((len(named), len(column)), bool)
    for item, names in enumerate(named):
        rows[item, [column[name] for name in names if name in column]] = True
    return rows


def unit_rows(rows: Array) -> Array:
    """Return rows (n, d) at length 1, float32; those of zeros stay zeros."""
    length = np.linalg.norm(rows.astype(np.float32), axis=1, keepdims=True)
    return np.divide(rows, length, where=length > 0, out=np.zeros(rows.shape, np.float32))
