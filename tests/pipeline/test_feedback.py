"""Nights of choices without ratings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mfspark.config.config import Config
from mfspark.config.models import Models
from mfspark.config.publish import ServingOptions
from mfspark.errors import ConfigError, InputError
from mfspark.models.records import INGEST
from mfspark.models.registry import MODELS
from mfspark.pipeline.feedback import with_feedback
from mfspark.queries.summary import summarise
from mfspark.tables.run import PublishedRun
from tests.support.nights import run_night, table


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Ten users of two tastes, each of whom chose six of ten items, the first of them twice."""
    rows = [(u, 5 * (u % 2) + k % 5 + (k == 5) * 10) for u in range(10) for k in range(6)]
    rows += [(u, 5 * (u % 2)) for u in range(10)]
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\n" + "".join(f"{u},{i}\n" for u, i in rows))
    return path


def test_a_night_of_choices(spark: SparkSession, tmp_path: Path, events: Path) -> None:
    night = run_night(
        spark,
        tmp_path / "w",
        'models.run=["als", "ials", "item_knn"]',
        "models.ials.rank=4",
        ratings=(events,),
    )
    report = night.record(INGEST)
    assert (report.n_rows, report.n_accepted, report.n_counted) == (70, 60, 10)
    assert (report.rating_scale, report.rejected_by_reason) == ((1.0, 2.0), {})
    ratings = table(tmp_path / "w", "ratings")
    assert ratings.groupby("rating").size().to_dict() == {1.0: 50, 2.0: 10}
    metrics = table(tmp_path / "w", "metrics")
    assert set(metrics.model) == {"ials", "item_knn", "popularity", "baseline"}
    assert set(metrics.metric).isdisjoint({"rmse", "mae"})
    held_out = len(table(tmp_path / "w", "test_predictions").query("model == 'baseline'"))
    users = table(tmp_path / "w", "user_metrics").query("model == 'ials'")
    assert users.n_relevant.sum() == held_out, "every test item is relevant"
    notes = " ".join(summarise(PublishedRun(tmp_path / "w")).notes)
    assert "models that predict ratings (als," in notes
    assert "counted: 10 choices" in notes


def config(*run: str, **ingest: object) -> Config:
    return Config.model_validate({"models": {"run": list(run)}, "ingest": ingest})


def test_rating_models_alone_are_refused(events: Path) -> None:
    with pytest.raises(ConfigError, match="als, user_knn can only predict ratings") as raised:
        with_feedback(config("als", "user_knn"), [str(events)])
    assert "--models popularity,ials,item_knn" in raised.value.hint


def test_a_served_model_that_only_predicts_ratings_is_refused(events: Path) -> None:
    pinned = config("als", "ials").model_copy(update={"serving": ServingOptions(model="als")})
    with pytest.raises(ConfigError, match=r"als \(serving.model\) can only predict") as raised:
        with_feedback(pinned, [str(events)])
    assert raised.value.hint.startswith("serve a model that ranks (ials), or set serving.model")


def test_feedback_can_be_said(events: Path, tmp_path: Path) -> None:
    given = config("als", "ials", feedback="explicit")
    assert with_feedback(given, [str(events)]) is given
    (tmp_path / "r.csv").write_text("user,item,rating\n1,2,3\n")
    rated = config("als", "ials")
    assert with_feedback(rated, [str(tmp_path / "r.csv")]) is rated
    said = with_feedback(config("als", "ials", feedback="implicit"), [str(tmp_path / "r.csv")])
    assert said.models.run == ("ials",)
    assert said.evaluation.relevant_rating == 0.0


def test_which_models_rank() -> None:
    models = config("als").models
    assert [name for name in MODELS if models.of(name).ranks_choices] == [
        *("popularity", "item_knn", "ials", "svd", "nmf", "slim", "ease")
    ]


def test_which_models_rank_goes_by_their_options() -> None:
    options = {
        "user_knn": {"rank_by": "similarity", "similarity": "cosine"},
        "item_knn": {"rank_by": "rating"},
        "svd": {"unrated": "baseline"},
        "nmf": {"unrated": "masked"},
        "torch_mf": {"objective": "squares", "unrated": "zero"},
    }
    models = Models.model_validate(options)
    assert [name for name in MODELS if models.of(name).ranks_choices] == [
        *("popularity", "user_knn", "ials", "slim", "ease")
    ]


def test_choices_among_ratings_are_refused(
    spark: SparkSession, tmp_path: Path, events: Path
) -> None:
    (tmp_path / "r.csv").write_text("user,item,rating\n1,2,3\n1,3,4\n")
    with pytest.raises(InputError, match=r"events\.csv holds choices without ratings"):
        run_night(spark, tmp_path / "w", ratings=(tmp_path / "r.csv", events))


def test_an_empty_first_file_says_nothing(events: Path, tmp_path: Path) -> None:
    empty = tmp_path / "part-0.csv"
    empty.touch()
    changed = with_feedback(config("ials"), [str(empty), str(events)])
    assert changed.ingest.feedback == "implicit"
