"""The nearest neighbors of all users or all items: what neighbor models and their tables share.

columns     sweep of the other side    how often and how every column is rated
within      sweep                      the rows as a measure compares them, nearest in their block
across      symmetric all pairs        nearest in other blocks; every two blocks meet once
together    sweep                      nearest of all, and what they have in common
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.config.models import BaselineOptions
from mfspark.grid.training import train
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.all_pairs import chunks_of, compare_all, left_for, lists_of
from mfspark.kernels.neighbors.measures import Similarity
from mfspark.kernels.neighbors.moments import Rows
from mfspark.kernels.neighbors.packed import Packing, off_grid
from mfspark.kernels.neighbors.shortlist import Shortlist
from mfspark.kernels.neighbors.similarity import similarities, with_common
from mfspark.kernels.neighbors.weighting import Columns, compared, needs_columns
from mfspark.models.baselines.baseline import Biases
from mfspark.schemas import other

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mfspark.config.models import SimilarityOptions
    from mfspark.grid.grid import Grid
    from mfspark.grid.layout import Blocks, BySide
    from mfspark.grid.runners import Numbers
    from mfspark.grid.views import Strips
    from mfspark.kernels.arrays.tile import Array, Arrays
    from mfspark.schemas import Side


def nearest_neighbors(
    grid: Grid,
    side: Side,
    name: str,
    options: SimilarityOptions,
    biases: BySide | None = None,
) -> tuple[Blocks, Comparison]:
    """Find the nearest neighbors of every user or item: blocks of kernels.similarity.Neighbors.

    biases: those of the baseline, for `pearson_baseline`; if not given they are fitted. Also
    returns how rows were compared, so that any others can be compared alike.
    """
    k = min(options.num_neighbors, max(1, grid.layout.n(side) - 1))
    columns, numbers = grid.sweep(other(side), f"{name}/columns", _column_facts)
    if options.similarity == "pearson_baseline" and biases is None:
        biases = _baseline(grid, f"{name}/baseline")
    off = tuple(numbers[f"off_{i}"] > 0 for i in range(3))
    compare = Comparison(options, columns, biases, off)
    rows, _ = grid.sweep(side, f"{name}/within", _Within(compare, k))
    found, left = rows, ((),)
    if len(rows) > 1:
        across = _Across(compare.similarity, k)
        found, left = grid.symmetric_all_pairs(f"{name}/across", across, rows)
    neighbors, _ = grid.sweep(side, name, _Together(rows, left), rows=found)
    grid.store.discard({*rows.references, *found.references, *(r for part in left for r in part)})
    return neighbors, compare


def _column_facts(_rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    """Sweep kernel: how many ratings each row has and their mean (0 without any).

    off_0 to off_2 are numbers: how many ratings are off the grids of `kernels.neighbors.packed`.
    """
    strip = tiles.strip()
    total = np.bincount(strip.rows, weights=strip.values, minlength=strip.n_rows)
    facts = {"n": strip.degrees.astype(np.float64), "mean": total / np.maximum(strip.degrees, 1)}
    return facts, {f"off_{i}": float(off) for i, off in enumerate(off_grid(strip.values))}


def _baseline(grid: Grid, name: str) -> BySide:
    """Fit the baseline with its defaults, which are Surprise's."""
    state = train(grid, Biases(BaselineOptions(), grid.tiles.mean), name)
    return {"user": state.user, "item": state.item}


