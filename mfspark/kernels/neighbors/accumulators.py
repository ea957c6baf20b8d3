"""Sums over neighbors, a user at a time; compiled.

    sum_y w_uy z_yi and sum_y w_uy        over the entries y of left row u, and i of right row y

One of the two holds weights, the other deviations: rows as `kernels.neighbors.knn.SparseRows` has
them. Sums run in the order of the entries of the left row. Whole rows of sums are accumulators as
wide as the items, with a list of those that were touched; where only some items of a user are
wanted, each of those has a slot.

    rule     summed, damping, min_k: see `kernels.neighbors.aggregation.Aggregation`
    levels   of users and of items, what becomes of q: level_u + level_i + spread_u spread_i q
"""

import numpy as np

from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.compiling import compiled

Rows = tuple[Array, Array, Array, Array]
Rule = tuple[bool, float, int]
Levels = tuple[Array, Array, Array, Array]


@compiled
def _score(total: float, weight: float, user: int, item: int, rule: Rule, levels: Levels) -> float:
    """Return what the sums of a cell make."""
    summed, damping, _ = rule
    if summed:
        return total
    user_level, user_spread, item_level, item_spread = levels
    spread = user_spread[user] * item_spread[item]
    return (user_level[user] + item_level[item]) + spread * (total / (weight + damping))


@compiled
def _insert(listed: Array, scores: Array, length: int, entry: int, score: float) -> int:
    """Insert an entry into a list that falls, unless it is full of better ones.

    Of equal scores the lower entry comes first. Returns how long the list is then.
    """
    at = length
    while at > 0 and (
        score > scores[at - 1] or (score == scores[at - 1] and entry < listed[at - 1])
    ):
        at -= 1
        if at + 1 < len(scores):
            listed[at + 1], scores[at + 1] = listed[at], scores[at]
    if at == len(scores):
        return length
    listed[at], scores[at] = entry, score
    return min(length + 1, len(scores))


@compiled
def place_ratings(
    tile: tuple[Array, Array, Array],
    block: int,
    n_blocks: int,
    rows: Array,
    wanted: Array,
    least: np.float32,
    centers: tuple[Array, Array, Array],
    out: tuple[Array, Array, Array],
) -> None:
    """Put the ratings of a tile, from `least` on, behind those that its rows have; `out` in place.

    tile: indptr, indices, values; block: which of n_blocks column blocks it is of; rows int64: the
    global index of each of its rows; wanted bool (all rows); centers: level and spread (all rows),
    column_level; out: ends (all rows), columns, values. Ends move on, columns are global, and
    values are deviations as those of `kernels.neighbors.aggregation.Centering`.
    """
    indptr, indices, ratings = tile
    level, spread, column_level = centers
    ends, columns, values = out
    for k in range(len(rows)):
        row = rows[k]
        if not wanted[row]:
            continue
        at, row_level, row_spread = ends[row], level[row], spread[row]
        for e in range(indptr[k], indptr[k + 1]):
            if ratings[e] >= least:
                column = indices[e] * n_blocks + block
                center = row_level + column_level[column]
                columns[at], values[at] = column, (np.float64(ratings[e]) - center) / row_spread
                at += 1
        ends[row] = at


@compiled
def rank(
    left: Rows,
    right: Rows,
    weights_left: bool,
    rule: Rule,
    levels: Levels,
    seen: tuple[Array, Array],
    eligible: Array,
    found: tuple[Array, Array],
) -> None:
    """Put the best items of each user into lists: higher score first, then lower index.

    seen: indptr and indices of the items that are left out; eligible bool (items); found: indices
    and scores (users, n) of empty lists, in place.
    """
    n_items, min_k = len(eligible), rule[2]
    sums, counts = np.zeros((n_items, 2)), np.zeros(n_items, np.int32)
    touched = np.empty(n_items + 1, np.uint32)
    for user in range(len(found[0])):
        n = _add_up(user, left, right, weights_left, min_k > 1, sums, counts, touched)
        for e in range(seen[0][user], seen[0][user + 1]):
            if sums[seen[1][e], 1] > 0.0:
                sums[seen[1][e], 0] = np.nan  # is no score that passes the bar
        listed, scores, length = found[0][user], found[1][user], 0
        bar = -np.inf
        for t in range(n):
            i = touched[t]
            score = _score(sums[i, 0], sums[i, 1], user, i, rule, levels)
            if score >= bar and eligible[i] and (min_k == 1 or counts[i] >= min_k):
                length = _insert(listed, scores, length, i, score)
                if length == len(scores):
                    bar = scores[length - 1]
            sums[i, 0], sums[i, 1], counts[i] = 0.0, 0.0, 0


