from typing import Any

import pytest

from mfspark.config.models import ALSOptions, Penalty, TorchMFOptions


@pytest.mark.parametrize(
    ("options", "n_ratings", "expected"),
    [
        ({}, 376, Penalty(9.75 / 90, 15)),  # 0.75 sqrt(376) is 14.5
        ({}, 10_000, Penalty(0.065, 75)),
        ({}, 90_000, Penalty(0.0325, 225)),
        ({}, 20_000_000, Penalty(0.03, 250)),
        ({"prior_count": 120.0}, 376, Penalty(0.05, 120)),
        ({"reg": 0.05}, 1_000_000, Penalty(0.05, 120)),  # the pair of the line above
        ({"reg": 0.02}, 1_600, Penalty(0.02, 30)),  # weak is weak: not the 250 that go with it
        ({"reg": 0.3}, 1_000_000, Penalty(0.3, 15)),
        ({"reg": 0.3, "prior_count": 0.0}, 1_000_000, Penalty(0.3, 0)),
    ],
)
def test_the_penalty_goes_by_the_ratings_and_by_what_is_given(
    options: dict[str, Any], n_ratings: int, expected: Penalty
) -> None:
    for kind in (ALSOptions, TorchMFOptions):
        assert kind.model_validate(options).penalty(n_ratings) == pytest.approx(expected)


def test_textbooks_have_no_penalty() -> None:
    assert TorchMFOptions(reg=0.0).penalty(10_000) == Penalty(0.0, 75)
