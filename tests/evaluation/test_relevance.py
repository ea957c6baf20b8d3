from __future__ import annotations

import pytest

from mfspark.config.config import EvaluationOptions, FeedbackOptions
from mfspark.errors import ConfigError
from mfspark.evaluation.relevance import choices_from, relevant_from

STARS = (1.0, 5.0)


def test_relevant_from() -> None:
    assert relevant_from(EvaluationOptions(), STARS) == 4.0
    assert relevant_from(EvaluationOptions(), (0.5, 5.0)) == 3.875
    assert relevant_from(EvaluationOptions(relevant_rating=0.0), STARS) == 0.0


@pytest.mark.parametrize(
    ("given", "relevant", "expected"),
    [("relevant", None, 4.0), ("relevant", 3.0, 3.0), ("all", 3.0, None), (2.5, 3.0, 2.5)],
)
def test_choices_are_what_is_relevant_or_from_a_number_on_or_all(
    given: object, relevant: float | None, expected: float | None
) -> None:
    feedback = FeedbackOptions.model_validate({"choices_from": given})
    assert choices_from(feedback, EvaluationOptions(relevant_rating=relevant), STARS) == expected


@pytest.mark.parametrize(
    ("given", "relevant", "option"),
    [(5.5, None, "feedback.choices_from"), ("relevant", 5.5, "evaluation.relevant_rating")],
)
def test_a_level_that_no_rating_reaches_is_refused(
    given: object, relevant: float | None, option: str
) -> None:
    feedback = FeedbackOptions.model_validate({"choices_from": given})
    with pytest.raises(ConfigError, match=rf"{option} = 5\.5 is above the highest rating, 5: "):
        choices_from(feedback, EvaluationOptions(relevant_rating=relevant), STARS)
