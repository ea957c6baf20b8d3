"""Ratings a second of `torch_mf` beside a plain torch loop, on synthetic ratings.

    python -m benchmarks.torch_mf                       1 M and 5 M ratings
    python -m benchmarks.torch_mf --ratings 20000000    another size

Set up as one task of a night: as many blocks as a night has (four; one for each 1.25 M above 5 M),
two threads that share them out, one torch thread a kernel. The time is that of whole epochs: the
strata and, unless told `--no-implicit`, that of the rater priors. The peer is the loop most books
have, `nn.Embedding(sparse=True)` and SGD, at 16,384 ratings a batch; it runs twice at once, a
thread each, on two halves of the ratings and without sharing anything.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import nn

from benchmarks.__main__ import shape_of
from benchmarks.memory import PeakMemory
from mfspark.config.models import TorchMFOptions
from mfspark.grid.block_store import MemoryStore
from mfspark.grid.cut import cut_arrays
from mfspark.grid.grid import Grid
from mfspark.grid.layout import GridLayout
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.models.factorization.torch_mf import TorchMF
from mfspark.samples.synthetic import write_synthetic

RANK, THREADS, BATCH = 32, 2, 16_384
RATES: dict[str, float] = {"sgd": 0.05, "adagrad": 0.2, "adam": 0.02}

Triples = tuple[Any, Any, Any]


def synthetic(n_ratings: int) -> Triples:
    """Return users, items (int32, from 0) and ratings (float32)."""
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder:
        write_synthetic(shape_of(n_ratings), Path(folder), "parquet")
        table = pq.read_table(Path(folder, "ratings"), columns=["user_id", "item_id", "rating"])
    users, items, ratings = (column.to_numpy() for column in table.columns)
    return (
        (users - 1).astype(np.int32),
        (items - 1).astype(np.int32),
        ratings.astype(np.float32),
    )


def grid_of(triples: Triples, n_ratings: int) -> Grid:
    """Cut ratings as a night does."""
    blocks = max(4, -(-n_ratings // 1_250_000))
    spec, store = shape_of(n_ratings), MemoryStore()
    layout = GridLayout(spec.n_users, spec.n_items, blocks, blocks)
    runner = InProcess(THREADS)
    return Grid(cut_arrays(*triples, layout, "tiles", store, runner), store, runner)


def ours(grid: Grid, optimizer: str, implicit: bool, epochs: int) -> tuple[float, float, float]:
    """Return ratings/s, peak GiB and the last training RMSE."""
    options = TorchMFOptions.model_validate(
        {
            "rank": RANK,
            "optimizer": optimizer,
            "learning_rate": RATES[optimizer],
            "implicit": implicit,
            "device": "cpu",
        }
    )
    algorithm = TorchMF(
        options, options.penalty(grid.tiles.n_ratings), grid.tiles.mean, 42, grid.tiles.std
    )
    state = algorithm.start(grid, "start")
    state = algorithm.step(grid, state, "warm")
    with PeakMemory() as peak:
        began = time.perf_counter()
        for epoch in range(epochs):
            after = algorithm.step(grid, state, f"{epoch}")
            grid.store.discard(state.references - after.references)
            state = after
        seconds = time.perf_counter() - began
    return epochs * grid.tiles.n_ratings / seconds, peak.gib, state.losses("train")[-1]


def textbook(triples: Triples, n_ratings: int, most: int = 1_000_000) -> tuple[float, float]:
    """Return ratings/s and peak GiB of the plain loop; at most `most` ratings a thread are run."""
    spec = shape_of(n_ratings)
    shuffled = np.random.default_rng(1).permutation(len(triples[0]))
    u, i, r = (torch.from_numpy(part[shuffled]) for part in triples)
    halves = torch.arange(len(r)).tensor_split(THREADS)

    def run(half: torch.Tensor) -> int:
        x, y, b, c = (
            nn.Embedding(n, k, sparse=True)
            for n, k in (
                (spec.n_users, RANK),
                (spec.n_items, RANK),
                (spec.n_users, 1),
                (spec.n_items, 1),
            )
        )
        rows = nn.ModuleList([x, y, b, c])
        optimizer = torch.optim.SGD(rows.parameters(), lr=1e-3)
        for some in half[:most].split(BATCH):
            optimizer.zero_grad()
            users, items = u[some], i[some]
            bias = (b(users) + c(items)).squeeze(1)
            error = r[some] - 3.5 - bias - (x(users) * y(items)).sum(1)
            error.square().sum().backward()
            optimizer.step()
        return min(most, len(half))

    with PeakMemory() as peak, ThreadPoolExecutor(THREADS) as pool:
        began = time.perf_counter()
        done = sum(pool.map(run, halves))
        seconds = time.perf_counter() - began
    return done / seconds, peak.gib


def main() -> None:
    """Measure the sizes asked for and print a table in Markdown."""
    parser = argparse.ArgumentParser(description="Ratings a second of torch_mf.")
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--implicit", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    one_thread_a_kernel()
    for n_ratings in args.ratings:
        triples = synthetic(n_ratings)
        grid = grid_of(triples, n_ratings)
        layout = grid.layout
        print(
            f"\n{n_ratings:,} ratings, {layout.n_users:,} users x {layout.n_items:,} items, "
            f"rank {RANK}, {layout.user_blocks} blocks, {THREADS} threads\n"
        )
        print("| | M ratings/s | times the plain loop | peak GiB | train RMSE |")
        print("|---|---:|---:|---:|---:|")
        plain, gib = textbook(triples, n_ratings)
        print(f"| nn.Embedding(sparse=True), SGD | {plain / 1e6:.2f} | 1 | {gib:.2f} | |")
        for optimizer in RATES:
            speed, gib, rmse = ours(grid, optimizer, args.implicit, args.epochs)
            figures = f"{speed / 1e6:.2f} | {speed / plain:.1f} | {gib:.2f} | {rmse:.4f}"
            print(f"| torch_mf, {optimizer} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
