"""Scores of factor models: s(u, i) = mu + b_u + b_i + x_u . y_i.

A factor block holds factors float32 (rows, k), bias float32 (rows) and n int64 (rows), the number
of ratings each row was fitted on. Rank 0 makes it a model of biases alone.
"""

from __future__ import annotations

import numpy as np
import torch

from mfspark.kernels.tile import Array, Arrays, Tile
from mfspark.kernels.top_n import RankedLists, mask_seen, top_columns

_CHUNK_CELLS = 1 << 24  # scores held at once: 64 MiB of float32


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
    mean: float, users: Arrays, items: Arrays, seen: Tile, n: int, item_indices: Array
) -> RankedLists:
    """Return the n best unseen items of one block for each user of a block.

    Only items with ratings are taken, and users without any get empty lists: the model knows
    nothing of them.
    """
    n_users, n_items = len(users["bias"]), len(items["bias"])
    Y, item_bias = torch.from_numpy(items["factors"]), torch.from_numpy(items["bias"])
    chunk = max(1, _CHUNK_CELLS // max(1, n_items))
    lists = [RankedLists.empty(0, n)]
    for start in range(0, n_users, chunk):
        rows = np.arange(start, min(start + chunk, n_users))
        X = torch.from_numpy(users["factors"][rows])
        scores = torch.addmm(item_bias, X, Y.T).numpy()
        scores += (mean + users["bias"][rows])[:, None].astype(np.float32)
        scores[:, items["n"] == 0] = -np.inf
        scores[users["n"][rows] == 0] = -np.inf
        mask_seen(scores, seen.take(rows))
        lists.append(top_columns(scores, n, item_indices))
    return RankedLists(
        np.concatenate([part.indices for part in lists]),
        np.concatenate([part.scores for part in lists]),
    )
