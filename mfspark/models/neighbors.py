"""The nearest neighbors of all users or all items: what neighbor models and their tables share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfspark.kernels.measures import Similarity
from mfspark.kernels.moments import Rows
from mfspark.kernels.similarity import nearest
from mfspark.kernels.weights import Columns, compared, needs_columns
from mfspark.model_options import BaselineOptions
from mfspark.models.baseline import Biases
from mfspark.schemas import other

if TYPE_CHECKING:
    from mfspark.grid.grid import Blocks, BySide, Grid, RowTiles, Strips
    from mfspark.kernels.tile import Array, Arrays
    from mfspark.model_options import SimilarityOptions
    from mfspark.schemas import Side


def nearest_neighbors(grid: Grid, side: Side, name: str, options: SimilarityOptions) -> Blocks:
    """Find the nearest neighbors of every user or of every item by one all-pairs motion.

    Measures that compare with the columns' means, counts or biases take sweeps for those first.
    """
    columns, biases = None, None
    if needs_columns(options):
        columns = grid.sweep(other(side), f"{name}/columns", _column_facts)[0]
    if options.similarity == "pearson_baseline":
        biases = _baseline(grid, f"{name}/baseline")
    return grid.all_pairs(side, name, FindNeighbors(options, columns, biases))[0]


@dataclass(frozen=True)
class FindNeighbors:
    """All-pairs kernel: the k most similar rows of each row of a block."""

    options: SimilarityOptions
    columns: Blocks | None = None
    """n float64 and mean float64 of the other side."""
    biases: BySide | None = None

    def __call__(self, rows: Arrays, strips: Strips) -> Arrays:  # noqa: ARG002
        """Return a block of neighbors."""
        layout = strips.tiles.layout
        k = min(self.options.num_neighbors, max(1, layout.n(strips.side) - 1))
        own = layout.indices(strips.side, strips.block)
        compare = ComparedRows(strips, self.options, self.columns, self.biases)
        return nearest(compare.of(strips.block), own, compare, k, Similarity(self.options)).arrays()


@dataclass(frozen=True)
class ComparedRows:
    """The rows of all blocks of a side, as a measure compares them."""

    strips: Strips
    options: SimilarityOptions
    columns: Blocks | None
    biases: BySide | None

    def __iter__(self) -> Iterator[tuple[Array, Rows]]:
        """Yield (global indices, rows) of all blocks; streamed."""
        layout = self.strips.tiles.layout
        for block in range(layout.blocks(self.strips.side)):
            yield layout.indices(self.strips.side, block), self.of(block)

    def of(self, block: int) -> Rows:
        """Return the rows of one block."""
        tile = self.strips.of(block)
        side, store = self.strips.side, self.strips.store
        row_bias = None
        if self.biases is not None:
            row_bias = store.get(self.biases[side].references[block])["bias"].astype(np.float64)
        return Rows.of(tile, compared(tile, self.options, self._known_columns(), row_bias))

    def _known_columns(self) -> Columns | None:
        if self.columns is None:
            return None
        tiles, side = self.strips.tiles, self.strips.side
        n_rows = tiles.layout.n(side)
        return Columns(
            n=self._whole(self.columns, "n"),
            mean=self._whole(self.columns, "mean"),
            bias=None if self.biases is None else self._whole(self.biases[other(side)], "bias"),
            n_rows=n_rows,
            mean_sum=tiles.mean * tiles.n_ratings / max(1, n_rows),
            overall_mean=tiles.mean,
        )

    def _whole(self, blocks: Blocks, name: str) -> Array:
        """Return one array of all columns, by their global index, float64."""
        layout = self.strips.tiles.layout
        result = np.empty(layout.n(blocks.side), np.float64)
        for block, reference in enumerate(blocks.references):
            result[layout.indices(blocks.side, block)] = self.strips.store.get(reference)[name]
        return result


def _column_facts(rows: Arrays, tiles: RowTiles) -> Arrays:  # noqa: ARG001
    """Sweep kernel: ratings of each row and their mean (0 without any)."""
    strip = tiles.strip()
    total = np.bincount(strip.rows, weights=strip.values, minlength=strip.n_rows)
    return {"n": strip.degrees.astype(np.float64), "mean": total / np.maximum(strip.degrees, 1)}


def _baseline(grid: Grid, name: str) -> BySide:
    """Fit the baseline with its defaults, which are Surprise's."""
    algorithm = Biases(BaselineOptions(), grid.tiles.mean)
    state = algorithm.start(grid, f"{name}/start")
    while not algorithm.finished(state):
        state = algorithm.step(grid, state, f"{name}/{state.iteration:04d}")
    return {"user": state.user, "item": state.item}
