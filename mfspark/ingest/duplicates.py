"""Of several ratings of one item by one user the newest counts; the others are superseded.

Newest is the latest (no time is the oldest), then the later file, line and column. Ratings of the
base run come before all files, so that what is delivered again counts as delivered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mfspark.ingest.parts import REJECTED
from mfspark.ingest.statistics import NO_TIME
from mfspark.schemas import TIMESTAMP


def superseded(starts: np.ndarray, n: int, newer: Sequence[np.ndarray]) -> np.ndarray:
    """Return which of n rows a newer one of their run supersedes, bool (n).

    starts: where runs begin. newer: columns (n) whose greater value is the newer one, those that
    decide first come first; of equal rows the last counts.
    """
    found = np.zeros(n, bool)
    sizes = np.diff(starts, append=n)
    run = np.repeat(np.arange(len(starts)), sizes)
    several = np.flatnonzero(np.repeat(sizes > 1, sizes))
    if len(several):
        keys = [column[several] for column in (run, *newer)]
        newest_last = several[np.lexsort(keys[::-1])]
        found[newest_last[:-1][run[newest_last][1:] == run[newest_last][:-1]]] = True
    return found


def left_out_rows(
    users: pa.Array,
    items: pa.Array,
    ratings: np.ndarray,
    times: np.ndarray,
    files: pa.Array,
    lines: np.ndarray,
    reason: str,
) -> pa.Table:
    """Return ratings that are left out for a reason as rows of `rejected_ratings`.

    ratings float64 (n), times int64 (n), files: their names, lines int64 (n).
    """
    shown = pc.strftime(pa.array(times, mask=times == NO_TIME).cast(TIMESTAMP), "%Y-%m-%d %H:%M:%S")
    shown = pc.replace_substring_regex(shown, r"\.?0+$", "")
    values = pa.array(map(str, ratings.tolist()), pa.string())
    parts = users.cast(pa.string()), items.cast(pa.string()), values, shown
    raw = pc.binary_join_element_wise(*parts, ",", null_handling="skip")
    columns = [files, pa.array(lines), raw, pa.repeat(reason, len(ratings))]
    return pa.table(columns, schema=REJECTED)
