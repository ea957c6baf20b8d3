"""Predictions of single pairs from published tables: figures by hand, fallbacks, unknown ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mfspark.errors import NotFoundError
from mfspark.pipeline.pair import Opinion, Pair, predict_pair, rating_models
from mfspark.pipeline.queries import PublishedRun
from tests import made_run as made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PublishedRun:
    root = tmp_path_factory.mktemp("made")
    made.publish_run(root)
    return PublishedRun(root)


def said(pair: Pair) -> dict[str, tuple[float, str]]:
    return {o.model: (o.prediction, o.tier) for o in pair.opinions}


def opinion(run: PublishedRun, user: str, item: str, model: str) -> Opinion:
    (found,) = predict_pair(run, user, item, model).opinions
    return found


def test_the_known_rating_stands_beside_every_rating_model(run: PublishedRun) -> None:
    pair = predict_pair(run, "1", "First (1999)")
    assert (pair.user, pair.item, pair.title, pair.rating) == ("1", "i1", "First (1999)", 5.0)
    assert said(pair) == {
        "user_knn": (4.0, "user_knn"),  # only user 2 rated it
        "als": (made.MEAN + 0.5 + 0.25 + 0.5, "als"),
        "baseline": (made.MEAN + 0.25 + 0.5, "baseline"),
    }
    assert pair.notes == []


def test_neighbors_who_did_not_rate_the_item_are_left_out(run: PublishedRun) -> None:
    found = opinion(run, "1", "i3", "user_knn")
    assert found.prediction == (2.0 + 5.0) / 2
    assert found.basis == "2 of 2 neighbors rated it"


def test_weighted_means_use_the_similarity(tmp_path: Path) -> None:
    knn = {"num_neighbors": 2, "aggregation": "weighted"}
    made.publish_run(tmp_path, models={"run": made.MODELS, "user_knn": knn})
    found = opinion(PublishedRun(tmp_path), "1", "i3", "user_knn")
    assert found.prediction == pytest.approx((0.75 * 2 + 0.5 * 5) / 1.25)


@pytest.mark.parametrize(
    ("user", "item", "model"),
    [("4", "i2", "user_knn"), ("1", "i5", "user_knn"), ("1", "i5", "als")],
)
def test_what_a_model_does_not_know_the_baseline_answers(
    run: PublishedRun, user: str, item: str, model: str
) -> None:
    found = opinion(run, user, item, model)
    expected = made.MEAN + made.USER_BIAS[int(user)] + made.ITEM_BIAS[item]
    assert (found.prediction, found.tier) == (expected, "baseline")


@pytest.mark.parametrize(
    ("user", "item", "expected"),
    [("99", "i1", made.MEAN + 0.5), ("x", "i1", made.MEAN + 0.5), ("1", "zz", made.MEAN + 0.25),
     ("99", "zz", made.MEAN)],
)  # fmt: skip
def test_unknown_users_and_items_are_answered_from_what_is_known(
    run: PublishedRun, user: str, item: str, expected: float
) -> None:
    pair = predict_pair(run, user, item)
    assert said(pair) == dict.fromkeys(("user_knn", "als", "baseline"), (expected, "baseline"))
    assert pair.rating is None
    unknown = [f"user '{user}'"] * (user != "1") + [f"item '{item}'"] * (item != "i1")
    assert [note.partition(" is unknown (near: ")[0] for note in pair.notes] == unknown


def test_predictions_are_clamped_to_the_rating_scale(run: PublishedRun) -> None:
    assert opinion(run, "4", "i1", "als").prediction == 5.0


@pytest.mark.parametrize(
    ("publish", "expected"),
    [({"clamp": False}, 21.625), ({"clamp": False, "round_to": 0.5}, 21.5)],
)
def test_clamping_and_rounding_follow_the_nights_configuration(
    tmp_path: Path, publish: dict[str, Any], expected: float
) -> None:
    made.publish_run(tmp_path, publish=publish)
    # 3.375 + 9 + 0.25 + 9 * 0.5 + 9 * 0.5; steps of half a star are counted from 1.0
    assert opinion(PublishedRun(tmp_path), "4", "i1", "als").prediction == expected


def test_models_that_only_rank_predict_nothing(run: PublishedRun) -> None:
    assert rating_models(run) == ["user_knn", "als", "baseline"]
    with pytest.raises(NotFoundError, match="'popularity' ranks items and predicts no ratings"):
        predict_pair(run, "1", "i1", "popularity")
    with pytest.raises(NotFoundError, match=r"'svd' was not run[^\n]*\n  models: user_knn, als"):
        predict_pair(run, "1", "i1", "svd")


def test_models_fitted_on_the_training_part_say_so(tmp_path: Path) -> None:
    made.publish_run(tmp_path, evaluation={"refit": False})
    pair = predict_pair(PublishedRun(tmp_path), "1", "i5")
    assert "training ratings only" in pair.notes[0]
    assert said(pair)["als"][1] == "baseline"  # published as zeros: never fitted
