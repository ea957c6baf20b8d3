"""Scores of factor models: s(u, i) = mu + b_u + b_i + x_u . y_i.

A factor block holds factors float32 (rows, k), bias float32 (rows) and n int64 (rows), the number
of ratings each row was fitted on. Rank 0 makes it a model of biases alone.
"""

from collections.abc import Iterator

import numpy as np

from mfspark.kernels.arrays.tile import Array, Arrays, Tile
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.factorization.max_inner_product import Points, largest_products

_NOTHING = 2.0**-20
"""Of |x| |y|: a product below it is nothing but the rounding of float32 factors. Where svd has
reproduced all ratings, what it has for unrated cells was at most 1.8 * 2^-24 of that (ranks 10 to
900)."""
_PAIR_CELLS = 1 << 20  # factors of pairs held at once: 4 MiB of float32 a side


def scores_of_pairs(mean: float, users: Arrays, items: Arrays, pairs: Tile) -> Array:
    """Return the score of each pair of a tile, float64 (n); NaN where a side was never fitted."""
    rows, columns = pairs.rows, pairs.indices
    score = mean + users["bias"][rows].astype(np.float64) + items["bias"][columns]
    for part in _slices(len(rows), users["factors"].shape[1]):
        x, y = users["factors"][rows[part]], items["factors"][columns[part]]
        score[part] += np.einsum("nk,nk->n", x, y, dtype=np.float64)
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


def telling_products(lists: RankedLists, users: Arrays, item_norms: Array) -> RankedLists:
    """Return lists of x_u . y_i up to the first that is nothing but rounding: items at random.

    item_norms (items): |y_i| by global index. Where no factor is negative a product of 0 is one
    that was fitted; such a list is empty only where it has no other.
    """
    size = norms(users)[:, None] * item_norms[lists.indices]
    nothing = np.abs(lists.scores) <= _NOTHING * size
    if users["factors"].min(initial=0.0) >= 0:
        nothing &= nothing[:, :1]
    return lists.until(nothing)


def telling_scores(
    lists: RankedLists, users: Arrays, item_norms: Array, item_bias: Array
) -> RankedLists:
    """Empty the lists of users without factors, where nothing but factors tells items apart.

    All items score alike for them. item_norms and item_bias (items): |y_i| and b_i of all that may
    be listed.
    """
    if np.ptp(item_bias) > 0 or item_norms.max() == 0:
        return lists
    alike = norms(users) == 0
    return lists.until(np.broadcast_to(alike[:, None], lists.indices.shape))


def norms(arrays: Arrays) -> Array:
    """Return the lengths of the factors of a block, float64 (rows)."""
    return Points(arrays["factors"], arrays["bias"], arrays["n"]).norms


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
    lengths = Points(factors, arrays["bias"], arrays["n"]).norms
    with np.errstate(invalid="ignore", divide="ignore"):
        units = (factors / lengths[:, None]).astype(np.float32)
    zeros = np.zeros(len(lengths), np.float32)
    return Points(units, zeros, (arrays["n"] > 0) & (lengths > 0))


def deviations_of_samples(
    users: Arrays, items: Arrays, rows: Array, columns: Array, n_samples: int
) -> Array:
    """Return the standard deviation of a rating around the mean score of its pair, float64 (n).

    That of the scores of single samples, and of the user's noise. rows, columns int (n): the pairs.
    Factors are (rows, n_samples * k), scaled so that a product is a sample's part of the mean
    score; sample_bias is (rows, n_samples), noise of users (rows).
    """
    variance = np.empty(len(rows))
    for part in _slices(len(rows), users["factors"].shape[1]):
        u, i = rows[part], columns[part]
        products = (users["factors"][u] * items["factors"][i]).reshape(len(u), n_samples, -1)
        scores = n_samples * products.sum(2, dtype=np.float64)
        scores += users["sample_bias"][u] + items["sample_bias"][i]
        variance[part] = scores.var(1)
    return np.sqrt(variance + np.square(users["noise"], dtype=np.float64)[rows])


def _slices(n_pairs: int, k: int) -> Iterator[slice]:
    """Yield parts of so many pairs that their factors stay small beside the blocks."""
    step = max(1, _PAIR_CELLS // max(1, k))
    for start in range(0, n_pairs, step):
        yield slice(start, start + step)


def damped_bias(tile: Tile, mean: float, other_bias: Array, damping: float) -> Array:
    """Return b_u = sum_i (r_ui - mu - b_i) / (damping + n_u) for each row, float64 (n_rows).

    Of r(u, i) = mu + b_u + b_i (Koren 2010, "Factor in the neighbors", eq. 2). tile: the row's
    ratings; other_bias float64 (n_columns).
    """
    residual = tile.values.astype(np.float64) - mean - other_bias[tile.indices]
    total = np.bincount(tile.rows, weights=residual, minlength=tile.n_rows)
    # No rating and no damping: 0 / 0, which is to be no bias.
    return total / np.maximum(damping + tile.degrees, 1e-12)
