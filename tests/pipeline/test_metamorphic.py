"""Whole nights of the same ratings in other words: the answers are the same, in other words.

One set of ratings; each night reads it in another unit, around another level, with other ids, in
another order or format. Nights are run when first asked for, and shared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.tables.run import PublishedRun
from tests.support.nights import content_hash, run_night, table

N_USERS, N_ITEMS = 60, 40
RATING = ("baseline", "user_knn", "item_knn", "als", "torch_mf", "bayesian_mf", "svd", "nmf")
"""Models that predict ratings here."""
CENTERED = tuple(name for name in RATING if name not in ("svd", "nmf"))
RANKING = ("popularity", "ials", "slim", "ease")
ALL = (*RATING, *RANKING)
WITH_ALL_TABLES = (
    'evaluation.split="temporal"',  # the random split goes by the ids themselves
    "publish.similar_items=3",
    "publish.heatmap_users=20",
    "completed.max_cells=10000",
)
OPTIONS = (
    *(f"models.{name}.rank=3" for name in ("als", "ials", "torch_mf", "bayesian_mf", "svd", "nmf")),
    *(f"models.{name}.max_iter=4" for name in ("als", "ials")),
    "models.torch_mf.epochs=3",
    "models.bayesian_mf.burn_in=2",
    "models.bayesian_mf.samples=4",
    "models.bayesian_mf.keep=2",
    "models.bayesian_mf.pattern_features=8",
    'models.svd.unrated="baseline"',
    'models.nmf.unrated="masked"',
    "models.nmf.reg=0.05",
    "models.nmf.max_iter=10",
    "models.user_knn.num_neighbors=10",
    "models.item_knn.num_neighbors=10",
    "publish.n=5",
    "publish.clamp=false",  # otherwise ends of the scale are ties
    "publish.similar_items=0",
    "publish.heatmap_users=0",
    "evaluation.k=5",
    "completed.max_cells=0",
)
BY_PEARSON = (
    *(f'models.{name}.similarity="pearson"' for name in ("user_knn", "item_knn")),
    *(f'models.{name}.rank_by="rating"' for name in ("user_knn", "item_knn")),
    'models.user_knn.aggregation="centered"',
)
OWN = {"loss_history": ("seconds",)}
"""Columns of tables that two nights of the same ratings have of their own."""


def made_ratings() -> pd.DataFrame:
    """A third of all cells, in whole stars; neither users nor items are in the order of rows."""
    rng = np.random.default_rng(5)
    taste = rng.normal(size=(N_USERS, 2)) @ rng.normal(size=(2, N_ITEMS))
    taste += rng.normal(size=(N_USERS, 1)) + rng.normal(size=N_ITEMS)
    users, items = np.nonzero(rng.random(taste.shape) < 0.35)
    stars = np.clip(np.round(3.2 + 0.7 * taste[users, items]), 1, 5)
    days = rng.integers(0, 3000, len(users))
    ratings = pd.DataFrame(
        {
            "user_id": 10 + users,
            "item_id": 100 + items,
            "rating": stars,
            "timestamp": 1_000_000_000 + 86_400 * days,
        }
    )
    return ratings.sample(frac=1.0, random_state=1)


def as_csv(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    ratings.to_csv(folder / "ratings.csv", index=False)
    return (folder / "ratings.csv",)


def in_units(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    return as_csv(ratings.assign(rating=20 * ratings.rating), folder)


def on_a_level(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    return as_csv(ratings.assign(rating=7 + ratings.rating), folder)


def renamed(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    """Other integers in the same order, so that ties go the same way."""
    ids = {name: 7 * ratings[name] + 3 for name in ("user_id", "item_id")}
    return as_csv(ratings.assign(**ids), folder)


def shuffled_in_two_files(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    files = folder / "a.csv", folder / "b.csv"
    ratings = ratings.sample(frac=1.0, random_state=2)
    for file, part in zip(files, (ratings[:300], ratings[300:]), strict=True):
        part.to_csv(file, index=False)
    return files


def gzipped_with_semicolons(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    ratings.to_csv(folder / "ratings.csv.gz", index=False, sep=";")
    return (folder / "ratings.csv.gz",)


def as_parquet(ratings: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    ratings.to_parquet(folder / "ratings.parquet", index=False)
    return (folder / "ratings.parquet",)


Written = Callable[[pd.DataFrame, Path], tuple[Path, ...]]
Nights = Callable[[Written, tuple[str, ...], tuple[str, ...]], Path]


@pytest.fixture(scope="module")
def night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """Return what runs a night of the ratings as written, once for each way and configuration."""
    known: dict[object, Path] = {}

    def run(write: Written, models: tuple[str, ...], options: tuple[str, ...]) -> Path:
        key = write, models, options
        if key not in known:
            folder = tmp_path_factory.mktemp(write.__name__)
            files = write(made_ratings(), folder)
            names = "models.run=[{}]".format(",".join(f'"{name}"' for name in models))
            run_night(spark, folder / "wh", *OPTIONS, *options, names, ratings=files)
            known[key] = folder / "wh"
        return known[key]

    return run


def check_same_answers(
    found: Path, expected: Path, models: tuple[str, ...], unit: float = 1.0, level: float = 0.0
) -> None:
    """Predictions are unit * r + level, and lists those of the same items, but for near ties."""
    keys = ["model", "user_id", "item_id"]
    mine, theirs = (table(wh, "test_predictions").set_index(keys) for wh in (found, expected))
    assert set(theirs.reset_index().model) >= set(models)
    both = theirs.join(mine, rsuffix="_found", how="outer")
    np.testing.assert_allclose(
        (both.prediction_found - level) / unit, both.prediction, atol=2e-3, err_msg=str(both)
    )
    rmse = [
        table(wh, "metrics").query("metric == 'rmse'").set_index("model")
        for wh in (found, expected)
    ]
    np.testing.assert_allclose(
        rmse[0].value.sort_index() / unit, rmse[1].value.sort_index(), rtol=1e-3
    )
    mine, theirs = (table(wh, "top_n") for wh in (found, expected))
    keys = ["model", "user_id", "rank"]
    both = theirs.set_index(keys).join(mine.set_index(keys), rsuffix="_found", how="outer")
    both = both[both.index.get_level_values("model").isin(models)]
    assert (both.tier == both.tier_found).all()
    differ = both[both.item_id != both.item_id_found]
    assert len(differ) < 0.01 * len(both), differ
    by_rating = both[both.index.get_level_values("model") != "item_knn"]
    np.testing.assert_allclose((by_rating.score_found - level) / unit, by_rating.score, atol=2e-3)


def test_another_unit_gives_the_same_answers_in_that_unit(night: Nights) -> None:
    """Stars times 20 are percent."""
    stars, percent = (night(write, RATING, ()) for write in (as_csv, in_units))
    check_same_answers(percent, stars, RATING, unit=20.0)


def test_another_unit_gives_the_same_lists_of_models_that_rank(night: Nights) -> None:
    """What is a choice, and what it weighs, does not go by the unit."""
    stars, percent = (night(write, RANKING, ()) for write in (as_csv, in_units))
    keys = ["model", "user_id", "rank"]
    mine, theirs = (table(wh, "top_n").set_index(keys) for wh in (percent, stars))
    both = theirs.join(mine, rsuffix="_found", how="outer")
    assert set(both.reset_index().model) == set(RANKING)
    assert (both.tier == both.tier_found).all()
    assert (both.tier == both.index.get_level_values("model")).mean() > 0.9
    assert (both.item_id != both.item_id_found).mean() < 0.01
    np.testing.assert_allclose(both.score_found, both.score, atol=2e-3)


def test_another_level_gives_the_same_answers_on_that_level(night: Nights) -> None:
    """For models that take ratings off what is common to them."""
    low, high = (night(write, CENTERED, BY_PEARSON) for write in (as_csv, on_a_level))
    check_same_answers(high, low, CENTERED, level=7.0)


def tables_of(first: Path, second: Path) -> list[str]:
    """Return the tables that both nights published, which are the same, but for `runs`."""
    names = [set(PublishedRun(wh).manifest.tables) for wh in (first, second)]
    assert names[0] == names[1] >= {"top_n", "completed", "similar_items", "user_heatmap"}
    return sorted(names[0] - {"runs"})


@pytest.mark.parametrize("write", [shuffled_in_two_files, gzipped_with_semicolons, as_parquet])
def test_the_same_ratings_in_other_files_give_the_same_tables(
    night: Nights, write: Written
) -> None:
    plain, other = (night(how, ALL, WITH_ALL_TABLES) for how in (as_csv, write))
    for name in tables_of(plain, other):
        hashes = [content_hash(wh, name, OWN.get(name, ())) for wh in (plain, other)]
        assert hashes[0] == hashes[1], name


@pytest.mark.parametrize("engine", ["one_task", "spark"])
def test_a_small_night_has_the_tables_of_one_on_spark(night: Nights, engine: str) -> None:
    """Draws of bayesian_mf are those of one task; in sweeps they differ in the last bits."""
    models = tuple(name for name in ALL if (name, engine) != ("bayesian_mf", "spark"))
    on_spark = (*WITH_ALL_TABLES, f'grid.engine="{engine}"')
    here, there = (night(as_csv, models, options) for options in (WITH_ALL_TABLES, on_spark))
    for name in tables_of(here, there):
        hashes = [content_hash(wh, name, OWN.get(name, ())) for wh in (here, there)]
        assert hashes[0] == hashes[1], name


def test_other_names_of_users_and_items_change_nothing_else(night: Nights) -> None:
    plain, other = (night(how, ALL, WITH_ALL_TABLES) for how in (as_csv, renamed))
    for name in tables_of(plain, other):
        mine, theirs = table(other, name), table(plain, name)
        for column in [c for c in theirs if c.endswith(("user_id", "item_id"))]:
            theirs[column] = 7 * theirs[column] + 3
        for tables in (mine, theirs):
            left_out = [*OWN.get(name, ()), "reason"]  # which names items
            tables.drop(columns=left_out, errors="ignore", inplace=True)
        pd.testing.assert_frame_equal(mine, theirs, obj=name)
