"""What a published run says of how it was made: its scale, its choices, what models were fitted on.

Runs of older versions are read as they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from mfspark.config.config import EvaluationOptions, FeedbackOptions
from mfspark.config.models import ModelName, Models
from mfspark.evaluation.relevance import choices_from
from mfspark.grid.layout import TileSet
from mfspark.ingest.report import IngestReport
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.models.records import INGEST, cut_key
from mfspark.tables.run import PublishedRun


def ingest_of(run: PublishedRun) -> IngestReport:
    """Return what came in on the night of a run, which every run has recorded."""
    report = run.record(INGEST)
    assert report is not None
    return report


def scale_of(run: PublishedRun) -> RatingScale:
    """Return the rating scale, with what the run's configuration says of published predictions."""
    options, report = run.manifest.config["publish"], ingest_of(run)
    limits = options["clamp"], options["round_to"]
    return RatingScale.published(report.rating_scale, report.rating_step, *limits)


def options_of(run: PublishedRun, name: ModelName) -> Models:
    """Return the options of all models, those of one as it was published."""
    found = run.manifest.config["models"].get(name, {})
    return Models().model_copy(update={name: type(Models().of(name)).of_run(found)})


def is_implicit(run: PublishedRun) -> bool:
    """Return whether the ratings of a run are choices, which count how often they were made."""
    return run.manifest.config["ingest"].get("feedback") == "implicit"


def missing_ratings(run: PublishedRun) -> tuple[float, ...]:
    """Return the numbers that stood for "not rated" in the files of a run."""
    return tuple(run.manifest.config["ingest"].get("missing_ratings", ()))


@dataclass(frozen=True)
class PublishedChoices:
    """What a run took for a choice."""

    least: float | None
    """Ratings from here on are choices; None: all of them."""
    in_stars: bool = False
    """Whether an older version weighed choices by ratings as they came, without their unit."""

    @classmethod
    def of(cls, run: PublishedRun) -> Self:
        """Return the choices of a run."""
        config = run.manifest.config
        if "feedback" not in config:  # an older version, with an option of ials
            least = config["models"]["ials"].get("threshold")
            return cls(float(np.finfo(np.float32).tiny) if least is None else least, True)
        feedback, evaluation = FeedbackOptions.of_run(config["feedback"]), config["evaluation"]
        scale = ingest_of(run).rating_scale
        return cls(choices_from(feedback, EvaluationOptions.of_run(evaluation), scale))

    @property
    def named(self) -> str:
        """The choices in words."""
        if self.least is None:
            return "all are"
        return "above 0" if 0 < self.least < 1e-30 else f"{self.least:g} or above"


def fitted_ratings(run: PublishedRun) -> TileSet:
    """Return the facts of the ratings that published models were fitted on, without tiles."""
    cut = run.record(cut_key(run.subset))
    assert cut is not None
    return cut.tiles
