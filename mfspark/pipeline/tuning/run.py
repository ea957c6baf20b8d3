"""From a request to tuned options: `mfspark tune`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from mfspark.config.config import Config
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError, InputError
from mfspark.evaluation.catalog import NDCG, RMSE, Metric
from mfspark.pipeline import ingest
from mfspark.pipeline.beside_nights.folds import Fold, Folds
from mfspark.pipeline.beside_nights.measure import Measure, Protocol, protocol_of
from mfspark.pipeline.beside_nights.place import night_beside
from mfspark.pipeline.context import RunContext, session_for
from mfspark.pipeline.dataset import Dataset
from mfspark.pipeline.ingest import InputFiles
from mfspark.pipeline.progress import Progress
from mfspark.pipeline.request import Request
from mfspark.pipeline.tuning.outcome import TunedModel
from mfspark.pipeline.tuning.proposals import require_optuna
from mfspark.pipeline.tuning.turns import Turns

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """What came of a request."""

    models: tuple[TunedModel, ...]
    what: str
    """The ratings that options were chosen on, in words."""
    run_date: date
    interrupted: bool = False
    """Whether it was stopped (Ctrl-C) before the budget was used."""


def tune(request: Request, progress: Progress) -> Tuning:
    """Look for better options of the requested models, as section `tune` says.

    Nothing is published, and nothing is chosen on the test part. Trials are kept in the warehouse,
    and the same request goes on with them. Raises MfsparkError as a night does, ConfigError where
    there is nothing to tune, InputError where nothing can be held out.
    """
    require_optuna()
    began = time.monotonic()
    with night_beside(request.dated(), "tune") as (night, files):
        metrics = dict(_metrics_of(night.config))
        with session_for(night) as context:
            return _studied(context, files, metrics, progress, began)


def _metrics_of(config: Config) -> Iterator[tuple[ModelName, Metric]]:
    """Yield the models that are tuned, and by what. Raises ConfigError where there are none."""
    asked = config.tune.metric
    left_out: list[str] = []
    for name in config.models.run:
        options = config.models.of(name)
        rated = config.ingest.feedback != "implicit" and options.predicts_ratings
        by_list = asked == "ndcg" or (asked == "auto" and options.ranks_choices)
        if not config.tune.space_of(name, config.models):
            left_out.append(f"{name} has nothing to tune")
        elif not by_list and not rated:
            left_out.append(f"{name} predicts no ratings")
        else:
            yield name, NDCG if by_list else RMSE
    if len(left_out) == len(config.models.run):
        raise ConfigError(
            f"no model is left to tune: {'; '.join(left_out)}",
            "name others with --models, give a space in [tune.spaces.NAME], or another --metric",
        )
    for why in left_out:
        _log.info("left out: %s", why)


def _studied(
    context: RunContext,
    files: InputFiles,
    metrics: dict[ModelName, Metric],
    progress: Progress,
    began: float,
) -> Tuning:
    """Do all trials, and measure what was chosen."""
    options = context.config.tune
    n_waves = -(-options.trials // options.at_once) * len(metrics) if options.trials else 0
    progress.begin(3 + n_waves)
    with progress.step("ingest"):
        report = ingest.run(context, files)
    dataset = Dataset(context, report, files.test)
    folds, measure = Folds(dataset), Measure(context, protocol_of(dataset))
    cutting = time.monotonic()
    with progress.step("cut the validation folds"):
        for fold in (folds.first, folds.second):
            _check_measurable(fold, measure.protocol, metrics)
        turns = Turns(folds, measure, metrics, progress)
    reserve = time.monotonic() - cutting
    interrupted = False
    try:
        limit = options.limit_seconds
        turns.search(None if limit is None else began + limit - reserve)
        with progress.step("measure what was chosen"):
            models = turns.chosen()
    except KeyboardInterrupt:
        models, interrupted = turns.found(), True
        if not models:
            raise
    return Tuning(tuple(models), _what(context, folds), context.night.run_date, interrupted)


def _check_measurable(fold: Fold, protocol: Protocol, metrics: dict[ModelName, Metric]) -> None:
    """Raise InputError where lists are to be compared and no rating held out is relevant."""
    if NDCG in metrics.values() and fold.held_out.high < protocol.relevant_from:
        raise InputError(
            f"none of the {fold.held_out.n_ratings} training ratings held out for tuning is "
            f"relevant (from {protocol.relevant_from:g} on)",
            "tune on more ratings, or set evaluation.relevant_rating",
        )


def _what(context: RunContext, folds: Folds) -> str:
    """Say what options were chosen on."""
    split = context.config.evaluation.split
    kind = "random" if split in ("given", "none") else split
    fold = folds.first
    return (
        f"{fold.held_out.n_ratings:,} of {folds.dataset.tiles('train').n_ratings:,} training "
        f"ratings (split {kind}; the test part was not looked at)"
    )
