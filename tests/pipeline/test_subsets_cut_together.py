"""Train, test and all ratings as one pass cuts them, against each cut alone from its frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.errors import InputError
from mfspark.grid.cut import cut_frame
from mfspark.grid.layout import TileSet
from mfspark.models.records import INGEST, Subset, cut_key
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.dataset import Dataset
from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request, execute
from mfspark.schemas import SIDES, other
from mfspark.system.spark import Session
from tests.support.nights import DATE

SUBSETS: tuple[Subset, ...] = ("train", "test", "all")


def dataset_of(
    spark: SparkSession, folder: Path, *overrides: str, test: pd.DataFrame | None = None
) -> Dataset:
    """Return what ingest brings in of 40 users' ratings, with fractions that float32 rounds."""
    rng = np.random.default_rng(1)
    users, items = np.nonzero(rng.random((40, 25)) < 0.4)
    ratings = pd.DataFrame({"user": users, "item": items, "rating": 5 * rng.random(len(users))})
    ratings["timestamp"] = 1_700_000_000 + rng.integers(0, 999, len(users)) * 3_600
    ratings.sample(frac=1, random_state=1).to_csv(folder / "ratings.csv", index=False)
    files: dict[str, Any] = {}
    if test is not None:
        test.to_csv(folder / "test.csv", index=False)
        files["test"] = (str(folder / "test.csv"),)
    request = Request(
        "ingest",
        ratings=(str(folder / "ratings.csv"),),
        warehouse=str(folder / "warehouse"),
        run_date=DATE,
        overrides=("grid.blocks=3", *overrides),
        **files,
    )
    night = execute(request, LoggedProgress())
    context = RunContext(Session(lambda: spark), night)
    return Dataset(context, night.record(INGEST), files.get("test", ()))


def cut_alone(dataset: Dataset, subset: Subset) -> TileSet:
    context = dataset.context
    return cut_frame(
        dataset.ratings(subset),
        dataset.layout,
        f"alone/{subset}",
        context.store,
        context.runner,
        timed=context.config.models.uses_times,
        exact=subset == "test",
    )


def content(dataset: Dataset, tiles: TileSet) -> list[Any]:
    """Return facts and bytes of all tiles, times and exact ratings."""
    store, layout = dataset.context.store, tiles.layout
    found: list[Any] = [replace(tiles, name="")]
    for each in [tiles, tiles.times] if tiles.timed else [tiles]:
        for side in SIDES:
            for block in range(layout.blocks(side)):
                for across in range(layout.blocks(other(side))):
                    arrays = store.get(each.strip(side, block), across)
                    found.append({name: array.tobytes() for name, array in arrays.items()})
    if tiles.exact:
        values = [tiles.exact_values(store, block) for block in range(layout.user_blocks)]
        found += [each.tobytes() for each in values]
    return found


@pytest.mark.parametrize(
    "overrides",
    [
        ('evaluation.split="random"',),
        ('evaluation.split="temporal"',),
        ('evaluation.split="leave_last"',),
        ('evaluation.split="random"', "evaluation.refit=false"),
        ('evaluation.split="none"',),
        ('models.run=["bayesian_mf"]', "models.bayesian_mf.user_time_bins=[3,1]"),
    ],
    ids=["random", "temporal", "leave_last", "no refit", "none", "times"],
)  # fmt: skip
def test_the_same_bits_as_cut_alone(
    spark: SparkSession, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    """In whatever order they are asked for."""
    dataset = dataset_of(spark, tmp_path, *overrides)
    assert dataset.context.config.models.uses_times == ("time_bins" in str(overrides))
    empty = {"test"} if "none" in str(overrides) else set()  # its range, of nothing, has no record
    for subset in [each for each in reversed(SUBSETS) if each not in empty]:
        found = dataset.tiles(subset)
        assert found.timed == dataset.context.config.models.uses_times
        assert content(dataset, found) == content(dataset, cut_alone(dataset, subset))


def test_one_pass_records_them_all(spark: SparkSession, tmp_path: Path) -> None:
    dataset = dataset_of(spark, tmp_path)
    dataset.tiles("test")
    assert all(dataset.context.night.finished(cut_key(subset)) for subset in SUBSETS)


def test_all_ratings_are_not_cut_where_only_train_is_published(
    spark: SparkSession, tmp_path: Path
) -> None:
    dataset = dataset_of(spark, tmp_path, "evaluation.refit=false")
    dataset.tiles("train")
    found = [dataset.context.night.finished(cut_key(subset)) for subset in SUBSETS]
    assert found == [True, True, False]


def test_given_test_ratings_do_not_become_those_of_all(spark: SparkSession, tmp_path: Path) -> None:
    """The table has the newer ratings of the training file; the test part those of its own."""
    old = {"user": [3, 4, 5], "item": [0, 0, 0], "rating": [1.7, 1.7, 1.7], "timestamp": [1, 1, 1]}
    dataset = dataset_of(spark, tmp_path, test=pd.DataFrame(old))
    sets = {subset: dataset.tiles(subset) for subset in SUBSETS}
    for subset, tiles in sets.items():
        assert content(dataset, tiles) == content(dataset, cut_alone(dataset, subset))
    assert sets["test"].n_ratings == 3
    assert (sets["test"].low, sets["test"].high) == (1.7, 1.7)
    table = dataset.ratings("all").toPandas()
    assert sets["all"].n_ratings == len(table)
    assert sets["all"].mean == pytest.approx(table.rating.mean(), rel=1e-14)
    together = sets["train"].n_ratings + 3
    assert len(table) == together


def test_nothing_to_train_on(spark: SparkSession, tmp_path: Path) -> None:
    """All ratings can still be had, and so can the test part."""
    ratings = pd.DataFrame(
        [(user, item, 3.0, 1) for user in range(40) for item in range(25)],
        columns=["user", "item", "rating", "timestamp"],
    )
    dataset = dataset_of(spark, tmp_path, test=ratings)
    with pytest.raises(InputError, match="no rating to train on"):
        dataset.tiles("train")
    assert dataset.tiles("test").n_ratings == dataset.tiles("all").n_ratings == 1000
