"""The nearest neighbors of all users or all items: what neighbor models and their tables share.

columns     sweep of the other side    how often and how every column is rated
within      sweep                      the rows as a measure compares them, nearest in their block
across      symmetric all pairs        nearest in other blocks; every two blocks meet once
together    sweep                      nearest of all, and what they have in common
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfspark.config.models import SimilarityOptions
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.views import RowTiles, Strips
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.kernels.arrays.top_n import RankedLists
from mfspark.kernels.neighbors.all_pairs import chunks_of, compare_all, left_for, lists_of
from mfspark.kernels.neighbors.measures import RatingStatistics, Similarity
from mfspark.kernels.neighbors.moments import Rows
from mfspark.kernels.neighbors.packed import Packing, off_grid
from mfspark.kernels.neighbors.shortlist import Shortlist
from mfspark.kernels.neighbors.similarity import similarities, with_common
from mfspark.schemas import Side, other


def nearest_neighbors(
    grid: Grid,
    side: Side,
    name: str,
    options: SimilarityOptions,
    biases: BySide | None = None,
) -> tuple[Blocks, RowComparison]:
    """Find the nearest neighbors of every user or item.

    biases: those of the baseline, for measures that need them. Returns blocks of
    kernels.neighbors.similarity.Neighbors, and how rows were compared, so that any others can be
    compared alike.
    """
    k = min(options.num_neighbors, max(1, grid.layout.n(side) - 1))
    similarity = similarity_of(options)
    comparison = RowComparison.of(grid, side, f"{name}/columns", similarity, biases)
    rows, _ = grid.sweep(side, f"{name}/within", _Within(comparison, k))
    found, left = rows, ((),)
    if len(rows) > 1:
        across = _Across(similarity, k)
        found, left = grid.symmetric_all_pairs(f"{name}/across", across, rows)
    neighbors, _ = grid.sweep(side, name, _Together(rows, left), rows=found)
    grid.store.discard({*rows.references, *found.references, *(r for part in left for r in part)})
    return neighbors, comparison


@dataclass(frozen=True)
class _Within:
    """Sweep kernel: the rows of a block as they are compared, and the k nearest in the block."""

    comparison: RowComparison
    k: int

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        own, packing = self.comparison.rows(tiles)
        chunks = chunks_of(own, packing, RankedLists.empty(len(own), self.k))
        compare_all(chunks, chunks, self.comparison.similarity)
        return own.arrays() | packing.arrays() | lists_of(chunks, self.k).arrays(), {}


@dataclass(frozen=True)
class _Across:
    """Symmetric-pair kernel: adds what is near in others, and leaves them what is near here."""

    similarity: Similarity
    k: int

    def __call__(self, own: Arrays, others: Iterator[Arrays]) -> Iterator[Arrays]:
        packing = Packing.from_arrays(own)
        chunks = chunks_of(Rows.from_arrays(own), packing, RankedLists.from_arrays(own))
        for arrays in others:
            known = RankedLists.from_arrays(arrays)
            theirs = chunks_of(Rows.from_arrays(arrays), packing, known, bars_only=True)
            compare_all(chunks, theirs, self.similarity)
            yield left_for(theirs)
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


def similarity_of(options: SimilarityOptions) -> Similarity:
    """Return the similarity that options ask for."""
    return Similarity(
        options.similarity,
        options.weighting,
        options.min_support,
        options.min_similarity,
        None if options.shrinkage == "auto" else options.shrinkage,
        options.significance,
    )


@dataclass(frozen=True)
class RowComparison:
    """How the rows of a side are compared."""

    similarity: Similarity
    columns: Blocks
    """n float64 and mean float64 of the other side: how often and how it is rated."""
    biases: BySide | None
    """Those of the baseline, float32 (rows), where the measure needs them."""
    off: tuple[bool, ...]
    """Of each grid of `kernels.neighbors.packed`, whether there are ratings off it."""

    @classmethod
    def of(
        cls, grid: Grid, side: Side, name: str, similarity: Similarity, biases: BySide | None
    ) -> RowComparison:
        """Look at the ratings of all columns, in one sweep of the other side."""
        columns, numbers = grid.sweep(other(side), name, _column_statistics)
        off = tuple(numbers[f"off_{i}"] > 0 for i in range(3))
        return cls(similarity, columns, biases if similarity.measure.needs_biases else None, off)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> RowComparison:
        """Read back what `dataclasses.asdict` gave."""
        biases = record["biases"]
        return cls(
            Similarity(**record["similarity"]),
            Blocks.from_record(record["columns"]),
            biases and {side: Blocks.from_record(blocks) for side, blocks in biases.items()},
            tuple(record["off"]),
        )

    def all_rows(self, strips: Strips) -> Iterator[Rows]:
        """Yield the rows of all blocks, as they are compared; streamed."""
        for block in range(strips.tiles.layout.blocks(strips.side)):
            yield self.rows(strips.tiles_of(block))[0]

    def rows(self, tiles: RowTiles) -> tuple[Rows, Packing]:
        """Return the rows of one block, popular columns first, and how to pack them."""
        known, strip = self._statistics(tiles), tiles.strip()
        low, high, off = tiles.tiles.low, tiles.tiles.high, self.off
        values = None
        if self.similarity.values is not None:  # what is compared are no ratings
            values = self.similarity.values(strip, known)
            low, high, off = -np.inf, np.inf, (True,) * 3
        rows = Rows.of(tiles.layout.indices(tiles.side, tiles.block), strip, values)
        order = np.argsort(-known.n, kind="stable")
        return rows.with_columns(order), Packing.of(off, low, high, known.n[order], known.n_rows)

    def _statistics(self, tiles: RowTiles) -> RatingStatistics:
        layout, store = tiles.layout, tiles.store
        n_rows, row_bias, column_bias = layout.n(tiles.side), None, None
        if self.biases is not None:
            own = store.get(self.biases[tiles.side].references[tiles.block])["bias"]
            across = self.biases[other(tiles.side)].gathered(store, layout, "bias")
            row_bias, column_bias = own.astype(np.float64), across.astype(np.float64)
        return RatingStatistics(
            n=self.columns.gathered(store, layout, "n"),
            mean=self.columns.gathered(store, layout, "mean"),
            n_rows=n_rows,
            mean_sum=tiles.tiles.mean * tiles.tiles.n_ratings / max(1, n_rows),
            overall_mean=tiles.tiles.mean,
            column_bias=column_bias,
            row_bias=row_bias,
        )


def _column_statistics(_rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
    """Sweep kernel: how many ratings each row has and their mean (0 without any).

    off_0 to off_2 are numbers: how many ratings are off the grids of `kernels.neighbors.packed`.
    """
    strip = tiles.strip()
    total = np.bincount(strip.rows, weights=strip.values, minlength=strip.n_rows)
    found = {"n": strip.degrees.astype(np.float64), "mean": total / np.maximum(strip.degrees, 1)}
    return found, {f"off_{i}": float(off) for i, off in enumerate(off_grid(strip.values))}


@dataclass(frozen=True)
class AmongChosen:
    """All-pairs kernel: how alike some rows are, all with all.

    chosen int64 (m), ascending. Gives similarity float64 (chosen ones of the block, m), -inf where
    two are no neighbors.
    """

    comparison: RowComparison
    chosen: Array

    def __call__(self, _rows: Arrays, strips: Strips) -> Arrays:
        """Return the similarities of one block."""
        own = self._chosen_of(self.comparison.rows(strips.tiles_of(strips.block))[0])
        near = np.empty((len(own), len(self.chosen)))
        for rows in self.comparison.all_rows(strips):
            others = self._chosen_of(rows)
            found = similarities(own, others, self.comparison.similarity)
            near[:, np.searchsorted(self.chosen, others.indices)] = found
        return {"similarity": near}

    def _chosen_of(self, rows: Rows) -> Rows:
        return rows.take(np.flatnonzero(np.isin(rows.indices, self.chosen)))
