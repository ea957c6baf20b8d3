"""Loops over single numbers, compiled by numba; imported only where they are called.

Machine code is cached beside the file of a loop or in NUMBA_CACHE_DIR; where neither can be
written, it is compiled anew in every process, which takes some seconds. Sums run in the order of
the loops, and no operations are fused or reordered: every machine gets the same bits.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of arrays and numbers when it is first called; threads run it at once."""
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place for a cache
        return cast("F", njit(nogil=True)(function))
