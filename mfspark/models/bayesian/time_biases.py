"""Time-bin biases on the grid: bins are numbered once, and biases drawn after the rows of a side.

The numbers of a rating's bins lie beside its tile, in both strips that it is in, for a draw of
one side needs what the bins of the other explain. A strip holds a group for each tile:

    user  int32 (S, n)  bins of the rating's user       item  int32 (S, n)  those of its item
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfspark.grid.block_store import BlockStore
from mfspark.grid.grid import Grid
from mfspark.grid.layout import Blocks, BySide
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.random import derive_seed, normal_rows
from mfspark.kernels.arrays.tile import Array, Arrays, Numbers
from mfspark.kernels.factorization.normal_equations import scores_of_ratings
from mfspark.kernels.factorization.time_biases import (
    NO_BIN,
    TimeBins,
    averages_of_rows,
    sample_bias_precision,
    sample_time_biases,
    sums_of_bins,
)
from mfspark.models.factorization.als import rating_block_of
from mfspark.schemas import SIDES, Side, other

Lengths = dict[Side, tuple[int, ...]]
"""Lengths of the time bins of both sides, in minutes."""


def start_time_bins(grid: Grid, name: str, lengths: Lengths) -> tuple[BySide, BySide]:
    """Number the time bins of both sides; return their blocks, with biases of 0, and the strips.

    Blocks: the arrays of TimeBins, n_ratings int64 (N), and bias, total and squares float32 (N):
    the bias drawn last, and sums over the draws that predictions are averaged over.
    """
    times = grid.over(grid.tiles.times)
    n_blocks = grid.layout.blocks
    found: BySide = {s: Blocks.named(s, f"{name}/found", n_blocks(s)) for s in SIDES}
    strips: BySide = {s: Blocks.named(s, f"{name}/numbers", n_blocks(s)) for s in SIDES}
    blocks: BySide = {}
    for side in SIDES:
        number = _Number(found[side], lengths[side])
        blocks[side], _ = times.sweep(side, f"{name}/bins", number)
    for side in SIDES:
        number_tiles = _NumberTiles(found, strips[side])
        grid.store.discard(times.sweep(side, f"{name}/none", number_tiles)[0].references)
    grid.store.discard(reference for side in SIDES for reference in found[side].references)
    return blocks, strips


@dataclass(frozen=True)
class _Number:
    """Sweep kernel over times: the bins of one block of rows, and those of its ratings."""

    found: Blocks
    """Where the bins of the ratings are put: a strip of a group a tile."""
    lengths: tuple[int, ...]

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        times = [tile for tile, _ in tiles]
        rows_of_all = np.concatenate([tile.rows for tile in times])
        minutes = np.concatenate([tile.values for tile in times])
        bins = TimeBins.of(rows_of_all, minutes, self.lengths)
        numbers = [{"own": bins.numbers(tile.rows, tile.values)} for tile in times]
        tiles.store.put(self.found.references[tiles.block], *numbers)
        all_numbers = np.concatenate([group["own"].ravel() for group in numbers])
        nothing = np.zeros(bins.n, np.float32)
        return bins.arrays() | {
            "n_ratings": np.bincount(all_numbers[all_numbers != NO_BIN], minlength=bins.n),
            "bias": nothing,
            "total": nothing,
            "squares": nothing,
        }, {}


@dataclass(frozen=True)
class _NumberTiles:
    """Sweep kernel over times: puts the numbers of both sides' bins beside each tile."""

    found: BySide
    strips: Blocks

    def __call__(self, _rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        side, block, groups = tiles.side, tiles.block, []
        for q, (tile, _) in enumerate(tiles):
            own = tiles.store.get(self.found[side].references[block], q)["own"]
            theirs = tiles.store.get(self.found[other(side)].references[q], block)["own"]
            across = np.empty_like(theirs)
            across[:, np.argsort(tile.indices, kind="stable")] = theirs  # that tile is transposed
            groups.append({side: own, other(side): across})
        tiles.store.put(self.strips.references[block], *groups)
        return {}, {}


@dataclass(frozen=True)
class TimeBiases:
    """The time bins of both sides in training, and their biases drawn last."""

    blocks: BySide
    strips: BySide

    def of_tile(self, tiles: RowTiles, q: int, sides: Iterable[Side] = SIDES) -> Array:
        """Return the sum of time-bin biases of each rating of tile q, float32 (n)."""
        side, store = tiles.side, tiles.store
        numbers = store.get(self.strips[side].references[tiles.block], q)
        block_of = {side: tiles.block, other(side): q}
        total = np.zeros((), np.float32)
        for s in sides:
            bias = self.blocks[s].read(store, block_of[s])["bias"]
            total = total + sums_of_bins(bias, numbers[s])
        return total


@dataclass(frozen=True)
class DrawTimeBiases:
    """Sweep kernel: the time-bin biases of one block of rows, given everything else."""

    biases: TimeBiases
    rows: Blocks
    """Factor blocks of this side, as they were drawn last."""
    mean: float
    scale: float
    """Of the ratings."""
    precision: Blocks
    """Lambda (S) of this side."""
    seed: int
    counts: bool
    """Whether this draw is one of those that predictions are averaged over."""

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return the arrays of TimeBins, bias, the sums of those that count, and what lambda needs.

        Memory: 24 bytes a rating of the strip, beside its tiles.
        """
        store, side, across = tiles.store, tiles.side, other(tiles.side)
        own = tiles.read(self.rows)
        w = np.column_stack([own["factors"], own["bias"]])
        residuals, numbers, alphas = [np.empty(0)], [], [np.empty(0)]
        for q, (tile, columns) in enumerate(tiles):
            ratings = rating_block_of(tile, columns, self.mean, scale=self.scale)
            explained = scores_of_ratings(ratings, w) + self.biases.of_tile(tiles, q, [across])
            residuals.append((ratings.targets - explained).astype(np.float64))
            numbers.append(store.get(self.biases.strips[side].references[tiles.block], q)[side])
            of_users = own["alpha"][tile.rows] if side == "user" else columns["alpha"][tile.indices]
            alphas.append(of_users.astype(np.float64))
        bins = TimeBins.from_arrays(rows)
        precision = self.precision.read(store)["precision"]
        bias = sample_time_biases(
            np.concatenate(residuals),
            np.concatenate(numbers, axis=1),
            rows["bias"],
            precision,
            np.concatenate(alphas),
            self._noise(bins, tiles.layout.indices(side, tiles.block)),
        )
        counted = np.float32(self.counts) * bias.astype(np.float32)
        n_lengths, length_of = len(bins.lengths), bins.length_of
        return bins.arrays() | {
            "n_ratings": rows["n_ratings"],
            "bias": bias.astype(np.float32),
            "total": rows["total"] + counted,
            "squares": rows["squares"] + counted**2,
            "sum_of_squares": np.bincount(length_of, weights=bias**2, minlength=n_lengths),
            "n_bins": np.bincount(length_of, minlength=n_lengths),
        }, {}

    def _noise(self, bins: TimeBins, indices: Array) -> Array:
        """Return a standard normal number for each bin, the same in any cut; float64 (N)."""
        keys, noise = bins.global_keys(indices), np.empty(bins.n)
        for s in range(len(bins.lengths)):
            mine = slice(bins.starts[s], bins.starts[s + 1])
            noise[mine] = normal_rows(derive_seed(self.seed, s), keys[mine], 1)[:, 0]
        return noise


@dataclass(frozen=True)
class StartPrecision:
    """Reduce kernel: lambda before the first draw."""

    def __call__(self, blocks: Iterable[Arrays], _store: BlockStore) -> Arrays:
        """Return precision float64 (S), and its mean over the draws that count, none so far."""
        n_lengths = len(next(iter(blocks))["lengths"])
        return {"precision": np.full(n_lengths, 10.0), "variance": np.zeros(n_lengths)}


@dataclass(frozen=True)
class DrawPrecision:
    """Reduce kernel: lambda of a side, given the biases drawn last."""

    seed: int
    last: Blocks
    counts: bool

    def __call__(self, blocks: Iterable[Arrays], store: BlockStore) -> Arrays:
        """Return precision, and variance: the sum of 1 / lambda over the draws that count."""
        squares = n = np.zeros(())
        for block in blocks:
            squares, n = squares + block["sum_of_squares"], n + block["n_bins"]
        precision = sample_bias_precision(squares, n, np.random.default_rng(self.seed))
        counted = self.counts / precision
        return {"precision": precision, "variance": self.last.read(store)["variance"] + counted}


@dataclass(frozen=True)
class AverageBiases:
    """Sweep kernel: mean and variance of time-bin biases over the draws, in the ratings' scale.

    What a row's ratings have of them on average is taken off, as it belongs to the bias of the row:
    there it also counts for a rating whose time is not known.
    """

    n_draws: int
    scale: float

    def __call__(self, rows: Arrays, tiles: RowTiles) -> tuple[Arrays, Numbers]:
        """Return the arrays of TimeBins, mean and variance float32 (N), average (rows, S)."""
        bins = TimeBins.from_arrays(rows)
        mean = self.scale * rows["total"].astype(np.float64) / self.n_draws
        square = self.scale**2 * rows["squares"].astype(np.float64) / self.n_draws
        n_rows = tiles.layout.rows(tiles.side, tiles.block)
        average = averages_of_rows(mean, rows["n_ratings"], bins, n_rows)
        return bins.arrays() | {
            "mean": mean.astype(np.float32),
            "variance": np.maximum(square - mean**2, 0).astype(np.float32),
            "average": average.astype(np.float32),
        }, {}


@dataclass(frozen=True)
class KnownTimeBiases:
    """Time-bin biases of a fitted model: how far a rating is from its score at a time."""

    blocks: BySide
    """The arrays of AverageBiases."""
    variances: dict[Side, tuple[float, ...]]
    """Variance of the bias of a bin that has no ratings, by length."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> KnownTimeBiases:
        """Read back what `dataclasses.asdict` gave."""
        blocks: BySide = {side: Blocks.from_record(record["blocks"][side]) for side in SIDES}
        return cls(blocks, {side: tuple(record["variances"][side]) for side in SIDES})

    @property
    def variance_at_no_time(self) -> float:
        """Variance of a rating's time-bin biases where its time is not known."""
        return sum(sum(self.variances[side]) for side in SIDES)

    def of_pairs(self, tiles: RowTiles) -> tuple[Array, Array]:
        """Return mean and variance of what time-bin biases add to the scores of a strip's pairs.

        Both float64 (n), in the order of the strip.
        """
        strip = tiles.strip()
        if not tiles.tiles.timed:
            return np.zeros(strip.n_ratings), np.full(strip.n_ratings, self.variance_at_no_time)
        times = RowTiles(tiles.side, tiles.block, tiles.tiles.times, tiles.store).strip().values
        mean, variance = self._of_rows("user", tiles, tiles.block, strip.rows, times)
        n_blocks = tiles.layout.item_blocks
        for q in range(n_blocks):
            mine = np.flatnonzero(strip.indices % n_blocks == q)
            rows = strip.indices[mine] // n_blocks
            more = self._of_rows("item", tiles, q, rows, times[mine])
            mean[mine] += more[0]
            variance[mine] += more[1]
        return mean, variance

    def _of_rows(
        self, side: Side, tiles: RowTiles, block: int, rows: Array, minutes: Array
    ) -> tuple[Array, Array]:
        """Return the part of one side: pairs by their rows (n) in a block, and their times (n)."""
        arrays = self.blocks[side].read(tiles.store, block)
        numbers = TimeBins.from_arrays(arrays).numbers(rows, minutes)
        deviation = sums_of_bins(arrays["mean"], numbers) - arrays["average"][rows].sum(1)
        unknown = np.asarray(self.variances[side], np.float64) @ (numbers == NO_BIN)
        return (
            np.where(np.isnan(minutes), 0.0, deviation),
            sums_of_bins(arrays["variance"], numbers) + unknown,
        )
