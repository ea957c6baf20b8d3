"""Coordinate descent and counts of common users, compiled (kernels.compiling)."""

import numpy as np

from mfspark.kernels.arrays.tile import Array
from mfspark.kernels.compiling import compiled

_FEW = 512  # items that there is room for at first
_SHARE = 0.25  # of the largest gain: who would gain so much comes in
_CROWDED = 0.75  # of the active items: if fewer have a weight, those without are put out
_SOME = 4  # rounds inside before all are looked at again
_ROUNDS = 1000
_PRECISION = 1e-6  # what float32 sums can be relied on for, of the largest number


@compiled
def add_products(
    row_starts: Array, row_users: Array, user_starts: Array, user_items: Array, out: Array
) -> None:
    """Add to out[a, c] how many of the users of row a chose item c, for all a and c.

    row_starts (rows + 1) and row_users (n): who chose each row, user_starts and user_items: what
    each user chose, both compressed rows; out float32 (rows, items), in place.
    """
    for a in range(len(row_starts) - 1):
        row = out[a]
        for e in range(row_starts[a], row_starts[a + 1]):
            u = row_users[e]
            for f in range(user_starts[u], user_starts[u + 1]):
                row[user_items[f]] += np.float32(1.0)


@compiled
def _put_out(
    residual: Array, w: Array, inside: Array, active: Array, n: int, sub: Array, l1: float
) -> int:
    """Put items without a weight out of an active set of n, if many; return how many are left.

    sub float32: the gram of the active items, which is kept with them.
    """
    live = np.empty(n, np.int64)
    kept = 0
    for a in range(n):
        if w[active[a]] > 0.0 or residual[active[a]] > l1:
            live[kept] = a
            kept += 1
    if kept > _CROWDED * n:
        return n
    for a in range(n):
        inside[active[a]] = False
    for k in range(kept):  # in place: what is read lies at or behind what is written
        row = sub[live[k]]
        for j in range(kept):
            sub[k, j] = row[live[j]]
        active[k] = active[live[k]]
        inside[active[k]] = True
    return kept


@compiled
def _let_in(
    diagonal: Array, residual: Array, inside: Array, active: Array, n: int, net: Array
) -> int:
    """Let in those that would gain most; return how many are in the active set."""
    l1, l2, limit = net[0], net[1], net[2]
    best = np.float32(0.0)
    for i in range(len(residual)):
        gain = residual[i] - l1
        if gain > limit and not inside[i]:
            best = max(best, gain * gain / (diagonal[i] + l2))
    if best == 0.0:
        return n
    for i in range(len(residual)):
        gain = residual[i] - l1
        if gain > limit and not inside[i] and gain * gain >= _SHARE * best * (diagonal[i] + l2):
            inside[i] = True
            active[n] = i
            n += 1
    return n


@compiled
def _descend_inside(
    residual: Array, w: Array, active: Array, n: int, sub: Array, net: Array, rounds: int
) -> int:
    """Take steps in the active items until none is long; w in place. Returns the rounds it took."""
    l1, l2, limit = net[0], net[1], net[2]
    left = np.empty(n, np.float32)
    for a in range(n):
        left[a] = residual[active[a]]
    for turn in range(1, rounds + 1):
        longest = np.float32(0.0)
        for a in range(n):
            i, row = active[a], sub[a]
            curvature = row[a] + l2
            new = max(np.float32(0.0), w[i] + (left[a] - l2 * w[i] - l1) / curvature)
            step = new - w[i]
            if step != 0.0:
                w[i] = new
                for b in range(n):
                    left[b] -= step * row[b]
                longest = max(longest, abs(step) * curvature)
        if longest <= limit:
            return turn
    return rounds


