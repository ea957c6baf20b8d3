from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.config.loading import load_config
from mfspark.errors import ConfigError, InputError
from mfspark.evaluation.catalog import NDCG
from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request
from mfspark.pipeline.tuning.outcome import tuned_toml
from mfspark.pipeline.tuning.run import Tuning, tune
from tests.support.nights import run_night, table

DATE = "2026-11-22"
IALS = ("models.run=['ials']", "tune.trials=5", "models.ials.max_iter=8", "models.ials.rank=8")
SPACE = "tune.spaces.ials={rank={low=4,high=24,log=true},reg={low=0.001,high=0.3,log=true}}"


def ratings(folder: Path, n_users: int = 120, n_items: int = 60, *, seed: int = 5) -> Path:
    """Write whole stars with two tastes: each half of the users likes one half of the items."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.35)
    alike = (users % 2) == (items % 2)
    stars = np.clip(np.round(3 + 1.5 * np.where(alike, 1, -1) + rng.normal(size=len(users))), 1, 5)
    days = rng.integers(1, 900, len(users))
    made = pd.DataFrame(
        {
            "userId": users,
            "movieId": items,
            "rating": stars,
            "timestamp": 1_600_000_000 + 86_400 * days,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    made.to_csv(folder / "ratings.csv", index=False)
    return folder / "ratings.csv"


def request(warehouse: Path, file: Path, *overrides: str) -> Request:
    return Request(
        "run", ratings=(str(file),), warehouse=str(warehouse), run_date=DATE, overrides=overrides
    )


def tuned(spark: SparkSession, warehouse: Path, file: Path, *overrides: str) -> Tuning:
    assert spark.getActiveSession() is not None
    return tune(request(warehouse, file, *overrides), LoggedProgress())


def trials(warehouse: Path) -> dict[str, Any]:
    """Return the content of every file of the studies, but for what the clock says."""
    found: dict[str, Any] = {}
    for path in sorted((warehouse / "tuning").rglob("*.json")):
        content = json.loads(path.read_text())
        content.pop("seconds", None)
        found[str(path.relative_to(warehouse))] = content
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ratings(tmp_path_factory.mktemp("ratings"))


@pytest.fixture(scope="module")
def done(spark: SparkSession, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Five trials of ials."""
    warehouse = tmp_path_factory.mktemp("tuned") / "warehouse"
    return warehouse, tuned(spark, warehouse, file, *IALS, SPACE)


def test_trials_have_a_metric_each_and_nothing_is_published(done: Any) -> None:
    warehouse, tuning = done
    (model,) = tuning.models
    assert (model.name, model.metric, len(model.trials)) == ("ials", NDCG, 5)
    assert all(0 < t.value <= 1 for t in model.trials if t.outcome == "complete")
    assert not (warehouse / "CURRENT").exists()
    assert list((warehouse / "scratch").iterdir()) == []
    assert "split random; the test part was not looked at" in tuning.what


@pytest.mark.parametrize("split", ["random", "temporal", "leave_last"])
def test_the_test_part_changes_nothing(spark: SparkSession, tmp_path: Path, split: str) -> None:
    file = ratings(tmp_path / "one")
    options = (*IALS, SPACE, f"evaluation.split={split}", "tune.trials=3")
    tuned(spark, tmp_path / "a", file, *options)
    night = ("models.run=['popularity']", f"evaluation.split={split}")
    run_night(spark, tmp_path / "c", *night, ratings=(file,))
    held_out = table(tmp_path / "c", "test_predictions")
    test = set(zip(held_out.user_id, held_out.item_id, strict=True))
    frame = pd.read_csv(file)
    is_test = [pair in test for pair in zip(frame.userId, frame.movieId, strict=True)]
    assert 50 < sum(is_test) < len(frame) / 2
    other = frame.assign(rating=frame.rating.mask(is_test, 6 - frame.rating))
    other.to_csv(tmp_path / "other.csv", index=False)
    tuned(spark, tmp_path / "b", tmp_path / "other.csv", *options)
    assert trials(tmp_path / "a") == trials(tmp_path / "b")
    if split != "random":
        return
    changed = frame.assign(rating=frame.rating.mask(~np.array(is_test), 6 - frame.rating))
    changed.to_csv(tmp_path / "other.csv", index=False)
    tuned(spark, tmp_path / "d", tmp_path / "other.csv", *options)
    assert trials(tmp_path / "a").keys().isdisjoint(trials(tmp_path / "d"))


