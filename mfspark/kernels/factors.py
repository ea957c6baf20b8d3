"""Scores of factor models: s(u, i) = mu + b_u + b_i + x_u . y_i.

A factor block holds factors float32 (rows, k), bias float32 (rows) and n int64 (rows), the number
of ratings each row was fitted on. Rank 0 makes it a model of biases alone.
"""

from __future__ import annotations

import numpy as np

from mfspark.kernels.max_product import Points, largest_products
from mfspark.kernels.tile import Array, Arrays, Tile
from mfspark.kernels.top_n import RankedLists


def scores_of_pairs(mean: float, users: Arrays, items: Arrays, pairs: Tile) -> Array:
    """Return the score of each pair of a tile, float64 (n); NaN where a side was never fitted."""
    rows, columns = pairs.rows, pairs.indices
    dot = np.einsum("nk,nk->n", users["factors"][rows], items["factors"][columns], dtype=np.float64)
    score = mean + users["bias"][rows].astype(np.float64) + items["bias"][columns] + dot
    score[(users["n"][rows] == 0) | (items["n"][columns] == 0)] = np.nan
    return score


def bias_scores(mean: float, users: Arrays, items: Arrays, pairs: Tile) -> Array:
    """Return mu + b_u + b_i of each pair of a tile, float64 (n); never NaN."""
    user_bias = users["bias"][pairs.rows].astype(np.float64)
    return mean + user_bias + items["bias"][pairs.indices]


def best_items(
    mean: float,
    users: Arrays,
    items: Arrays,
    seen: Tile,
    indices: Array,
    lists: RankedLists,
) -> RankedLists:
    """Return the n best unseen items for each user of a block: of these and of the lists so far.

    indices (items): their global indices, in any order. Only items with ratings are taken, and
    users without any get empty lists: the model knows nothing of them.
    """
    offsets = mean + users["bias"].astype(np.float64)
    return largest_products(
        Points(users["factors"], offsets, users["n"] > 0),
        Points(items["factors"], items["bias"], items["n"] > 0),
        seen,
        indices,
        lists,
    )


def most_similar(
    rows: Arrays, own: Array, items: Arrays, indices: Array, lists: RankedLists
) -> RankedLists:
    """Return the n rows nearest to each row by cosine: of these items and of the lists so far.

    cos(i, j) = y_i . y_j / (|y_i| |y_j|). own (rows) and indices (items) are global indices; a row
    is not in its own list. Rows without ratings, or without a direction, take no part.
    """
    position = np.full(max(own.max(initial=0), indices.max(initial=0)) + 1, -1)
    position[indices] = np.arange(len(indices))
    here = np.flatnonzero(position[own] >= 0)
    itself = Tile.from_triples(
        here, position[own[here]], np.ones(len(here)), len(own), len(indices)
    )
    return largest_products(_directions(rows), _directions(items), itself, indices, lists)


def _directions(arrays: Arrays) -> Points:
    """Return rows of length 1; each depends on its own numbers alone."""
    factors = arrays["factors"].astype(np.float64)
    norms = Points(factors, arrays["bias"], arrays["n"]).norms
    with np.errstate(invalid="ignore", divide="ignore"):
        units = (factors / norms[:, None]).astype(np.float32)
    zeros = np.zeros(len(norms), np.float32)
    return Points(units, zeros, (arrays["n"] > 0) & (norms > 0))