@compiled
def descend(
    gram: Array,
    diagonal: Array,
    common: Array,
    own: int,
    room: Array,
    net: tuple[float, float, float],
) -> tuple[Array, Array]:
    """Minimise w'Gw / 2 - w'g + l2 w'w / 2 + l1 sum w over w >= 0.

    gram float32 (m, m): G, symmetric and nonnegative, and its diagonal (m); common float32 (m): g;
    own: the item that is the target itself, whose weight stays 0; -1 where it is none of the m;
    room float32 (r, r): what the gram of active items is held in, whatever is in it; net: l1, l2
    and tol. Returns w float32 (m), and room, which may have grown: fresh memory costs most.

    Coordinate descent on an active set. The residual g - G w is the gradient: an item outside may
    come in where it is above l1. Of those the ones that would gain most come in, some steps are
    taken inside, and all are looked at again; when nobody comes in, what is inside is solved. It
    ends when then nobody outside is above l1, to within tol times the largest g of the target, and
    no step inside is longer.
    """
    m = len(common)
    residual, w = common.copy(), np.zeros(m, np.float32)
    inside, active, n = np.zeros(m, np.bool_), np.empty(m, np.int32), 0
    largest = np.float32(0.0)
    for i in range(m):
        if i != own:
            largest = max(largest, residual[i])
    if own >= 0:
        inside[own] = True  # never comes in
    limits = np.empty(3, np.float32)
    limits[0], limits[1], limits[2] = net[0], net[1], max(net[2], _PRECISION) * largest
    for _ in range(_ROUNDS if largest > net[0] else 0):
        kept = _put_out(residual, w, inside, active, n, room, limits[0])
        n = _let_in(diagonal, residual, inside, active, kept, limits)
        if n > len(room):
            wider = np.empty((2 * n, 2 * n), np.float32)
            wider[:kept, :kept] = room[:kept, :kept]
            room = wider
        steps = np.empty(n, np.float32)
        for a in range(n):
            steps[a] = w[active[a]]
            row = gram[active[a]]
            for b in range(0 if a >= kept else kept, n):
                room[a, b] = row[active[b]]
        rounds = _SOME if n > kept else _ROUNDS
        turns = _descend_inside(residual, w, active, n, room, limits, rounds)
        for a in range(n):
            step = w[active[a]] - steps[a]
            if step != 0.0:
                row = gram[active[a]]
                for i in range(m):
                    residual[i] -= step * row[i]
        if n == kept and turns == 1:
            break
    return w, room


@compiled
def descend_each(gram: Array, own: Array, l1: float, l2: float, tol: float, out: Array) -> None:
    """Put the weights of some targets into out float32 (targets, m), with one gram (m, m).

    own int (targets): the target's own row of the gram, which is also its g.
    """
    size = min(len(gram), _FEW)
    room, diagonal = np.empty((size, size), np.float32), np.diag(gram).copy()
    for t in range(len(own)):
        found = descend(gram, diagonal, gram[own[t]], own[t], room, (l1, l2, tol))
        out[t], room = found[0], found[1]


@compiled
def count_common(
    own: int,
    item_starts: Array,
    item_users: Array,
    user_starts: Array,
    user_items: Array,
    counts: Array,
    found: Array,
) -> int:
    """Count by how many users each item was chosen who also chose item `own`; return how many are.

    counts float32 (items), which must be zeros, gets the counts; found int32 (items) begins with
    those items that have any, in no order.
    """
    n = 0
    for e in range(item_starts[own], item_starts[own + 1]):
        u = item_users[e]
        for f in range(user_starts[u], user_starts[u + 1]):
            c = user_items[f]
            if counts[c] == 0:
                found[n] = c
                n += 1
            counts[c] += np.float32(1.0)
    return n


@compiled
def gather_grams(
    items: Array,
    starts: Array,
    target: Array,
    place: Array,
    candidates: Array,
    offsets: Array,
    item_starts: Array,
    item_users: Array,
    user_starts: Array,
    user_items: Array,
    grams: Array,
) -> None:
    """Put the rows of some items into the grams of all targets that have them as candidates.

    items (n): the rows. Those of items[r] go to target[s], as row place[s], for s from starts[r] to
    starts[r + 1]. candidates int32 (targets, k), -1 where there are fewer; the gram (m, m) of a
    target with m of them lies in grams float32 from offsets[target] on, which is written.
    """
    work = np.zeros(len(item_starts) - 1, np.float32)
    for r in range(len(items)):
        a = items[r]
        for e in range(item_starts[a], item_starts[a + 1]):
            u = item_users[e]
            for f in range(user_starts[u], user_starts[u + 1]):
                work[user_items[f]] += np.float32(1.0)
        for s in range(starts[r], starts[r + 1]):
            row, t = candidates[target[s]], target[s]
            m = 0
            while m < len(row) and row[m] >= 0:
                m += 1
            at = offsets[t] + place[s] * m
            for c in range(m):
                grams[at + c] = work[row[c]]
        for e in range(item_starts[a], item_starts[a + 1]):
            u = item_users[e]
            for f in range(user_starts[u], user_starts[u + 1]):
                work[user_items[f]] = 0.0


@compiled
def descend_among(
    grams: Array,
    offsets: Array,
    common: Array,
    sizes: Array,
    l1: float,
    l2: float,
    tol: float,
    out: Array,
) -> None:
    """Put the weights of some targets into out float32 (targets, k), each among its own candidates.

    grams and offsets as in `gather_grams`; common float32 (targets, k): g, of which the first
    `sizes` (targets) count.
    """
    k = common.shape[1]
    room = np.empty((k, k), np.float32)
    for t in range(len(sizes)):
        m = sizes[t]
        gram = grams[offsets[t] : offsets[t] + m * m].reshape(m, m)
        diagonal = np.diag(gram).copy()
        found, room = descend(gram, diagonal, common[t, :m], -1, room, (l1, l2, tol))
        out[t, :m] = found
