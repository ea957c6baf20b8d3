"""A trial: a model fitted on a fold with some options, and the metric of what it holds out.

Several trials run at once, each in a Spark task of its own, where one task can hold all ratings;
else one after the other, each on the whole grid. The answers are the same.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import numpy as np

from mfspark.config.models import ModelName, Models
from mfspark.errors import MfsparkError
from mfspark.evaluation.catalog import Metric, MetricKind
from mfspark.evaluation.metrics import (
    Users,
    errors_of_users,
    ranking_of_users,
    shares_of,
    value_of_users,
)
from mfspark.grid.block_store import BlockStore, MemoryStore
from mfspark.grid.layout import Blocks
from mfspark.grid.training import Checkpoint
from mfspark.grid.views import RowTiles
from mfspark.kernels.arrays.device import one_thread_a_kernel
from mfspark.kernels.arrays.rating_scale import RatingScale
from mfspark.kernels.arrays.tile import Arrays, Numbers
from mfspark.kernels.lists.figures import hits
from mfspark.models.base import FitContext, Model
from mfspark.models.factor_model import FactorModel
from mfspark.models.in_process import context_in_process
from mfspark.models.registry import fit_model, fold_in
from mfspark.pipeline.beside_nights.folds import Fold
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.dataset import Dataset
from mfspark.pipeline.ranking.ranked import Ranked
from mfspark.pipeline.scoring import Predictions
from mfspark.pipeline.side_features import side_features
from mfspark.schemas import SIDES, Side

_AT_ONCE = 5_000_000  # ratings: so many in each of several tasks do no harm, 16 bytes each
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Protocol:
    """How trials are measured, the same for all of them."""

    k: int
    """Length of the lists."""
    relevant_from: float
    """Held-out ratings from here on are relevant."""
    choices_from: float | None
    """Training ratings from here on are choices; None: all of them."""
    scale: RatingScale
    seed: int
    attributes: dict[Side, Blocks]
    """Of the sides that have some."""


def protocol_of(dataset: Dataset) -> Protocol:
    """Return how the models of a night are measured."""
    context = dataset.context
    attributes: dict[Side, Blocks] = {}
    for side in SIDES:
        if blocks := side_features(context, dataset, side):
            attributes[side] = blocks
    return Protocol(
        k=context.config.evaluation.k,
        relevant_from=dataset.relevant_from,
        choices_from=dataset.choices_from,
        scale=dataset.scale,
        seed=context.config.seed,
        attributes=attributes,
    )


@dataclass(frozen=True)
class Task:
    """What is fitted and measured."""

    model: ModelName
    options: Models
    kinds: tuple[MetricKind, ...]
    """Of the metrics: ranking, rating or both."""
    fold: Fold
    name: str
    """Prefix of its references; a fit of the same name is gone on with."""


@dataclass(frozen=True)
class Result:
    """What came of a task."""

    users: Arrays | None
    """Numbers of each user by the columns of `user_metrics`; None where training diverged."""
    seconds: float

    def of(self, metric: Metric) -> np.ndarray:
        """Return what a metric is made of, float64 (users, 2): a sum and what it is divided by.

        Users who were not measured by it are left out.
        """
        assert self.users is not None
        return shares_of(metric, self.users)

    def value(self, metric: Metric) -> float:
        """Return the metric; NaN where training diverged, or nobody was measured."""
        if self.users is None:
            return math.nan
        return float(value_of_users(metric, self.of(metric).sum(0)))


@dataclass(frozen=True)
class Measure:
    """Measures tasks on the ratings of a night."""

    context: RunContext
    protocol: Protocol

    def __call__(self, tasks: Sequence[Task]) -> list[Result]:
        """Fit and measure each task; at once where each fits a task of Spark."""
        if not tasks:
            return []
        store, checkpoints = self.context.store, [self._checkpoint(task) for task in tasks]
        options, protocol = self.context.config.grid, self.protocol

        def in_a_task(number: int) -> Numbers:
            one_thread_a_kernel()
            task = tasks[number]
            context = context_in_process(
                task.options,
                task.fold.fitted,
                MemoryStore(behind=store),
                checkpoints[number],
                name=task.name,
                seed=protocol.seed,
                choices_from=protocol.choices_from,
                attributes=protocol.attributes,
            )
            return _measured(task, protocol, context, store)

        if options.engine != "spark" and tasks[0].fold.fitted.n_ratings <= _AT_ONCE:
            found = self.context.runner.run(len(tasks), in_a_task, f"trials {tasks[0].name}")
        else:
            found = [_measured(task, protocol, self._on_spark(task), store) for task in tasks]
        return [
            Result(store.get(_users_of(task)) if each["fitted"] else None, each["seconds"])
            for each, task in zip(found, tasks, strict=True)
        ]

    def _checkpoint(self, task: Task) -> Checkpoint:
        night = self.context.night
        key = night.scratch("blocks", *task.name.split("/"), "state.json")
        about = task.options.of(task.model).model_dump(mode="json")
        if iterations := task.options.of(task.model).iterations:
            del about[iterations]  # a short fit is gone on with
        fingerprint = json.dumps([task.fold.name, about], sort_keys=True)
        return Checkpoint(night.storage, key, fingerprint, every_seconds=math.inf)

    def _on_spark(self, task: Task) -> FitContext:
        def context(reference: str) -> FitContext:
            checkpoint = self._checkpoint(replace(task, name=reference))
            return FitContext(
                master=self.context.session.master,
                runner=self.context.runner,
                tiles=task.fold.fitted,
                store=self.context.store,
                name=reference,
                seed=self.protocol.seed,
                grid_options=self.context.config.grid,
                checkpoint=checkpoint,
                baseline=baseline,
                choices_from=self.protocol.choices_from,
                attributes=self.protocol.attributes.get,
            )

        @cache
        def baseline() -> FactorModel:
            own = context(f"{task.name}/baseline")
            return cast("FactorModel", fit_model("baseline", own, task.options))

        return context(task.name)


def _users_of(task: Task) -> str:
    return f"{task.name}/measured"


def _measured(task: Task, protocol: Protocol, context: FitContext, kept: BlockStore) -> Numbers:
    """Fit and measure one task, and keep the numbers of each user."""
    began = time.perf_counter()
    users: Arrays = {}
    try:
        model = fit_model(task.model, context, task.options)
    except MfsparkError as error:
        _log.warning("%s: %s", task.name, error.message)
        return {"fitted": 0.0, "seconds": time.perf_counter() - began}
    if "rating" in task.kinds:
        users |= _of_ratings(task, protocol, context, model)
    if "ranking" in task.kinds:
        users |= _of_lists(task, protocol, context, model)
    kept.put(_users_of(task), users)
    return {"fitted": 1.0, "seconds": time.perf_counter() - began}


def _of_ratings(task: Task, protocol: Protocol, context: FitContext, model: Model) -> Arrays:
    """Return the errors of each user; users by block, then by row."""
    grid, pairs = context.grid, task.fold.held_out
    scored = model.predict(grid, pairs, f"{task.name}/predictions")
    baseline = cast("FactorModel", context.baseline())
    predictions = Predictions(
        context.store, task.model, protocol.scale, pairs, scored, baseline, None
    )
    found: list[Users] = []
    for block in range(pairs.layout.user_blocks):
        predicted = predictions.block(block)
        strip = predicted.pairs
        errors = predicted.prediction - strip.values
        found.append(errors_of_users(strip.rows, errors, strip.n_rows))
    return _side_by_side(found)


def _of_lists(task: Task, protocol: Protocol, context: FitContext, model: Model) -> Arrays:
    """Return the ranking metrics of each user; users by block, then by row."""
    fold, k = task.fold, protocol.k
    popularity = _reference("popularity", context, task)
    by_rating = model.list_kind == "rating"
    filler = cast("FactorModel", context.baseline()) if by_rating else popularity
    seen = fold.fitted
    if fold.known is not None:
        seen = fold.known.with_facts_of(fold.fitted)
        new = replace(context, tiles=seen, name=f"{task.name}/folded-in")
        model = fold_in(task.model, new, task.options, model)
    lists = model.recommend(context.grid.over(seen), k, f"{task.name}/lists")
    scale = protocol.scale if by_rating else None
    ranked = Ranked(
        *(context.store, task.model, scale, seen, lists, filler, popularity),
        *(None, None, None),
    )
    found: list[Users] = []
    for block in range(seen.layout.user_blocks):
        strip = RowTiles("user", block, fold.held_out, context.store).strip()
        relevant = strip.where(strip.values >= protocol.relevant_from)
        entries = ranked.indices(k, None, block)
        found.append(ranking_of_users(hits(entries, relevant), relevant.degrees))
    return _side_by_side(found)


def _reference(name: ModelName, context: FitContext, task: Task) -> FactorModel:
    own = replace(context, name=f"{task.name}/{name}")
    return cast("FactorModel", fit_model(name, own, task.options))


def _side_by_side(blocks: list[Users]) -> Users:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
