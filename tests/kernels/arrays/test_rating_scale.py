from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mfspark.kernels.arrays.rating_scale import RatingScale


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (RatingScale(0.5, 5.0), [0.5, 0.5, 3.2, 3.25, 4.99, 5.0]),
        (RatingScale(0.5, 5.0, clamp=False), [-1.0, 0.5, 3.2, 3.25, 4.99, 9.0]),
        (RatingScale(0.5, 5.0, round_to=0.5), [0.5, 0.5, 3.0, 3.5, 5.0, 5.0]),
        (RatingScale(0.5, 5.0, clamp=False, round_to=0.5), [-1.0, 0.5, 3.0, 3.5, 5.0, 9.0]),
        (RatingScale(0.0, 5.0, round_to=2.0), [0.0, 0.0, 4.0, 4.0, 4.0, 5.0]),
    ],
)
def test_adjust(scale: RatingScale, expected: list[float]) -> None:
    predictions = np.array([-1.0, 0.5, 3.2, 3.25, 4.99, 9.0])
    assert scale.adjust(predictions).tolist() == expected
    assert predictions.tolist() == [-1.0, 0.5, 3.2, 3.25, 4.99, 9.0]


def test_steps_count_from_the_lowest_rating() -> None:
    scale = RatingScale(1.0, 10.0, round_to=3.0)
    assert scale.adjust(np.array([2.4, 2.6, 8.4, 9.9])).tolist() == [1.0, 4.0, 7.0, 10.0]


@pytest.mark.parametrize(
    ("step", "round_to", "expected"),
    [(0.5, "step", 3.5), (1.0, "step", 3.0), (None, "step", 3.4), (0.5, 0.0, 3.4), (0.5, 2.0, 3.0)],
)
def test_published_predictions_are_on_the_step_of_the_ratings_where_asked(
    step: float | None, round_to: Any, expected: float
) -> None:
    scale = RatingScale.published((1.0, 5.0), step, clamp=True, round_to=round_to)
    assert scale.adjust(np.array([3.4, 9.0])).tolist() == [expected, 5.0]


def test_unknown_stays_unknown() -> None:
    assert np.isnan(RatingScale(1, 5, round_to=0.5).adjust(np.array([np.nan]))).all()


def test_order_is_kept() -> None:
    scores = np.sort(np.random.default_rng(1).normal(3, 3, 1000))
    for round_to in (0.0, 0.1, 0.5):
        assert (np.diff(RatingScale(-10, 10, round_to=round_to).adjust(scores)) >= 0).all()
