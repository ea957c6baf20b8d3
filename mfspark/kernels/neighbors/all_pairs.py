"""The nearest neighbors of all rows: every pair of rows is compared once, for both of them.

Rows are compared in chunks. A chunk and another give a few dense matrices, their moments
(kernels.neighbors.packed), and these the similarities; what reaches the bar of its row, or of its
column, is offered to the shortlist of that row (kernels.neighbors.shortlist). Where moments are
rounded, a pair passes if it could reach the bar, and is computed again in float64. So what is found
are the same neighbors, to the last bit, as all pairs in the plain way would give.

Most pairs are of no use to either row. Where a similarity counts the less the fewer columns it
rests on, a pair that shares few cannot reach a bar: once bars are high, only what all pairs share
is counted together, and the few that can are computed one by one. For cosine, where nothing else is
asked for, one moment is enough, and a float32 number a pair says what to look at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from mfspark.kernels.arrays.tile import Array, Arrays
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.measures import Similarity, Totals
from mfspark.kernels.neighbors.moments import Moments, Rows, moments
from mfspark.kernels.neighbors.packed import Packed, Packing
from mfspark.kernels.neighbors.shortlist import Shortlist
from mfspark.kernels.neighbors.similarity import similarities_of_pairs

_CHUNK = 1024  # rows; a float32 a pair then takes 4 MiB, and products stay in the L3 cache
_FEW = 0.25  # of the pairs: so many cost as much one by one as all of them as products
_UNIT = 2.0**-24  # relative error of one float32 operation
_LOWEST = float(np.finfo(np.float64).min)  # -inf, which is no neighbor, lies below


@dataclass(frozen=True)
class Chunk:
    """Some rows of a block with their shortlist; places int64: theirs among those of the block."""

    packed: Packed
    shortlist: Shortlist
    places: Array

    @property
    def rows(self) -> Rows:
        """The rows themselves."""
        return self.packed.rows

    @cached_property
    def ordinary(self) -> bool:
        """Whether float32 neither overflows nor underflows in what is made of the values."""
        sizes = np.abs(self.rows.values.data)
        return bool(((sizes == 0) | ((sizes > 1e-9) & (sizes < 1e9))).all())

    @cached_property
    def inverse_norms(self) -> torch.Tensor:
        """1 / |x| in steps, float32 (rows); 0 where |x| is 0."""
        norms = np.sqrt(self.rows.squares) / (self.packed.packing.step or 1.0)
        inverse = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0)
        return torch.from_numpy(inverse.astype(np.float32))


def chunks_of(
    rows: Rows, packing: Packing, known: RankedLists, *, bars_only: bool = False
) -> list[Chunk]:
    """Cut the rows of a block into chunks, those with most ratings first.

    They are near to most others where support counts, so that bars are high when the rest, which is
    the larger part, meet one another.
    known: lists (rows, k) of what was found before; with `bars_only` a chunk knows only how near
    the last of them are.
    """
    chunks: list[Chunk] = []
    order = np.argsort(-rows.n, kind="stable")
    for start in range(0, len(rows), _CHUNK):
        some = order[start : start + _CHUNK]
        shortlist = Shortlist.of(known.take(some), bars_only=bars_only)
        chunks.append(Chunk(packing.pack(rows.take(some)), shortlist, some))
    return chunks


def lists_of(chunks: Sequence[Chunk], k: int) -> RankedLists:
    """Return the k nearest of all rows of a block, in its order."""
    lists = [RankedLists.empty(0, k), *(chunk.shortlist.lists() for chunk in chunks)]
    places = [np.empty(0, np.int64), *(chunk.places for chunk in chunks)]
    return RankedLists.stacked(lists).take(np.argsort(np.concatenate(places)))


def left_for(chunks: Sequence[Chunk]) -> Arrays:
    """Return what the chunks of a block were offered, for `Shortlist.offer_arrays` of the block."""
    parts = [Shortlist(0, 1).arrays()]
    for chunk in chunks:
        arrays = chunk.shortlist.arrays()
        parts.append(arrays | {"rows": chunk.places[arrays["rows"]].astype(np.int32)})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare_all(chunks: Sequence[Chunk], others: Sequence[Chunk], similarity: Similarity) -> None:
    """Compare every row of a block with every row of another one, or of the same."""
    for i, chunk in enumerate(chunks):
        for other in others[: i + 1] if chunks is others else others:
            compare(chunk, other, similarity)


def compare(chunk: Chunk, other: Chunk, similarity: Similarity) -> None:
    """Compare each row of a chunk with each of another, or of the same; offer pairs to both."""
    counts = None
    if similarity.support_decides:
        most = int(min(each.rows.n.max(initial=0) for each in (chunk, other)))
        least = [
            similarity.least_shared(each.shortlist.bars, most).astype(np.float32)
            for each in (chunk, other)
        ]
        if min(each.min(initial=np.inf) for each in least) > most:
            return
        counts = chunk.packed.moment(other.packed, (0, 0)).numpy()
        able = np.flatnonzero(counts >= np.minimum(least[0][:, None], least[1]))
        if len(able) <= _FEW * counts.size:
            _offer(chunk, other, *np.divmod(able, counts.shape[1]), similarity)
            return
    scored = _scored(chunk, other, similarity, counts)
    if chunk is other:
        np.fill_diagonal(scored.scores, -np.inf)
    row, column = scored.reaching(chunk, axis=0)
    chunk.shortlist.offer(row, other.rows.indices[column], scored.exactly(row, column))
    if chunk is not other:
        row, column = scored.reaching(other, axis=1)
        other.shortlist.offer(column, chunk.rows.indices[row], scored.exactly(row, column))


def _offer(chunk: Chunk, other: Chunk, row: Array, column: Array, similarity: Similarity) -> None:
    """Compute some pairs of two chunks, or of the same, one by one, and offer them to both."""
    if chunk is other:
        row, column = row[row != column], column[row != column]
    scores = similarities_of_pairs(chunk.rows, row, other.rows, column, similarity)
    chunk.shortlist.offer(row, other.rows.indices[column], scores)
    if chunk is not other:
        other.shortlist.offer(column, chunk.rows.indices[row], scores)


@dataclass(frozen=True)
class _Scored:
    """The similarities of two chunks.

    scores float32 or float64 (rows, others): rounded, below `lowest` where two are no neighbors;
    those of a row with n ratings are off by at most `error(n)`. exactly: gives the similarities of
    some pairs (rows, columns), float64 (n).
    """

    scores: Array
    lowest: float
    error: Callable[[Array], Array | float]
    exactly: Callable[[Array, Array], Array]

    def reaching(self, chunk: Chunk, axis: int) -> tuple[Array, Array]:
        """Return row and column of what may be among the k best of its row (0) or column (1)."""
        bars, error = chunk.shortlist.bars, self.error(chunk.rows.n)
        if np.isneginf(bars).sum() * 2 > len(bars):  # at first: a bar from these scores alone
            bars = np.maximum(bars, self._kth(chunk.shortlist.k, axis) - error)
        least = np.maximum(bars - error, self.lowest)
        if self.scores.dtype == np.float32:
            least = np.nextafter(least.astype(np.float32), np.float32(-np.inf))
            least = np.maximum(least, np.float32(self.lowest))
        hits = np.flatnonzero(self.scores >= (least if axis else least[:, None]))
        return np.divmod(hits, self.scores.shape[1])

    def _kth(self, k: int, axis: int) -> Array:
        """Return the k-th best score of each row or column; -inf where there are fewer."""
        if k > self.scores.shape[1 - axis]:
            return np.full(self.scores.shape[axis], -np.inf)
        best = torch.topk(torch.from_numpy(self.scores), k, dim=1 - axis, sorted=False).values
        kth = best.amin(dim=1 - axis).numpy().astype(np.float64)
        return np.where(kth >= self.lowest, kth, -np.inf)


def _scored(chunk: Chunk, other: Chunk, similarity: Similarity, counts: Array | None) -> _Scored:
    """Score all pairs; counts: how many columns each shares, where that is known already."""
    packing = chunk.packed.packing
    roundable = packing.exact or (chunk.ordinary and other.ordinary)
    if similarity.one_moment and packing.low > 0 and roundable:
        return _cosines(chunk, other, similarity)
    if packing.exact:
        return _exact(chunk, other, similarity, _moments(chunk, other, similarity, counts))
    if roundable and similarity.measure.tolerates_rounding:
        return _rounded(chunk, other, similarity, _moments(chunk, other, similarity, counts))
    plain = moments(chunk.rows, other.rows, similarity.powers)
    return _exact(chunk, other, similarity, plain)


def _cosines(chunk: Chunk, other: Chunk, similarity: Similarity) -> _Scored:
    """Score by the dot product alone: of positive ratings it is 0 only where nothing is shared."""
    dots = chunk.packed.moment(other.packed, (1, 1))
    scores = (dots * other.inverse_norms).mul_(chunk.inverse_norms[:, None]).to(torch.float32)
    packing = chunk.packed.packing

    def exactly(row: Array, column: Array) -> Array:
        if not packing.exact:
            return similarities_of_pairs(chunk.rows, row, other.rows, column, similarity)
        found = {(1, 1): dots.numpy()[row, column] * packing.step**2, (0, 0): np.ones(len(row))}
        u, v = (Totals.of(c.rows).take(p) for c, p in ((chunk, row), (other, column)))
        return similarity.of(found, u, v)

    return _Scored(
        scores.numpy(),
        float(np.finfo(np.float32).tiny),
        lambda n: _UNIT * (8 + (0 if packing.exact else 1.1 * n)),
        exactly,
    )


def _exact(chunk: Chunk, other: Chunk, similarity: Similarity, found: Moments) -> _Scored:
    """Score by moments that are not rounded, or as in the plain way."""
    scores = similarity.of(found, Totals.across(chunk.rows), Totals.of(other.rows))
    return _Scored(
        scores, _LOWEST, lambda n: np.zeros(len(n)), lambda row, column: scores[row, column]
    )


def _rounded(chunk: Chunk, other: Chunk, similarity: Similarity, found: Moments) -> _Scored:
    """Score by rounded moments.

    A sum of n products is off by at most 1.1 n u times the sum of their sizes (Higham 2002, section
    3.1), which for dot products is at most |x_u| |x_v|: a cosine is off by three such at most.
    """
    scores = similarity.of_supported(found, Totals.across(chunk.rows), Totals.of(other.rows))
    return _Scored(
        scores,
        _LOWEST,
        lambda n: 3.3 * _UNIT * (8 + n),
        lambda row, column: similarities_of_pairs(chunk.rows, row, other.rows, column, similarity),
    )


def _moments(chunk: Chunk, other: Chunk, similarity: Similarity, counts: Array | None) -> Moments:
    """Return the moments, float64."""
    step = chunk.packed.packing.step or 1.0
    found = {} if counts is None else {(0, 0): counts.astype(np.float64)}
    for power in similarity.powers:
        if power not in found:
            moment = chunk.packed.moment(other.packed, power).numpy()
            found[power] = moment * np.float64(step ** sum(power))
    return found