@dataclass(frozen=True)
class Comparison:
    """How the rows of a side are compared, and what must be known of all columns for that."""

    options: SimilarityOptions
    columns: Blocks
    """n float64 and mean float64 of the other side."""
    biases: BySide | None
    off: tuple[bool, ...]
    """Of each grid of `kernels.neighbors.packed`, whether there are ratings off it."""

    @property
    def similarity(self) -> Similarity:
        """How alike two rows are."""
        return Similarity(self.options)

    def compared(self, strips: Strips) -> Iterator[tuple[Array, Rows]]:
        """Yield (global indices, rows as they are compared) of all blocks; streamed."""
        for block in range(strips.tiles.layout.blocks(strips.side)):
            rows, _ = self.rows(RowTiles(strips.side, block, strips.tiles, strips.store))
            yield rows.indices, rows

    def rows(self, tiles: RowTiles) -> tuple[Rows, Packing]:
        """Return the rows of one block, popular columns first, and how to pack them."""
        columns = self._known_columns(tiles)
        row_bias = None
        if self.biases is not None:
            reference = self.biases[tiles.side].references[tiles.block]
            row_bias = tiles.store.get(reference)["bias"].astype(np.float64)
        strip = tiles.strip()
        indices = tiles.layout.indices(tiles.side, tiles.block)
        rows = Rows.of(indices, strip, compared(strip, self.options, columns, row_bias))
        order = np.argsort(-columns.n, kind="stable")
        off, low, high = self.off, tiles.tiles.low, tiles.tiles.high
        if needs_columns(self.options):  # what is compared are no ratings
            off, low, high = (True,) * 3, -np.inf, np.inf
        n_rows = tiles.layout.n(tiles.side)
        return rows.with_columns(order), Packing.of(off, low, high, columns.n[order], n_rows)

    def _known_columns(self, tiles: RowTiles) -> Columns:
        layout, store = tiles.layout, tiles.store
        n_rows, bias = layout.n(tiles.side), None
        if self.biases is not None:
            across = self.biases[other(tiles.side)]
            bias = across.gathered(store, layout, "bias").astype(np.float64)
        return Columns(
            n=self.columns.gathered(store, layout, "n"),
            mean=self.columns.gathered(store, layout, "mean"),
            bias=bias,
            n_rows=n_rows,
            mean_sum=tiles.tiles.mean * tiles.tiles.n_ratings / max(1, n_rows),
            overall_mean=tiles.tiles.mean,
        )


@dataclass(frozen=True)
class _Within:
    """Sweep kernel: the rows of a block as they are compared, and the k nearest in the block."""

    compare: Comparison
    k: int

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        own, packing = self.compare.rows(tiles)
        chunks = chunks_of(own, packing, RankedLists.empty(len(own), self.k))
        compare_all(chunks, chunks, self.compare.similarity)
        return own.arrays() | packing.arrays() | lists_of(chunks, self.k).arrays(), {}


@dataclass(frozen=True)
class _Across:
    """Symmetric-pair kernel: adds what is near in others, and leaves them what is near here."""

    similarity: Similarity
    k: int

    def __call__(self, own: Arrays, met: Iterator[Arrays]) -> Iterator[Arrays]:
        packing = Packing.from_arrays(own)
        chunks = chunks_of(Rows.from_arrays(own), packing, RankedLists.from_arrays(own))
        for arrays in met:
            known = RankedLists.from_arrays(arrays)
            others = chunks_of(Rows.from_arrays(arrays), packing, known, bars_only=True)
            compare_all(chunks, others, self.similarity)
            yield left_for(others)
        yield lists_of(chunks, self.k).arrays()


@dataclass(frozen=True)
class _Together:
    """Sweep kernel: the k nearest of what was found here and what other blocks left."""

    rows: Blocks
    left: tuple[tuple[str, ...], ...]

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        shortlist = Shortlist.of(RankedLists.from_arrays(rows))
        for reference in self.left[tiles.block]:
            shortlist.offer_arrays(tiles.store.get(reference))
        every = (Rows.from_arrays(tiles.store.get(r)) for r in self.rows.references)
        own = Rows.from_arrays(tiles.store.get(self.rows.references[tiles.block]))
        return with_common(shortlist.lists(), own, every).arrays(), {}


@dataclass(frozen=True)
class AmongChosen:
    """All-pairs kernel: how alike some rows are, all with all.

    chosen int64 (m), ascending. Gives similarity float64 (chosen ones of the block, m), -inf where
    two are no neighbors.
    """

    comparison: Comparison
    chosen: Array

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        """Return the similarities of one block."""
        own, _ = self.comparison.rows(
            RowTiles(strips.side, strips.block, strips.tiles, strips.store)
        )
        own = own.take(np.flatnonzero(np.isin(own.indices, self.chosen)))
        near = np.empty((len(own), len(self.chosen)))
        for indices, others in self.comparison.compared(strips):
            there = np.flatnonzero(np.isin(indices, self.chosen))
            found = similarities(own, others.take(there), self.comparison.similarity)
            near[:, np.searchsorted(self.chosen, indices[there])] = found
        return {"similarity": near}