@compiled
def _add_up(
    user: int,
    left: Rows,
    right: Rows,
    weights_left: bool,
    counting: bool,
    sums: Array,
    counts: Array,
    touched: Array,
) -> int:
    """Add up all cells of a user; return how many `touched` begins with.

    sums float64 (items, 2): sum w z and sum w; counts int32 (items), if they are asked for; both
    are 0 before.
    """
    starts, ends, neighbors, factors = left
    right_starts, right_ends, items, right_factors = right
    n = np.uint64(0)
    for e in range(starts[user], ends[user]):
        y, x = neighbors[e], factors[e]
        # Unsigned numbers spare the question whether an index counts from the end.
        for f in range(np.uint64(right_starts[y]), np.uint64(right_ends[y])):
            i, z = np.uint32(items[f]), right_factors[f]
            touched[n] = i  # written over by the next one if it is not new: no branch
            n += np.uint64(sums[i, 1] == 0.0)
            sums[i, 0] += x * z
            sums[i, 1] += x if weights_left else z
            if counting:
                counts[i] += 1
    return int(n)


@compiled
def score_pairs(
    left: Rows,
    right: Rows,
    weights_left: bool,
    rule: Rule,
    levels: Levels,
    wanted: tuple[Array, Array],
    found: Array,
) -> None:
    """Put the scores of some items of each user into `found` (n); NaN: too few neighbors count.

    wanted: indptr and indices (n) of the items.
    """
    starts, ends, neighbors, factors = left
    right_starts, right_ends, items, right_factors = right
    n_items, min_k = len(levels[2]), rule[2]
    slots = np.full(n_items, -1, np.int32)
    sums, counts = np.empty((n_items, 2)), np.empty(n_items, np.int32)
    for user in range(len(starts)):
        some = wanted[1][wanted[0][user] : wanted[0][user + 1]]
        if len(some) == 0:
            continue
        for s in range(len(some)):
            slots[some[s]] = s
            sums[s, 0], sums[s, 1], counts[s] = 0.0, 0.0, 0
        for e in range(starts[user], ends[user]):
            y, x = neighbors[e], factors[e]
            for f in range(np.uint64(right_starts[y]), np.uint64(right_ends[y])):
                s = slots[np.uint32(items[f])]
                if s >= 0:
                    sums[s, 0] += x * right_factors[f]
                    sums[s, 1] += x if weights_left else right_factors[f]
                    counts[s] += 1
        scores = found[wanted[0][user] : wanted[0][user + 1]]
        for p in range(len(some)):
            s = slots[some[p]]
            scores[p] = np.nan
            if counts[s] >= min_k:
                scores[p] = _score(sums[s, 0], sums[s, 1], user, some[p], rule, levels)
        slots[some] = -1


@compiled
def name_neighbors(
    near: tuple[Array, Array],
    ratings: Rows,
    summed: bool,
    n_items: int,
    lists: Array,
    reasons: Array,
) -> None:
    """Name the neighbors of each user with most part in each entry of lists; `reasons` in place.

    near: neighbors and weights (users, k), nearest first: of equal parts the nearest comes first;
    ratings: of all users; lists int32 (users, n); reasons int32 (users, n, m), full of NOBODY.
    """
    starts, ends, items, values = ratings
    n_users, n_entries, _ = reasons.shape
    slots = np.full(n_items, -1, np.int32)
    lengths: Array = np.zeros(n_entries, np.int64)
    parts: Array = np.empty(reasons.shape[1:])
    for user in range(n_users):
        for s in range(n_entries):
            if lists[user, s] >= 0:
                slots[lists[user, s]], lengths[s] = s, 0
        for a in range(near[0].shape[1]):
            y, weight = near[0][user, a], near[1][user, a]
            if weight > 0.0:
                for f in range(np.uint64(starts[y]), np.uint64(ends[y])):
                    s = slots[np.uint32(items[f])]
                    if s >= 0:
                        part = weight * values[f] if summed else weight
                        lengths[s] = _insert(reasons[user, s], parts[s], int(lengths[s]), a, part)
        for s in range(n_entries):
            if lists[user, s] >= 0:
                slots[lists[user, s]] = -1
                for r in range(lengths[s]):
                    reasons[user, s, r] = near[0][user, reasons[user, s, r]]


@compiled
def name_rated(
    near: tuple[Array, Array], ratings: Rows, summed: bool, lists: Array, reasons: Array
) -> None:
    """Name the rated items with most part in each entry of lists; `reasons` in place.

    near: neighbors and weights of all items (items, k), nearest first; ratings: of the users;
    lists and reasons as above.
    """
    starts, ends, items, values = ratings
    n_users, n_entries, m = reasons.shape
    place, parts = np.full(len(near[0]), -1, np.int64), np.empty(m)
    for user in range(n_users):
        for f in range(starts[user], ends[user]):
            place[items[f]] = f
        for s in range(n_entries):
            i, length = lists[user, s], 0
            if i >= 0:
                for a in range(near[0].shape[1]):
                    y, weight = near[0][i, a], near[1][i, a]
                    if weight > 0.0 and place[y] >= 0:
                        part = weight * values[place[y]] if summed else weight
                        length = _insert(reasons[user, s], parts, length, a, part)
                for r in range(length):
                    reasons[user, s, r] = near[0][i, reasons[user, s, r]]
        for f in range(starts[user], ends[user]):
            place[items[f]] = -1