def test_the_same_request_finds_its_trials_and_goes_on(
    spark: SparkSession, file: Path, tmp_path: Path, done: Any
) -> None:
    first = tuned(spark, tmp_path, file, *IALS, SPACE, "tune.trials=3")
    assert len(first.models[0].trials) == 3
    went_on = tuned(spark, tmp_path, file, *IALS, SPACE)
    assert went_on.models[0].trials[:3] == first.models[0].trials
    assert trials(tmp_path) == trials(done[0])
    again = tuned(spark, tmp_path, file, *IALS, SPACE)
    assert again.models[0].trials == went_on.models[0].trials


def test_on_the_whole_grid_the_figures_are_the_same(
    spark: SparkSession, file: Path, tmp_path: Path, done: Any
) -> None:
    tuning = tuned(spark, tmp_path, file, *IALS, SPACE, "grid.engine=spark", "tune.trials=2")
    whole = [trial.value for trial in tuning.models[0].trials]
    in_tasks = [trial.value for trial in done[1].models[0].trials[:2]]
    assert whole == pytest.approx(in_tasks, abs=1e-6)


def test_every_model_with_a_space_is_tuned_by_what_it_is_for(
    spark: SparkSession, file: Path, tmp_path: Path
) -> None:
    names = "models.run=['popularity','baseline','als','item_knn','bayesian_mf','torch_mf']"
    few = ("models.bayesian_mf.burn_in=2", "models.bayesian_mf.samples=4", "tune.at_once=2")
    small = "tune.spaces.torch_mf={rank=[2,4]}"
    tuning = tuned(spark, tmp_path, file, names, *few, small, "tune.trials=2")
    assert {model.name: model.metric.name for model in tuning.models} == {
        "baseline": "rmse",
        "als": "rmse",
        "item_knn": "ndcg",
        "bayesian_mf": "rmse",
        "torch_mf": "rmse",
    }
    for model in tuning.models:
        assert model.trials[0].outcome == "complete", model.name
        assert 0.2 < (model.trials[0].value or 0) < 1.9, model.name


def test_an_interruption_keeps_what_was_found(
    spark: SparkSession, file: Path, tmp_path: Path
) -> None:
    class Impatient(LoggedProgress):
        def step(self, label: str) -> Any:
            if label.startswith("ials trials 4"):
                raise KeyboardInterrupt
            return super().step(label)

    assert spark.getActiveSession() is not None
    tuning = tune(request(tmp_path, file, *IALS, SPACE), Impatient())
    (model,) = tuning.models
    assert tuning.interrupted
    assert len(model.trials) == 4
    assert model.gain is None


def test_the_file_goes_over_the_configuration(done: Any, tmp_path: Path) -> None:
    _, tuning = done
    text = tuned_toml(tuning.models, tuning.run_date, tuning.what)
    (tmp_path / "tuned.toml").write_text(text)
    (model,) = tuning.models
    values = tomllib.loads(text)
    assert values == ({"models": {"ials": dict(model.chosen)}} if model.chosen else {})
    config = load_config((tmp_path / "tuned.toml",), IALS[:1])
    for key, value in model.chosen.items():
        assert getattr(config.models.ials, key) == value
    assert all(line.startswith("#") for line in text.splitlines()[:3])


def test_too_few_ratings_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.csv"
    tiny.write_text("userId,movieId,rating\n1,1,5\n1,2,4\n2,1,5\n")
    with pytest.raises(InputError, match="too few to hold some out"):
        tuned(spark, tmp_path / "w", tiny, *IALS)


def test_no_relevant_rating_is_refused(spark: SparkSession, tmp_path: Path, file: Path) -> None:
    with pytest.raises(InputError, match="is relevant"):
        tuned(
            spark,
            tmp_path / "w",
            file,
            *IALS,
            "evaluation.relevant_rating=6",
            "feedback.choices_from=3",
        )


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (("models.run=['popularity']",), "popularity has nothing to tune"),
        (("models.run=['ials']", "tune.metric=rmse"), "ials predicts no ratings"),
    ],
)
def test_nothing_to_tune_is_refused(
    tmp_path: Path, file: Path, overrides: tuple[str, ...], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        tune(request(tmp_path, file, *overrides), LoggedProgress())


def test_choices_without_ratings_are_tuned_by_their_lists(
    spark: SparkSession, tmp_path: Path, file: Path
) -> None:
    frame = pd.read_csv(file).drop(columns="rating")
    frame.to_csv(tmp_path / "choices.csv", index=False)
    tuning = tuned(spark, tmp_path / "w", tmp_path / "choices.csv", *IALS, SPACE, "tune.trials=2")
    assert [model.metric.name for model in tuning.models] == ["ndcg"]
