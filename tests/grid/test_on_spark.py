"""The Spark grid against the grid in this process: the same kernels must give the same bits."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mfspark.config.models import (
    ALSOptions,
    BayesianMFOptions,
    IALSOptions,
    Penalty,
    SimilarityOptions,
    TorchMFOptions,
)
from mfspark.grid.block_store import BlockStore, MemoryStore, ParquetStore
from mfspark.grid.cut import EPOCH, cut_frame, cut_together
from mfspark.grid.grid import Grid
from mfspark.grid.layout import GridLayout, TileSet
from mfspark.grid.runners import InProcess, OnSpark, ReadEach
from mfspark.grid.strips import Selection
from mfspark.grid.training import Algorithm, Checkpoint, State, train, train_in_one_task
from mfspark.kernels.arrays.tile import Arrays
from mfspark.models.bayesian.bayesian_mf import BayesianMF
from mfspark.models.factor_model import StartRows
from mfspark.models.factorization import als, ials
from mfspark.models.factorization.torch_mf import MeetBlocks, TorchMF
from mfspark.models.neighbors.search import nearest_neighbors
from mfspark.schemas import TIMESTAMP
from mfspark.storage.posix import PosixStorage
from mfspark.system.spark import master_of
from mfspark.tables.task_files import read_back, write_files
from tests.support.grids import Array, Ratings, at_times, bits, cut, stars

RATINGS = at_times(stars(1, 31, 20, 0.3), 1, 9)
P, Q = 2, 3
GIBBS = BayesianMFOptions(rank=3, burn_in=1, samples=1, pattern_features=4, user_time_bins=(3, 1))
PENALTY = Penalty(0.1, 15)
SGD = TorchMFOptions(rank=3, epochs=2, batch_size=16, optimizer="adam")


def frame_of(spark: SparkSession, ratings: Ratings, partitions: int = 1) -> DataFrame:
    columns: dict[str, Any] = {
        "user_idx": ratings.users.astype(np.int32),
        "item_idx": ratings.items.astype(np.int32),
        "rating": ratings.values,
    }
    if ratings.minutes is not None:
        moments = [
            None if np.isnan(minute) else EPOCH + timedelta(minutes=minute, seconds=59)
            for minute in ratings.minutes
        ]
        columns["rated_at"] = pa.array(moments, TIMESTAMP)
    return spark.createDataFrame(pa.table(columns)).repartition(partitions)


def all_tiles(tiles: TileSet, store: BlockStore) -> list[dict[str, bytes]]:
    layout = tiles.layout
    return [
        {name: array.tobytes() for name, array in store.get(each.strip(side, b), q).items()}
        for each in ([tiles, tiles.times] if tiles.timed else [tiles])
        for side, other in (("user", "item"), ("item", "user"))
        for b in range(layout.blocks(side))  # type: ignore[arg-type]
        for q in range(layout.blocks(other))  # type: ignore[arg-type]
    ]


@pytest.fixture
def grids(spark: SparkSession, tmp_path: Path) -> tuple[Grid, Grid]:
    """One set of ratings on both grids, in the same blocks."""
    memory = MemoryStore(behind=MemoryStore())
    files = ParquetStore(PosixStorage(str(tmp_path)), "blocks")
    here = Grid(cut(RATINGS, P, Q, "tiles", memory), memory, InProcess())
    runner = OnSpark(spark, PosixStorage(str(tmp_path)))
    there = Grid(cut(RATINGS, P, Q, "tiles", files), files, runner)
    return here, there


@pytest.mark.parametrize(
    ("ratings", "blocks"), [(RATINGS, (P, Q)), (stars(2, 4, 3, 0.5), (6, 2))], ids=["2x3", "empty"]
)
def test_cut_frame_gives_the_tiles_of_cut_arrays(
    spark: SparkSession, tmp_path: Path, ratings: Ratings, blocks: tuple[int, int]
) -> None:
    """However the rows are ordered and partitioned; also with more blocks than users."""
    memory = MemoryStore()
    expected = cut(ratings, *blocks, "tiles", memory)
    for number, partitions in enumerate((1, 5)):
        store = ParquetStore(PosixStorage(str(tmp_path)), str(number))
        frame = frame_of(spark, ratings.shuffled(number), partitions)
        timed = ratings.minutes is not None
        place = expected.layout, "tiles", store, OnSpark(spark, PosixStorage(str(tmp_path)))
        tiles = cut_frame(frame, *place, timed=timed)
        assert tiles == expected
        assert all_tiles(tiles, store) == all_tiles(expected, memory)


def test_cut_frame_keeps_ratings_exactly(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ratings = replace(RATINGS, values=RATINGS.values + rng.random(len(RATINGS)) / 7)
    store = ParquetStore(PosixStorage(str(tmp_path)), "blocks")
    layout = GridLayout(ratings.n_users, ratings.n_items, P, Q)
    runner = OnSpark(spark, PosixStorage(str(tmp_path)))
    frame = frame_of(spark, ratings.shuffled(3), 3)
    tiles = TileSet.from_record(
        asdict(cut_frame(frame, layout, "tiles", store, runner, exact=True))
    )
    for block in range(P):
        mine = ratings.dense[layout.indices("user", block)]
        assert tiles.exact_values(store, block).tolist() == mine[~np.isnan(mine)].tolist()


def test_selections_cut_together_are_those_cut_alone(spark: SparkSession, tmp_path: Path) -> None:
    """Sums included, to the last bit, of ratings whose sums depend on their order."""
    rng = np.random.default_rng(1)
    ratings = replace(RATINGS, values=RATINGS.values + rng.normal(size=len(RATINGS)))
    frame = frame_of(spark, ratings, 3).withColumn("is_test", F.expr("item_idx % 3 = 0"))
    store, memory = ParquetStore(PosixStorage(str(tmp_path)), "blocks"), MemoryStore()
    layout = GridLayout(ratings.n_users, ratings.n_items, P, Q)
    runner = OnSpark(spark, PosixStorage(str(tmp_path)))
    names = {"train": False, "test": True, "all": None}
    selections = [Selection(name, is_test) for name, is_test in names.items()]
    sets = cut_together(frame, layout, selections, store, runner, timed=True)
    is_test = ratings.items % 3 == 0
    masks = {"train": ~is_test, "test": is_test, "all": np.ones(len(ratings), bool)}
    for tiles, (name, mask) in zip(sets, masks.items(), strict=True):
        expected = cut(ratings.take(mask), P, Q, name, memory)
        assert tiles == expected
        assert all_tiles(tiles, store) == all_tiles(expected, memory)


def test_cut_frame_of_no_ratings(spark: SparkSession, tmp_path: Path) -> None:
    """What a split without test ratings asks for."""
    none = frame_of(spark, RATINGS).filter("rating > 99")
    store = ParquetStore(PosixStorage(str(tmp_path)), "blocks")
    layout = GridLayout(RATINGS.n_users, RATINGS.n_items, P, Q)
    tiles = cut_frame(none, layout, "tiles", store, OnSpark(spark, PosixStorage(str(tmp_path))))
    assert (tiles.n_ratings, tiles.mean) == (0, 0.0)
    assert len(all_tiles(tiles, store)) == 2 * P * Q


def test_the_passes_give_the_same_bits(grids: tuple[Grid, Grid]) -> None:
    ends = []
    for grid in grids:
        user, _ = grid.sweep("user", "start", StartRows(3, 0.1, seed=5))
        item, _ = grid.sweep("item", "start", StartRows(3, 0.1, seed=5))
        meet = MeetBlocks(SGD, PENALTY, 3.2, 1.0, 42, 1, grid.layout)
        new_user, new_item, numbers = grid.strata("epoch", meet, user, item)
        options = SimilarityOptions(num_neighbors=5)
        neighbors, _ = nearest_neighbors(grid, "user", "neighbors", options)
        ends.append((numbers, bits(grid.store, user, item, new_user, new_item, neighbors)))
    assert ends[0][0]["n_train"] == len(RATINGS)
    assert ends[0] == ends[1]


ALGORITHMS: list[Callable[[], Algorithm]] = [
    lambda: als.algorithm(ALSOptions(rank=3, max_iter=2), PENALTY, 3.2, 42),
    lambda: ials.algorithm(IALSOptions(rank=3, max_iter=2), 42),
    lambda: BayesianMF(GIBBS, 3.2, 1.1, 42),
    lambda: TorchMF(SGD, PENALTY, 3.2, 42),
]


def losses(state: State) -> list[tuple[int, str, float]]:
    return [(loss.iteration, loss.split, loss.value) for loss in state.history]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=["als", "ials", "gibbs", "torch_mf"])
def test_training_gives_the_same_bits(
    spark: SparkSession,
    grids: tuple[Grid, Grid],
    tmp_path: Path,
    algorithm: Callable[[], Algorithm],
) -> None:
    """In this process, as Spark jobs, and inside one Spark task."""
    here, there = grids

    def checkpoint(name: str) -> Checkpoint:
        return Checkpoint(PosixStorage(str(tmp_path)), f"{name}.json", "one")

    local = train(here, algorithm(), "fit", checkpoint("local"))
    swept = train(there, algorithm(), "fit", checkpoint("swept"))
    assert losses(swept) == losses(local)
    assert bits(there.store, swept.user, swept.item) == bits(here.store, local.user, local.item)

    alone = train_in_one_task(
        there.runner,
        master_of(spark),
        there.tiles,
        there.store,
        algorithm(),
        "alone",
        checkpoint("alone"),
    )
    assert losses(alone) == losses(local)
    assert bits(there.store, alone.user, alone.item) == bits(here.store, local.user, local.item)
    files = {str(p.relative_to(tmp_path / "blocks")) for p in tmp_path.rglob("alone/**/*.parquet")}
    assert files == {f"{reference}.parquet" for reference in alone.references}


def test_numbers_come_in_the_order_of_the_tasks(spark: SparkSession, tmp_path: Path) -> None:
    numbers = OnSpark(spark, PosixStorage(str(tmp_path))).run(
        5, lambda i: {"i": float(i), "third": i / 3}, "count"
    )
    assert numbers == [{"i": float(i), "third": i / 3} for i in range(5)]


def test_a_failing_kernel_is_raised_with_its_message(grids: tuple[Grid, Grid]) -> None:
    def fail(indices: Array) -> Arrays:
        raise ValueError(f"no such user: {indices[0]}")

    for grid in grids:
        with pytest.raises(Exception, match="no such user"):
            grid.create("user", "wrong", fail)


def test_tables_are_made_of_every_block_once(
    spark: SparkSession, grids: tuple[Grid, Grid], tmp_path: Path
) -> None:
    _, there = grids
    users, _ = there.sweep("user", "start", StartRows(2, 0.1, seed=5))
    schema = pa.schema([("thing", pa.int32()), ("user_idx", pa.int64()), ("n", pa.int64())])
    store, layout = there.store, there.layout

    def read(thing: int, block: int) -> pa.RecordBatch:
        rows = layout.indices("user", block)
        n = store.get(users.references[block])["n"]
        return pa.record_batch([np.full(len(rows), thing, np.int32), rows, n], schema=schema)

    each = ReadEach([partial(read, 7), partial(read, 8)], P)
    storage = PosixStorage(str(tmp_path))
    for hand_few in (True, False):
        written = write_files(
            each.numbers(spark), storage, "table", schema, each.rows, hand_few=hand_few
        )
        rows = read_back(written, schema).to_pydict()
        degrees = (~np.isnan(RATINGS.dense)).sum(1)
        assert sorted(zip(*rows.values(), strict=True)) == sorted(
            (thing, u, int(degrees[u])) for thing in (7, 8) for u in range(RATINGS.n_users)
        )


def test_imports_are_no_part_of_the_garbage_collection_after_every_task(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A worker collects after each task, and what torch and pandas brought would take 0.15 s."""

    def left_to_look_through(_: int) -> dict[str, float]:
        import torch  # noqa: F401

        return {"objects": len(gc.get_objects())}

    runner = OnSpark(spark, PosixStorage(str(tmp_path)))
    for _ in range(3):
        found = runner.run(2, left_to_look_through, "objects")
    assert max(numbers["objects"] for numbers in found) < 20_000
