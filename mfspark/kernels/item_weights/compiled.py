"""Loops over single numbers, compiled by numba; imported only where they are called.

Machine code is cached beside this file or in NUMBA_CACHE_DIR; where neither can be written, it is
compiled anew in every process, which takes some seconds. Sums run in the order of the loops, and
no operations are fused or reordered: every machine gets the same bits.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from mfspark.kernels.arrays.tile import Array

F = TypeVar("F", bound=Callable[..., Any])
_FEW = 512  # items that there is room for at first
_SHARE = 0.25  # of the largest gain: who would gain so much comes in
_CROWDED = 0.75  # of the active items: if fewer have a weight, those without are put out
_SOME = 4  # rounds inside before all are looked at again
_ROUNDS = 1000
_PRECISION = 1e-6  # what float32 sums can be relied on for, of the largest number
_SIDE_BY_SIDE = 8  # targets that share the rows of the gram that are read
_TILE = 1024  # of a row, so that what is updated by it stays in the L1 cache: 32 KiB


def _compiled(function: F) -> F:
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place for a cache
        return cast("F", njit(nogil=True)(function))


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
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


@_compiled
def descend(
    gram: Array, common: Array, own: Array, room: Array, l1: float, l2: float, tol: float
) -> tuple[Array, Array]:
    """Minimise w'Gw / 2 - w'g + l2 w'w / 2 + l1 sum w over w >= 0, for several g.

    gram float32 (m, m): G, symmetric and nonnegative; common float32 (targets, m): g of each; own
    int (targets): the item that is the target itself, whose weight stays 0; -1 where it is none of
    the m; room float32 (targets, r, r): what grams of active items are held in, whatever is in it.
    Returns w float32 (targets, m), and room, which may have grown: fresh memory is what costs most.

    Coordinate descent on an active set. The residual g - G w is the gradient: an item outside may
    come in where it is above l1. Of those the ones that would gain most come in, some steps are
    taken inside, and all are looked at again; when nobody comes in, what is inside is solved. It
    ends when then nobody outside is above l1, to within tol times the largest g of the target, and
    no step inside is longer. Targets are solved by themselves, but side by side: a row of G that is
    read serves all of them.
    """
    n_targets, m = common.shape
    diagonal = np.empty(m, np.float32)
    for i in range(m):
        diagonal[i] = gram[i, i]
    residual, w = common.copy(), np.zeros((n_targets, m), np.float32)
    steps, inside = np.zeros((n_targets, m), np.float32), np.zeros((n_targets, m), np.bool_)
    active, n = np.empty((n_targets, m), np.int32), np.zeros(n_targets, np.int64)
    nets, busy = np.empty((n_targets, 3), np.float32), np.ones(n_targets, np.bool_)
    for t in range(n_targets):
        if own[t] >= 0:
            inside[t, own[t]] = True  # never comes in
        largest = np.float32(0.0)
        for i in range(m):
            if i != own[t]:
                largest = max(largest, residual[t, i])
        nets[t, 0], nets[t, 1], nets[t, 2] = l1, l2, max(tol, _PRECISION) * largest
        busy[t] = largest > l1
    for _ in range(_ROUNDS):
        if not busy.any():
            break
        for t in range(n_targets):
            if not busy[t]:
                continue
            before = _put_out(residual[t], w[t], inside[t], active[t], n[t], room[t], nets[t, 0])
            n[t] = _let_in(diagonal, residual[t], inside[t], active[t], before, nets[t])
            if n[t] > room.shape[1]:
                size = 2 * n[t]
                wider = np.empty((len(room), size, size), np.float32)
                wider[:, : room.shape[1], : room.shape[1]] = room
                room = wider
            for a in range(n[t]):
                row = gram[active[t, a]]
                for b in range(0 if a >= before else before, n[t]):
                    room[t, a, b] = row[active[t, b]]
                steps[t, active[t, a]] = w[t, active[t, a]]
            came = n[t] > before
            rounds = _SOME if came else _ROUNDS
            turns = _descend_inside(residual[t], w[t], active[t], n[t], room[t], nets[t], rounds)
            for a in range(n[t]):
                i = active[t, a]
                steps[t, i] = w[t, i] - steps[t, i]
            busy[t] = came or turns > 1
        for start in range(0, m, _TILE):
            for i in range(m):
                row = gram[i, start : start + _TILE]
                for t in range(n_targets):
                    step = steps[t, i]
                    if step != 0.0:
                        mine = residual[t, start : start + _TILE]
                        for k in range(len(row)):
                            mine[k] -= step * row[k]
        steps[:] = 0.0
    return w, room


@_compiled
def descend_each(gram: Array, own: Array, l1: float, l2: float, tol: float, out: Array) -> None:
    """Put the weights of some targets into out float32 (targets, m), with one gram (m, m).

    own int (targets): the target's own row of the gram, which is also its g.
    """
    size = min(len(gram), _FEW)
    room = np.empty((_SIDE_BY_SIDE, size, size), np.float32)
    for t in range(0, len(own), _SIDE_BY_SIDE):
        some = own[t : t + _SIDE_BY_SIDE]
        found, room = descend(gram, gram[some], some, room, l1, l2, tol)
        out[t : t + _SIDE_BY_SIDE] = found


@_compiled
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


@_compiled
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


@_compiled
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
    none, k = np.full(1, -1), common.shape[1]
    room = np.empty((1, k, k), np.float32)
    for t in range(len(sizes)):
        m = sizes[t]
        gram = grams[offsets[t] : offsets[t] + m * m].reshape(m, m)
        found, room = descend(gram, common[t : t + 1, :m], none, room, l1, l2, tol)
        out[t, :m] = found[0]
