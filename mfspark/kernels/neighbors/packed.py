"""Rows packed for products: columns that many rows have ratings in dense, all others sparse.

    popular columns       others                    x_u . x_v = head_u . head_v + tail_u . tail_v
    |5 4 0 3 5 ... 4|     c_91: 3, c_407: 5
    |4 0 4 0 5 ... 0|     c_88: 2
        head                   tail

A dense column costs every pair of rows a multiplication, a sparse one only those that both have a
rating in it; but dense ones are some hundred times as cheap. Ratings on a grid of whole, half or
quarter numbers are small integers, and int8 products add up in int32 without rounding.

Sums of integers are exact in float32 while none reaches 2^24, and in float64 up to 2^53: a bound
chooses the type. Sums of other numbers are rounded float32; whoever uses them looks again, in
float64, at what it keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from scipy.sparse import csr_array

from mfspark.kernels.arrays.sparse import compressed_rows
from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.kernels.neighbors.moments import Power, Rows

_int8_product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_int8_product = torch._int_mm  # pyright: ignore[reportPrivateUsage]  there is no public one
_STEPS = (1.0, 0.5, 0.25)
_INT8, _INT32 = 2**7 - 1, 2**31 - 1
_FLOAT32, _FLOAT64 = 2**24, 2**53  # integers up to here are exact
_DENSE = {torch.int8: 1 / 32, torch.float32: 1 / 8}
"""Density from which on a column is cheaper dense. A sparse one of density d costs a pair of rows
d^2 ns, a dense one 0.002 ns in int8 (one core with AVX-512 VNNI) and 0.02 in float32."""


def off_grid(values: Array) -> Array:
    """Return how many values are no multiple of 1, of 1/2 and of 1/4, int64 (3)."""
    return np.array([np.count_nonzero(values % step) for step in _STEPS])


@dataclass(frozen=True)
class Packing:
    """How all rows of a side are packed.

    step: all values are multiples of it; 0: of nothing that helps. low, high: no value is outside.
    head: the first columns, which are dense; columns are in falling order of their ratings.
    """

    step: float
    low: float
    high: float
    head: int

    @classmethod
    def of(cls, off: Iterable[bool], low: float, high: float, n: Array, n_rows: int) -> Packing:
        """Choose a packing.

        off: of each grid of `off_grid`, whether there are values off it; n (columns), falling:
        ratings of each column.
        """
        limit = float(max(abs(low), abs(high)))
        steps = [step for step, some in zip(_STEPS, off, strict=True) if not some]
        fits = bool(steps) and limit / steps[0] < (_FLOAT64 / max(1, len(n))) ** 0.5
        small = fits and limit / steps[0] <= _INT8 and int8_is_fast()
        least = _DENSE[torch.int8 if small else torch.float32] * n_rows
        head = int(np.searchsorted(-np.asarray(n), -least))
        return cls(steps[0] if fits else 0.0, low, high, head)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Packing:
        """Read back what `arrays` gave."""
        step, low, high, head = arrays["packing"].tolist()
        return cls(step, low, high, int(head))

    def arrays(self) -> Arrays:
        """Return the packing as a named array."""
        return {"packing": np.array([self.step, self.low, self.high, self.head])}

    @property
    def exact(self) -> bool:
        """Whether products are those of integers."""
        return self.step > 0

    def largest(self, p: int) -> float:
        """No |x|^p is above this, in steps."""
        return (max(abs(self.low), abs(self.high)) / (self.step or 1.0)) ** p

    def pack(self, rows: Rows) -> Packed:
        """Pack a chunk of rows."""
        X = rows.values
        steps = csr_array((X.data / (self.step or 1.0), X.indices, X.indptr), shape=X.shape)
        head, tail = csr_array(steps[:, : self.head]), csr_array(steps[:, self.head :])
        return Packed(self, rows, head, tail, csr_array(tail.T))


@dataclass(frozen=True)
class Packed:
    """A chunk of rows, packed; numbers are in steps. What products need is made once."""

    packing: Packing
    rows: Rows
    _head: csr_array
    _tail: csr_array
    _tail_t: csr_array
    _made: dict[object, torch.Tensor] = field(default_factory=dict)

    def head(self, p: int) -> torch.Tensor:
        """Return x^p of the dense columns (rows, H): int8 where they fit, otherwise floats."""
        if ("head", p) not in self._made:
            X, packing = self._head, self.packing
            small = p == 0 or (packing.exact and packing.largest(p) <= _INT8)
            wide = packing.exact and packing.largest(p) > _FLOAT32
            kind = np.int8 if small and int8_is_fast() else np.float64 if wide else np.float32
            dense = np.zeros(X.shape, kind)
            dense[np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices] = X.data**p
            self._made["head", p] = torch.from_numpy(dense)
        return self._made["head", p]

    def tail(self, p: int, kind: torch.dtype, *, transposed: bool) -> torch.Tensor:
        """Return x^p of the other columns, sparse (rows, columns - H)."""
        key = ("tail", p, kind, transposed)
        if key not in self._made:
            X = self._tail_t if transposed else self._tail
            values = torch.from_numpy(X.data**p).to(kind)
            starts, columns = (torch.from_numpy(a.astype(np.int32)) for a in (X.indptr, X.indices))
            self._made[key] = compressed_rows(starts, columns, values, X.shape[1])
        return self._made[key]

    def moment(self, others: Packed, power: Power) -> torch.Tensor:
        """Return a moment of each row with each of the others, in steps, dense (rows, others).

        float32, or float64 where sums are exact but would not fit.
        """
        p, q = power
        n = min(self.rows.n.max(initial=1), others.rows.n.max(initial=1))
        most = self.packing.largest(p + q) * n
        kind = torch.float64 if self.packing.exact and most > _FLOAT32 else torch.float32
        X, Y = self.head(p), others.head(q)
        # Of one column torch 2.13 takes the transposed matrix for what it is not.
        if X.dtype == Y.dtype == torch.int8 and most <= _INT32 and X.shape[1] > 1:
            sums = _int8_product(X, Y.T).to(kind)
        else:
            sums = torch.mm(X.to(kind), Y.to(kind).T)
        tail = self.tail(p, kind, transposed=False)
        return _add_product(sums, tail, others.tail(q, kind, transposed=True))


def _add_product(sums: torch.Tensor, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """Return sums + X Y, both sparse."""
    if not X.shape[1]:
        return sums
    if torch.backends.mkl.is_available():
        return torch.addmm(sums, X, Y, out=sums)
    return sums.add_(torch.sparse.mm(X, Y).to_dense())


@cache
def int8_is_fast() -> bool:
    """Whether this processor multiplies int8 faster than float32: it has VNNI or AMX, say."""

    def seconds(multiply: Callable[..., torch.Tensor], kind: torch.dtype) -> float:
        X = torch.ones(256, 512, dtype=kind)
        took = []
        for _ in range(4):
            began = time.perf_counter()
            multiply(X, X.T)
            took.append(time.perf_counter() - began)
        return min(took)

    return seconds(_int8_product, torch.int8) < seconds(torch.mm, torch.float32)
