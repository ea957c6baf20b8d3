"""From which rating on an item is one that its user wanted, in tests and in training."""

from mfspark.config.config import EvaluationOptions, FeedbackOptions
from mfspark.errors import ConfigError


def relevant_from(options: EvaluationOptions, scale: tuple[float, float]) -> float:
    """Return the rating from which a test item is relevant: the option, or 3/4 up the scale."""
    if options.relevant_rating is not None:
        return options.relevant_rating
    low, high = scale
    return low + 0.75 * (high - low)


def choices_from(
    feedback: FeedbackOptions, evaluation: EvaluationOptions, scale: tuple[float, float]
) -> float | None:
    """Return the rating from which a training item is a choice; None: every rating is one.

    scale: the smallest and the largest rating. Raises ConfigError where nothing would be a choice.
    """
    if feedback.choices_from == "all":
        return None
    least, option = feedback.choices_from, "feedback.choices_from"
    if least == "relevant":
        least, option = relevant_from(evaluation, scale), "evaluation.relevant_rating"
    if least > scale[1]:
        raise ConfigError(
            f"{option} = {least:g} is above the highest rating, {scale[1]:g}: nothing is a choice",
            f'choose a lower {option}, or feedback.choices_from = "all"',
        )
    return least
