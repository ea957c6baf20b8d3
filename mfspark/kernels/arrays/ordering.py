"""Putting ratings in order, and where runs of equal ones begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DIGIT = 16  # bits: up to so many, numpy's stable sort counts instead of comparing


def order_of_pairs(
    rows: ArrayLike, columns: ArrayLike, n_rows: int, n_columns: int
) -> NDArray[np.int64]:
    """Return the order by row and then column of pairs (n) of indices from 0; int64 (n).

    What np.lexsort((columns, rows)) gives, equal pairs as they came, but by counting: it takes
    a pass for each 16 bits of a row or a column number.

    >>> order_of_pairs([1, 0, 0], [1, 2, 0], n_rows=2, n_columns=3).tolist()
    [2, 1, 0]
    """
    order = order_of(columns, n_columns)
    for digit in _digits(np.asarray(rows), n_rows):
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def order_of(numbers: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the stable order of numbers (m) from 0 to n - 1; int64 (m).

    >>> order_of([2, 0, 2, 1], 3).tolist()
    [1, 3, 0, 2]
    """
    first, *others = _digits(np.asarray(numbers), n)
    order = np.argsort(first, kind="stable")
    for digit in others:
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def starts_of(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """Return where runs of rows begin that are equal in all columns (n); int64.

    >>> starts_of(np.array([3, 3, 5]), np.array([1, 2, 2])).tolist()
    [0, 1, 2]
    """
    differs = np.zeros(len(columns[0]), bool)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(differs)


def _digits(numbers: NDArray[Any], n: int) -> list[NDArray[np.uint16]]:
    """Return the digits of numbers below n, the lowest first, at least one."""
    lowest_bits = range(0, max(1, (n - 1).bit_length()), _DIGIT)
    return [(numbers >> low).astype(np.uint16) for low in lowest_bits]
