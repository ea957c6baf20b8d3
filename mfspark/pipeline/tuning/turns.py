"""The studies of all models, done in turns: the one that had least time is next."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mfspark.config.models import ModelName
from mfspark.errors import MfsparkError
from mfspark.evaluation.bootstrap import paired_change
from mfspark.evaluation.catalog import Metric
from mfspark.evaluation.metrics import gain, value_of_users
from mfspark.pipeline.beside_nights.folds import PREVIEW, Fold, Folds
from mfspark.pipeline.beside_nights.measure import Measure, Task
from mfspark.pipeline.progress import Progress
from mfspark.pipeline.tuning.outcome import TunedModel
from mfspark.pipeline.tuning.proposals import Search
from mfspark.pipeline.tuning.study import Attempt, Study
from mfspark.pipeline.tuning.trials import Journal, Trial
from mfspark.tables.manifest import as_json

_FEWEST_USERS = 2  # below, a bootstrap says nothing
_log = logging.getLogger(__name__)


class Turns:
    """One study a model, on the same folds."""

    def __init__(
        self, folds: Folds, measure: Measure, metrics: dict[ModelName, Metric], progress: Progress
    ) -> None:
        self._folds, self._measure, self._progress = folds, measure, progress
        self._context = folds.dataset.context
        self._config = self._context.config
        digest = folds.digest()
        self._studies: dict[ModelName, Study] = {}
        self._studies |= {name: self._study(name, metrics[name], digest) for name in metrics}

    def search(self, deadline: float | None) -> None:
        """Do waves until all trials are done, or until the next would end after the deadline.

        Each model gets a wave at least, whatever the deadline (seconds of time.monotonic).
        """
        n_done, trials = 0, self._config.tune.trials
        while name := self._next(deadline):
            study = self._studies[name]
            first = len(study.trials)
            most = None if trials is None else trials - first
            last = study.search.wave_of(first).stop - 1
            last = last if most is None else min(last, first + most - 1)
            with self._progress.step(f"{name} trials {first} to {last}"):
                study.next_wave(most)
            self._forget("trials", name)
            self._check_first(name, study)
            n_done += 1
            best, title = study.best, study.metric.title.format(k=self._measure.protocol.k)
            _log.info("%s: best %s %.4f (trial %d)", name, title, best.value, best.number)
            if deadline is not None and trials is None:
                a_wave = sum(s.seconds for s in self._studies.values()) / n_done
                left = int(max(0.0, deadline - time.monotonic()) / max(a_wave, 1e-3))
                self._progress.expect(3 + n_done + left)

    def chosen(self) -> list[TunedModel]:
        """Measure the best trial of each model and trial 0 on the second fold; return them all."""
        tasks: dict[ModelName, tuple[Task, Task]] = {}
        for name, study in self._studies.items():
            both = study.trials[0], study.best
            first, best = (self._task(name, self._folds.second, "second", trial) for trial in both)
            if study.best.number and first and best:
                tasks[name] = first, best
        results = iter(self._measure([task for both in tasks.values() for task in both]))
        models = {name: self._tuned(name) for name in self._studies}
        for name in tasks:
            measured = next(results), next(results)
            metric = self._studies[name].metric
            if all(math.isfinite(result.value(metric)) for result in measured):
                users = np.hstack([result.of(metric) for result in measured])
                models[name] = self._with_gain(models[name], users)
        self._forget("second")
        return list(models.values())

    def found(self) -> list[TunedModel]:
        """Return the best trial of each model that has one, without measuring anything."""
        return [self._tuned(name) for name, study in self._studies.items() if study.trials]

    def _next(self, deadline: float | None) -> ModelName | None:
        """Return whose turn it is: of those with trials and time left the one that had least."""
        trials, now = self._config.tune.trials, time.monotonic()

        def is_open(study: Study) -> bool:
            if trials is not None and len(study.trials) >= trials:
                return False
            in_time = deadline is None or now + study.longest + self._last() <= deadline
            return in_time or not study.seconds

        chosen: ModelName | None = None
        for name, study in self._studies.items():
            if is_open(study) and (chosen is None or study.seconds < self._studies[chosen].seconds):
                chosen = name
        return chosen

    def _last(self) -> float:
        """Return how long it will take to measure what was chosen, in seconds, at most."""
        slowest = [max((t.seconds for t in s.trials), default=0.0) for s in self._studies.values()]
        return sum(slowest)

    def _study(self, name: ModelName, metric: Metric, digest: str) -> Study:
        config, protocol = self._config, self._measure.protocol
        options, space = config.models.of(name), config.tune.space_of(name, config.models)
        preview = None if options.iterations else self._folds.preview
        about = {
            "model": name,
            "metric": metric.name,
            "options": options.model_dump(mode="json"),
            "baseline": config.models.baseline.model_dump(mode="json"),
            "space": {k: v if isinstance(v, tuple) else v.model_dump() for k, v in space.items()},
            "protocol": [protocol.k, protocol.relevant_from, protocol.choices_from],
            "publish": [config.publish.clamp, config.publish.round_to],
            "seed": config.seed,
            "at_once": config.tune.at_once,
            "ratings": digest,
        }
        content = json.dumps(about, sort_keys=True)
        key = hashlib.sha256(content.encode()).hexdigest()[:12]
        journal = Journal(self._context.night.storage, f"tuning/{name}-{key}")
        journal.storage.put(f"{journal.place}/study.json", as_json(about))
        search = Search(space, options, metric, config.seed, config.tune.at_once)
        attempts = partial(self._values, name, preview)
        return Study(search, journal, attempts, bool(options.iterations) or preview is not None)

    def _values(
        self, name: ModelName, preview: Fold | None, attempts: Sequence[Attempt]
    ) -> list[float]:
        """Return the metric of each attempt; NaN where the model refuses or cannot be fitted."""
        tasks: dict[int, Task] = {}
        for attempt in attempts:
            fold, params, place = self._folds.first, dict(attempt.params), "trials"
            if attempt.short and preview is not None:
                fold, place = preview, "trials-preview"
            elif attempt.short:
                options = self._config.models.of(name)
                whole = options.model_copy(update=params).n_iterations
                params[options.iterations] = max(1, round(PREVIEW * whole))
            trial = Trial(attempt.number, params, "complete")
            if task := self._task(name, fold, place, trial):
                tasks[attempt.number] = task
        results = self._measure(list(tasks.values()))
        metric = self._studies[name].metric
        values = {n: each.value(metric) for n, each in zip(tasks, results, strict=True)}
        return [values.get(attempt.number, math.nan) for attempt in attempts]

    def _task(self, name: ModelName, fold: Fold, place: str, trial: Trial) -> Task | None:
        """Return what is fitted; None where the model refuses these options together."""
        try:
            options = self._config.models.changed(name, trial.params)
        except ValueError:
            return None
        kinds = (self._studies[name].metric.kind,)
        return Task(name, options, kinds, fold, f"{place}/{name}/{trial.number:05d}")

    def _check_first(self, name: ModelName, study: Study) -> None:
        if study.trials[0].outcome != "complete":
            raise MfsparkError(
                f"{name} cannot be fitted with the configured options, so there is nothing to "
                "compare with",
                "the log has the reason; change the options, or leave the model out (--models)",
            )

    def _tuned(self, name: ModelName) -> TunedModel:
        study = self._studies[name]
        place = study.journal.storage.show(study.journal.place)
        k = self._measure.protocol.k
        return TunedModel(name, study.metric, k, tuple(study.trials), study.best, place)

    def _with_gain(self, model: TunedModel, users: np.ndarray) -> TunedModel:
        """Add the paired gain; users float64 (users, 4): both numbers of trial 0, of the best."""
        if len(users) < _FEWEST_USERS:
            return model
        metric, sums = model.metric, users.sum(0)
        change = paired_change(users, partial(gain, metric), self._config.seed)
        values = (value_of_users(metric, part) for part in (sums[:2], sums[2:]))
        before, after = (float(value) for value in values)
        return replace(model, gain=change, second=(before, after))

    def _forget(self, place: str, name: str = "") -> None:
        night = self._context.night
        for each in (place, f"{place}-preview"):
            parts = [each, name] if name else [each]
            night.storage.discard(night.scratch("blocks", *parts))
