"""Whole nights: reruns, resumed nights, nights in sequence, and cuts that must not matter."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.pipeline.progress import LoggedProgress
from mfspark.samples.survey import survey_files
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.schemas import table_names
from tests.support.nights import (
    FEW_DRAWS,
    LISTS_OF_RATINGS,
    RANK,
    RATE,
    check_lists,
    content_hash,
    run_night,
    table,
)

SMALL = (
    *(f"models.{name}.rank=4" for name in ("als", "ials", "bayesian_mf", "torch_mf")),
    "models.torch_mf.epochs=3",
    *FEW_DRAWS,
)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of 120 users for 60 items, with planted structure."""
    folder = tmp_path_factory.mktemp("synthetic")
    write_synthetic(SyntheticSpec(n_users=120, n_items=60, n_ratings=2400, seed=3), folder, "csv")
    return folder


@pytest.fixture(scope="module")
def night(spark: SparkSession, synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed night with every model."""
    warehouse = tmp_path_factory.mktemp("night")
    run_night(spark, warehouse, *SMALL, **inputs(synthetic))
    return warehouse


def inputs(folder: Path) -> dict[str, tuple[Path, ...]]:
    return {"ratings": (folder / "ratings.csv",), "items": (folder / "items.csv",)}


def test_every_table_is_published_and_holds_no_nan(night: Path) -> None:
    for name in table_names():
        frame = table(night, name)
        assert len(frame) > 0 or name == "rejected_ratings", name
        for column in frame.select_dtypes("number"):
            assert not np.isinf(frame[column]).any(), f"{name}.{column}"
    for name in ("user_factors", "item_factors"):
        factors = np.concatenate(table(night, name).factors.to_list())
        assert np.isfinite(factors).all()
    assert table(night, "test_predictions").prediction.notna().all()


def test_lists_keep_their_contract(night: Path) -> None:
    top_n = check_lists(night, n=10)
    assert set(top_n.model) == RATE | RANK
    assert top_n.title.notna().all()
    rated = top_n[top_n.model.isin(LISTS_OF_RATINGS)]
    assert rated.score.between(0.5, 5.0).all()


def test_metrics_stand_beside_the_baselines(night: Path) -> None:
    metrics = table(night, "metrics")
    ranking = metrics[metrics.metric == "ndcg"]
    assert set(ranking.model) == RATE | RANK
    rmse = metrics[metrics.metric == "rmse"].set_index("model")
    assert set(rmse.index) == RATE
    predictions = table(night, "test_predictions")
    for model, rows in predictions.groupby("model"):
        by_hand = np.sqrt(((rows.prediction - rows.rating) ** 2).mean())
        assert rmse.loc[str(model), "value"] == pytest.approx(by_hand, abs=1e-9)
        assert rmse.loc[str(model), "low"] < by_hand < rmse.loc[str(model), "high"]


def test_a_rerun_of_a_published_night_changes_nothing(
    spark: SparkSession, night: Path, synthetic: Path
) -> None:
    before = (night / "CURRENT").read_bytes()
    progress = LoggedProgress()
    again = run_night(spark, night, *SMALL, **inputs(synthetic), progress=progress)
    assert again.published
    assert progress.run_id == again.run_id
    assert (night / "CURRENT").read_bytes() == before


class KilledError(Exception):
    """Stands for a kill in the middle of a night."""


class KilledIn(LoggedProgress):
    """Ends a night at the beginning of one step."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label

    @contextmanager
    def step(self, label: str):
        """Raise at the chosen step."""
        if label == self._label:
            raise KilledError
        with super().step(label):
            yield


def test_a_night_killed_twice_goes_on_and_publishes_the_same_content(
    spark: SparkSession, night: Path, synthetic: Path, tmp_path: Path
) -> None:
    for label, done in (("train torch_mf", "fit-train-als"), ("publish", "fit-all-torch_mf")):
        with pytest.raises(KilledError):
            run_night(spark, tmp_path, *SMALL, **inputs(synthetic), progress=KilledIn(label))
        assert not (tmp_path / "CURRENT").exists()
        finished = {path.stem for path in tmp_path.glob("scratch/*/stages/*.json")}
        assert done in finished
    run_night(spark, tmp_path, *SMALL, **inputs(synthetic))
    for name in ("ratings", "items", "top_n", "user_factors", "metrics", "completed"):
        assert content_hash(tmp_path, name) == content_hash(night, name), name


def shuffled(folder: Path, target: Path) -> Path:
    ratings = pd.read_csv(folder / "ratings.csv").sample(frac=1.0, random_state=5)
    ratings.to_csv(target / "ratings.csv", index=False)
    (target / "items.csv").write_bytes((folder / "items.csv").read_bytes())
    return target


@pytest.mark.parametrize(("blocks", "engine"), [(1, "spark"), (2, "spark"), (7, "one_task")])
def test_the_cut_and_the_order_of_rows_do_not_matter(
    spark: SparkSession, night: Path, synthetic: Path, tmp_path: Path, blocks: int, engine: str
) -> None:
    cut = (f"grid.blocks={blocks}", f'grid.engine="{engine}"')
    models = ('models.run=["user_knn","als"]', 'evaluation.split="none"', "completed.max_cells=0")
    cut = (*cut, 'similarity.tables="all"')
    source = shuffled(synthetic, tmp_path)
    run_night(spark, tmp_path / "wh", *SMALL, *cut, *models, **inputs(source))
    for name in ("ratings", "users", "items", "user_neighbors", "item_neighbors"):
        assert content_hash(tmp_path / "wh", name) == content_hash(night, name), name
    mine, theirs = table(tmp_path / "wh", "top_n"), table(night, "top_n")
    knn = [frame[frame.model == "user_knn"].reset_index(drop=True) for frame in (mine, theirs)]
    pd.testing.assert_frame_equal(*knn, check_exact=True)
    factors = [
        table(warehouse, "user_factors").query("model == 'als'").set_index("user_id")
        for warehouse in (tmp_path / "wh", night)
    ]
    matrices = [np.stack(frame.sort_index().factors.to_list()) for frame in factors]
    assert np.abs(matrices[0] - matrices[1]).max() < 1e-3


def test_indices_stay_on_the_next_night(
    spark: SparkSession, synthetic: Path, tmp_path: Path
) -> None:
    quick = ('models.run=["baseline"]', 'evaluation.split="none"')
    run_night(spark, tmp_path, *quick, **inputs(synthetic))
    users, items = (table(tmp_path, name) for name in ("users", "items"))
    more = tmp_path / "more.csv"
    more.write_text("userId,movieId,rating,timestamp\n0,1,4.0,1700000000\n9999,0,3.0,1700000000\n")
    both = {"ratings": (synthetic / "ratings.csv", more)}
    night = run_night(spark, tmp_path, *quick, **both, run_date="2026-11-23")
    assert night.current_run == table(tmp_path, "runs").parent[0]
    later = table(tmp_path, "users").set_index("user_id").user_idx
    before = users.set_index("user_id").user_idx
    assert (later.loc[before.index] == before).all()
    assert sorted(later.drop(before.index).to_dict().items()) == [(0, 120), (9999, 121)]
    later = table(tmp_path, "items").set_index("item_id").item_idx
    before = items.set_index("item_id").item_idx
    assert (later.loc[before.index] == before).all()


def test_given_test_ratings(spark: SparkSession, synthetic: Path, tmp_path: Path) -> None:
    ratings = pd.read_csv(synthetic / "ratings.csv")
    test = ratings.sample(200, random_state=1)
    test.to_csv(tmp_path / "test.csv", index=False)
    ratings.drop(test.index).to_csv(tmp_path / "train.csv", index=False)
    run_night(
        spark,
        tmp_path / "wh",
        'evaluation.split="given"',
        'models.run=["baseline"]',
        ratings=(tmp_path / "train.csv",),
        test=(tmp_path / "test.csv",),
    )
    predictions = table(tmp_path / "wh", "test_predictions")
    measured = set(zip(predictions.user_id, predictions.item_id, strict=True))
    assert measured == set(zip(test.userId, test.movieId, strict=True))
    assert len(table(tmp_path / "wh", "ratings")) == len(ratings)


def test_given_test_ratings_are_the_labels_of_their_pairs(
    spark: SparkSession, synthetic: Path, tmp_path: Path
) -> None:
    """A training file may have other ratings of the same pairs, and newer ones; some are later."""
    ratings = pd.read_csv(synthetic / "ratings.csv")
    test = ratings.sample(200, random_state=1)
    old, late = test.assign(rating=0.5, timestamp=0), test[:1].assign(rating=0.5)
    late["timestamp"] = 1_900_000_000  # after the night
    again = pd.concat([test, old, late])
    again.to_csv(tmp_path / "test.csv", index=False)
    newer = ratings.timestamp + 7 * ratings.index.isin(test.index)
    ratings.assign(rating=5.5 - ratings.rating, timestamp=newer).to_csv(
        tmp_path / "train.csv", index=False
    )
    run_night(
        spark,
        tmp_path / "wh",
        'evaluation.split="given"',
        'models.run=["baseline"]',
        ratings=(tmp_path / "train.csv",),
        test=(tmp_path / "test.csv",),
    )
    keys = ["user_id", "item_id"]
    predicted = table(tmp_path / "wh", "test_predictions").query("model == 'baseline'")
    expected = test.rename(columns={"userId": "user_id", "movieId": "item_id"}).set_index(keys)
    assert predicted.set_index(keys).rating.to_dict() == expected.rating.to_dict()
    known = table(tmp_path / "wh", "ratings").set_index(keys).rating  # the newest of all
    assert (known.loc[expected.index] == 5.5 - expected.rating).all()


@pytest.mark.parametrize("split", ["temporal", "leave_last"])
def test_splits_by_time(spark: SparkSession, synthetic: Path, tmp_path: Path, split: str) -> None:
    override = (f'evaluation.split="{split}"', 'models.run=["baseline"]')
    run_night(spark, tmp_path, *override, **inputs(synthetic))
    metrics = table(tmp_path, "metrics")
    assert set(metrics.split) == {split}
    assert metrics[metrics.metric == "rmse"].value.between(0.5, 1.5).all()


def test_asking_for_more_than_there_is(spark: SparkSession, tmp_path: Path) -> None:
    run_night(
        spark,
        tmp_path,
        "publish.n=50",
        "evaluation.k=50",
        *(f"models.{name}.rank=60" for name in ("als", "ials", "bayesian_mf", "torch_mf")),
        *FEW_DRAWS,
        "models.torch_mf.epochs=2",
        "models.user_knn.num_neighbors=500",
        ratings=(survey_files(),),
    )
    check_lists(tmp_path, n=50)
    neighbors = table(tmp_path, "user_neighbors")
    assert neighbors.groupby("user_id").size().max() == 44
    assert (neighbors.user_id != neighbors.neighbor_user_id).all()


def test_unwritable_warehouse(spark: SparkSession, tmp_path: Path) -> None:
    from mfspark.errors import ConfigError

    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(ConfigError, match="file"):
        run_night(spark, tmp_path / "file" / "wh")
