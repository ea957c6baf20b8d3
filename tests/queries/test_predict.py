"""Predictions of single pairs from published tables: figures by hand, fallbacks, unknown ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mfspark.errors import NotFoundError
from mfspark.queries.predict import Opinion, Pair, predict_pair, rating_models
from mfspark.tables.run import PublishedRun
from tests.support import made_run as made


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
    assert (pair.user, pair.item, pair.title, pair.rating) == (1, "i1", "First (1999)", 5.0)
    assert said(pair) == {
        "user_knn": (4.0, "user_knn"),  # only user 2 rated it
        "als": (made.MEAN + 0.5 + 0.25 + 0.5, "als"),
        "baseline": (made.MEAN + 0.25 + 0.5, "baseline"),
    }
    assert pair.notes == []


def test_neighbors_who_did_not_rate_the_item_are_left_out(run: PublishedRun) -> None:
    found = opinion(run, "1", "i3", "user_knn")
    assert found.prediction == (2.0 + 5.0) / 2
    assert found.basis == "2 of 2 neighbors rated it: 2 2, 3 5"


def test_weighted_means_use_the_similarity(tmp_path: Path) -> None:
    knn = {"num_neighbors": 2, "aggregation": "weighted"}
    made.publish_run(tmp_path, models={"run": made.MODELS, "user_knn": knn})
    found = opinion(PublishedRun(tmp_path), "1", "i3", "user_knn")
    assert found.prediction == pytest.approx((0.75 * 2 + 0.5 * 5) / 1.25)


def knn_opinion(folder: Path, model: str, user: str, item: str, **options: Any) -> Opinion:
    knn = {"num_neighbors": 2, "damping": 0.0, **options}
    models = {"run": (model, "als"), model: knn}
    made.publish_run(folder, models=models, publish={"clamp": False})
    return opinion(PublishedRun(folder), user, item, model)


def test_items_like_it_that_the_user_rated(tmp_path: Path) -> None:
    """Of i3: i1, which user 1 rated 5, and i2, rated 3, each with its baseline."""
    found = knn_opinion(tmp_path, "item_knn", "1", "i3", damping=0.5)
    left = [5 - (made.MEAN + 0.25 + 0.5), 3 - (made.MEAN + 0.25 - 0.5)]
    q = (0.75 * left[0] + 0.25 * left[1]) / (1 + 0.5)
    assert found.prediction == pytest.approx(made.MEAN + 0.25 + 0.0 + q)
    assert found.basis == "2 of 2 items like it were rated: i1 5, i2 3"


def test_deviations_from_means_and_in_spreads(tmp_path: Path) -> None:
    """User 1 rated 5 and 3; i3 has 2 from user 2 (of 4, 2), and 5 from user 3 (of 1, 5, 4)."""
    centered = knn_opinion(tmp_path / "c", "user_knn", "1", "i3", aggregation="centered")
    assert centered.prediction == pytest.approx(4 + (0.75 * -1 + 0.5 * (5 - 10 / 3)) / 1.25)
    zscore = knn_opinion(tmp_path / "z", "user_knn", "1", "i3", aggregation="zscore")
    spread = (26 / 9) ** 0.5  # of 1, 5, 4 as a population
    q = (0.75 * -1 / 1 + 0.5 * (5 - 10 / 3) / spread) / 1.25
    assert zscore.prediction == pytest.approx(4 + 1 * q)


def test_ratings_all_alike_have_the_spread_of_all_ratings(tmp_path: Path) -> None:
    """Of items like i4 user 3 rated i2, 1: it has 3 and 1 itself; i4 has one rating, 4."""
    found = knn_opinion(tmp_path, "item_knn", "1", "i4", aggregation="zscore")
    assert found.prediction == pytest.approx(4 + made.VARIANCE**0.5 * (3 - 2) / 1)


def test_fewer_neighbors_than_min_k_leave_it_to_the_baseline(tmp_path: Path) -> None:
    assert knn_opinion(tmp_path / "2", "user_knn", "1", "i3", min_k=2).tier == "user_knn"
    assert knn_opinion(tmp_path / "3", "user_knn", "1", "i3", min_k=3).tier == "baseline"


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
    assert pair.unknown == ("user",) * (user != "1") + ("item",) * (item != "i1")


@pytest.mark.parametrize(("user", "item"), [("", "i1"), ("1", " ")])
def test_an_empty_name_is_never_an_unknown_one(run: PublishedRun, user: str, item: str) -> None:
    with pytest.raises(NotFoundError, match="the id is empty"):
        predict_pair(run, user, item)


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
