"""The scale that columns of numbers share, and the codes among them that are no ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfspark.ingest.readers.shapes.cells import Cells

FEWEST_ROWS = 6  # below, what columns have in common may be chance
_MANY = 50  # values; among fewer, one is a good part
_CODE_SHARE = 0.01  # of the cells: what is rarer is a slip of the pen


@dataclass(frozen=True)
class Scale:
    """The scale that columns of numbers share, and which of them lie on it."""

    low: float
    high: float
    inside: tuple[int, ...]
    share: float
    """Of the inside columns with several values, how many reach over a tenth of the scale."""


def not_rated_codes(columns: Sequence[Cells], numeric: Sequence[int]) -> tuple[float, ...]:
    """Return the number, if any, that stands in many columns and apart from all other numbers.

    It is further from the next number than all others lie from one another (99 beside -10 to 10).
    """
    ends = [end for i in numeric if len(v := columns[i].values) for end in {v.min(), v.max()}]
    for code in sorted(set(ends), key=lambda end: -ends.count(end))[:2]:
        those = [columns[i].values for i in numeric if code in columns[i].values]
        pooled = np.concatenate(those)
        others = pooled[pooled != code]
        if 2 * len(those) < len(numeric) or len(set(others)) < 3 or len(those) < 2:
            continue
        gap = np.abs(others - code).min()
        if gap > np.ptp(others) and (pooled == code).mean() >= _CODE_SHARE:
            return (float(code),)
    return ()


def shared_scale(
    columns: Sequence[Cells], numeric: Sequence[int], codes: tuple[float, ...]
) -> Scale | None:
    """Find the scale that the columns of numbers share, from the half in their middle.

    A column whose median lies further outside than the scale is long is not on it: ages, totals,
    telephone numbers. Returns None where there is no number.
    """
    values = {i: columns[i].values[~np.isin(columns[i].values, codes)] for i in numeric}
    medians = {i: float(np.median(v)) for i, v in values.items() if len(v)}
    if not medians:
        return None
    middle = float(np.median(list(medians.values())))
    nearest = sorted(medians, key=lambda i: (abs(medians[i] - middle), i))
    pooled = np.concatenate([values[i] for i in nearest[: (len(nearest) + 1) // 2]])
    rare = 0.02 if len(pooled) > _MANY else 0.0  # slips of the pen do not widen the scale
    low, high = (float(x) for x in np.quantile(pooled, [rare, 1 - rare]))
    room = max(high - low, _room(len(pooled)))
    inside = [i for i in numeric if i not in medians or low - room <= medians[i] <= high + room]
    dense = [values[i] for i in inside if i in values and len(values[i]) >= FEWEST_ROWS]
    dense = [v for v in dense if np.ptp(v)]  # what is constant shows nothing
    reach = [min(float(v.max()), high) - max(float(v.min()), low) for v in dense]
    share = sum(r >= (high - low) / 10 for r in reach) / len(dense) if dense else 1.0
    return Scale(low, high, tuple(inside), share)


def on_one_scale(one: Cells, other: Cells) -> bool:
    """Return whether two columns of numbers reach about equally far."""
    if not (one.mostly_numbers and other.mostly_numbers and len(one.values) and len(other.values)):
        return False
    spans = [float(np.ptp(cells.values)) for cells in (one, other)]
    few = min(len(one.values), len(other.values)) < FEWEST_ROWS
    reach = float(np.ptp(np.concatenate([one.values, other.values])))
    return reach <= max(2 * min(spans) + 1, _room(0) if few else 0)


def _room(n: int) -> float:
    """Return how far apart n ratings of one scale may lie at least."""
    return 1.0 if n >= FEWEST_ROWS else 4.0
