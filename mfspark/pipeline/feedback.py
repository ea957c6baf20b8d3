"""Nights of choices without ratings: what of a configuration goes with them.

Where the files hold `user, item[, timestamp]` and no ratings, there is nothing to predict: models
that predict ratings are left out, every test item is relevant, and lists alone are measured.
"""

import logging
from collections.abc import Sequence

from mfspark.config.config import Config
from mfspark.errors import ConfigError
from mfspark.ingest.readers.files import size_of
from mfspark.ingest.readers.plan import holds_choices

log = logging.getLogger(__name__)


def with_feedback(config: Config, ratings_files: Sequence[str]) -> Config:
    """Return the configuration of a night, by what its first file holds where that is left open.

    An empty file says nothing. Raises ConfigError where all models that were asked for predict
    ratings, and InputError for a file that cannot be read.
    """
    options = config.ingest
    if options.feedback == "explicit":
        return config
    first = next((path for path in ratings_files if size_of(path)), ratings_files[0])
    if options.feedback == "auto" and not holds_choices(first, options):
        return config
    kept = tuple(name for name in config.models.run if config.models.of(name).ranks_choices)
    left_out = [name for name in config.models.run if name not in kept]
    if not kept:
        raise ConfigError(
            f"the files hold choices without ratings, and {', '.join(left_out)} can only predict "
            "ratings",
            "run models that rank, such as --models popularity,ials,item_knn",
        )
    served = config.serving.model
    if served in left_out:
        raise ConfigError(
            f"the files hold choices without ratings, and {served} (serving.model) can only "
            "predict ratings",
            f'serve a model that ranks ({", ".join(kept)}), or set serving.model = "auto"',
        )
    if left_out:
        log.warning("choices without ratings: left out %s", ", ".join(left_out))
    evaluation = config.evaluation
    if evaluation.relevant_rating is None:
        evaluation = evaluation.model_copy(update={"relevant_rating": 0.0})
    feedback = config.feedback
    if feedback.choices_from == "relevant":  # what some of them are: rows that count much
        feedback = feedback.model_copy(update={"choices_from": "all"})
    changed = {
        "ingest": options.model_copy(update={"feedback": "implicit"}),
        "models": config.models.model_copy(update={"run": kept}),
        "feedback": feedback,
        "evaluation": evaluation,
        "completed": config.completed.model_copy(update={"max_cells": 0}),
    }
    return config.model_copy(update=changed)
