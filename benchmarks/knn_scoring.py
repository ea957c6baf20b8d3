"""Lists, predictions and reasons of all users from known neighbors, in this process; no JVM."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from scipy.sparse import csr_matrix

from benchmarks.installed import installed
from benchmarks.trial import Row, measured, print_table, shape_of
from mfspark.config.models import KNNOptions
from mfspark.grid.block_store import MemoryStore
from mfspark.grid.cut import cut_arrays
from mfspark.grid.grid import Grid
from mfspark.grid.runners import InProcess
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.models.neighbors.knn import KNN
from mfspark.models.neighbors.search import nearest_neighbors
from mfspark.pipeline.dataset import layout_for
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.schemas import Side

N, K, THREADS = 10, 50, len(os.sched_getaffinity(0))
PEER = "sparse_dot_topn: lists, nothing left out"
_SIDES: dict[Side, str] = {"user": "user_knn", "item": "item_knn"}

Array = np.ndarray
Triples = tuple[Array, Array, Array]


def score(n_ratings: int) -> None:
    """Print seconds and peak memory of what follows once neighbors are known, a table a side.

    Neighbors are the nearest by cosine; lists are ranked by the sum of similarity * rating.
    """
    one_thread_a_kernel()
    for side in _SIDES:
        _rows(side, 10_000)  # compiles
        shape = f"{n_ratings:,} ratings, {K} neighbors, {THREADS} threads"
        print_table(f"{_SIDES[side]}: {shape}", "seconds", _rows(side, n_ratings), PEER)


def _rows(side: Side, n_ratings: int) -> list[Row]:
    spec, store = shape_of(n_ratings), MemoryStore()
    layout = layout_for(spec.n_users, spec.n_items, n_ratings)
    train, test = _ratings(spec)
    tiles = cut_arrays(*train, layout, "tiles", store, InProcess())
    pairs = cut_arrays(*test, layout, "pairs", store, InProcess())
    grid = Grid(tiles, store, InProcess(THREADS))
    options = KNNOptions(aggregation="weighted", rank_by="similarity", num_neighbors=K)
    neighbors, _ = nearest_neighbors(grid, side, "neighbors", options)
    model = KNN(options, neighbors, None, 0.0, {})

    rows: list[Row] = []
    lists, *facts = measured(lambda: model.recommend(grid, N, "lists"))
    rows.append(Row(f"lists of {N}", *facts))
    facts = measured(lambda: model.predict(grid, pairs, "predictions"))[1:]
    rows.append(Row(f"predictions of {len(test[0]):,} pairs", *facts))
    facts = measured(lambda: model.list_reasons(grid, lists, "reasons"))[1:]
    rows.append(Row("reasons of all entries", *facts))

    sp_matmul_topn = installed("sparse_dot_topn").sp_matmul_topn
    known = (neighbors.gathered(store, layout, name) for name in ("indices", "similarity"))
    left, right = _factors(side, train, spec, *known)
    facts = measured(lambda: sp_matmul_topn(left, right, N, n_threads=THREADS, sort=True))[1:]
    products = int(np.diff(right.indptr)[left.indices].sum())
    return [*rows, Row(PEER, *facts, f"{products / 1e9:.2f} G multiply-adds")]


def _factors(
    side: Side, train: Triples, spec: SyntheticSpec, indices: Array, similarity: Array
) -> tuple[csr_matrix, csr_matrix]:
    """Return what the scores are the product of, float64."""
    users, items, values = train
    ratings = csr_matrix((values.astype(np.float64), (users, items)), (spec.n_users, spec.n_items))
    row, rank = np.nonzero((indices != NOBODY) & (similarity > 0))
    weights = csr_matrix(
        (similarity[row, rank], (row, indices[row, rank])), (len(indices), len(indices))
    )
    return (weights, ratings) if side == "user" else (ratings, weights.T.tocsr())


def _ratings(spec: SyntheticSpec) -> tuple[Triples, Triples]:
    """Return synthetic users, items and ratings: four in five, and the others."""
    with tempfile.TemporaryDirectory(prefix="mfspark-bench-") as folder:
        write_synthetic(spec, Path(folder), "parquet")
        table = ds.dataset(Path(folder, "ratings")).to_table()
    users, items = (table[name].to_numpy().astype(np.int64) - 1 for name in ("user_id", "item_id"))
    values = table["rating"].to_numpy().astype(np.float32)
    held_out = np.random.default_rng(1).random(len(values)) < 0.2
    train, test = ((users[m], items[m], values[m]) for m in (~held_out, held_out))
    return train, test
