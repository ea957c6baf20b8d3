"""From a request to figures of every model on every part, and over all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from mfspark.config.config import Config
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from mfspark.evaluation.catalog import of_kind
from mfspark.evaluation.metrics import figure_of, sums_of
from mfspark.models.registry import folds_in, with_references
from mfspark.pipeline import ingest
from mfspark.pipeline.beside_nights.folds import cut_fold
from mfspark.pipeline.beside_nights.measure import Measure, Result, Task, protocol_of
from mfspark.pipeline.beside_nights.place import night_beside
from mfspark.pipeline.context import RunContext, session_for
from mfspark.pipeline.dataset import Dataset
from mfspark.pipeline.progress import Progress
from mfspark.pipeline.request import Request
from mfspark.pipeline.validation.protocols import ProtocolName, parts_of

_log = logging.getLogger(__name__)
_COVERED = 0.95


class ValidationFigure(NamedTuple):
    """One figure of a model: a row with the columns of table `metrics`."""

    model: ModelName
    split: str
    """Such as `folds 2/5`, or `folds 5` for all of them."""
    metric: str
    k: int | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    """Test ratings, or users with a relevant one; parts where it is of all of them."""


@dataclass(frozen=True)
class Validation:
    """What came of a request."""

    protocol: ProtocolName
    n_parts: int
    models: tuple[ModelName, ...]
    left_out: tuple[str, ...]
    """Models that the protocol is not for, and why."""
    figures: tuple[ValidationFigure, ...]

    @property
    def of_all(self) -> str:
        """The label of the figures over all parts."""
        return f"{self.protocol} {self.n_parts}"


def validate(request: Request, protocol: ProtocolName, progress: Progress) -> Validation:
    """Measure every requested model, and the references, on each part of a protocol.

    Raises MfsparkError as a night does, ConfigError where no model is left, or times are missing,
    InputError where a part has no ratings.
    """
    with night_beside(request.dated(), "validate") as (night, files):
        names, left_out = _models_of(night.config, protocol)
        n = night.config.evaluation.folds
        progress.begin(1 + n)
        with session_for(night) as context:
            with progress.step("ingest"):
                report = ingest.run(context, files)
            dataset = Dataset(context, report, files.test)
            figures = list(_measured(context, dataset, names, protocol, progress))
    for why in left_out:
        _log.info("left out: %s", why)
    return Validation(
        protocol, n, names, left_out, (*figures, *_over_parts(figures, f"{protocol} {n}"))
    )


def _models_of(
    config: Config, protocol: ProtocolName
) -> tuple[tuple[ModelName, ...], tuple[str, ...]]:
    """Return the models that are measured, and those that are not and why."""
    asked: tuple[ModelName, ...] = with_references(config.models.run)
    if config.ingest.feedback == "implicit":
        asked = tuple(name for name in asked if config.models.of(name).ranks_choices)
    if protocol != "users":
        return asked, ()
    able: tuple[ModelName, ...] = tuple(name for name in asked if folds_in(name, config.models))
    left_out = tuple(
        f"{name} takes in no users after training" for name in asked if name not in able
    )
    if not set(able) & set(config.models.run):
        raise ConfigError(
            "none of the models takes in users after training, so users cannot be held out whole",
            "run others, such as --models ials,item_knn, or another --protocol",
        )
    return able, left_out


def _measured(
    context: RunContext,
    dataset: Dataset,
    names: Sequence[ModelName],
    protocol: ProtocolName,
    progress: Progress,
) -> Iterator[ValidationFigure]:
    config = context.config
    measure = Measure(context, protocol_of(dataset))
    parts = parts_of(dataset, protocol)
    rated = protocol != "users" and config.ingest.feedback != "implicit"
    for number, frames in enumerate(parts, 1):
        label = f"{protocol} {number}/{len(parts)}"
        with progress.step(label):
            fold = cut_fold(dataset, f"{protocol}-{number}-of-{len(parts)}", frames)
            tasks: list[Task] = []
            for name in names:
                predicts = rated and config.models.of(name).predicts_ratings
                kinds = ("ranking", "rating") if predicts else ("ranking",)
                place = f"validation/{protocol}-{number}/{name}"
                tasks.append(Task(name, config.models, kinds, fold, place))
            results = measure(tasks)
            context.night.storage.discard(context.night.scratch("blocks", "validation"))
        for name, result in zip(names, results, strict=True):
            yield from _figures(name, label, result, config.evaluation.k)


def _figures(name: ModelName, label: str, result: Result, k: int) -> Iterator[ValidationFigure]:
    """Yield every metric of one model on one part."""
    found = result.users or {}
    for metric in (*of_kind("rating"), *of_kind("ranking")):
        if not {*metric.columns, metric.counted} <= found.keys():
            continue
        at = k if metric.kind == "ranking" else None
        figure = figure_of(metric, sums_of(result.of(metric)))
        yield ValidationFigure(name, label, metric.name, at, *figure)


def _over_parts(figures: Sequence[ValidationFigure], label: str) -> Iterator[ValidationFigure]:
    """Yield the mean over all parts of each metric, with an interval by Student's t.

    Parts share training ratings, so the interval is narrower than it should be (Bengio &
    Grandvalet 2004): it tells how much parts differ, no more.
    """
    values: dict[tuple[ModelName, str, int | None], list[float]] = {}
    for each in figures:
        if each.value is not None:
            values.setdefault((each.model, each.metric, each.k), []).append(each.value)
    for (model, metric, k), found in values.items():
        low = high = None
        if len(found) > 1:
            spread = float(np.std(found, ddof=1)) / len(found) ** 0.5
            half = float(student.ppf((1 + _COVERED) / 2, len(found) - 1)) * spread
            low, high = float(np.mean(found)) - half, float(np.mean(found)) + half
        yield ValidationFigure(
            model, label, metric, k, float(np.mean(found)), low, high, len(found)
        )
