"""Trials of one model's options: what was tried, and how it is kept.

Every trial is a JSON file below `tuning/<study>/` of the warehouse, written once it is decided, so
that a study goes on where it was interrupted, on a directory as in a bucket.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from mfspark.config.spaces import Choice
from mfspark.errors import MfsparkError
from mfspark.evaluation.catalog import Metric
from mfspark.storage.protocol import Storage
from mfspark.tables.manifest import as_json

Outcome = Literal["complete", "pruned", "failed"]
Params = dict[str, Choice]


@dataclass(frozen=True)
class Trial:
    """Options that were tried, and the metric that they gave on the validation part."""

    number: int
    """From 0 on; trial 0 are the options as they were configured."""
    params: Params
    outcome: Outcome
    value: float | None = None
    """Of the whole fit; None where there was none."""
    preview: float | None = None
    """Of the short fit that came first; None where there was none."""
    seconds: float = 0.0
    """What both took."""


@dataclass(frozen=True)
class Journal:
    """The trials of one study in a storage."""

    storage: Storage
    place: str
    """Such as tuning/als-1a2b3c4d."""

    def read(self) -> list[Trial]:
        """Return the trials so far, by number. Raises MfsparkError where a file is damaged."""
        trials: list[Trial] = []
        for name in self.storage.names(self.place):
            if not name.startswith("trial-"):
                continue
            content = self.storage.read(f"{self.place}/{name}")
            try:
                trials.append(Trial(**json.loads(content or b"")))
            except (ValueError, TypeError):
                raise MfsparkError(
                    f"{self.storage.show(f'{self.place}/{name}')} is damaged",
                    "remove it, and the trial is done again",
                ) from None
        return sorted(trials, key=lambda trial: trial.number)

    def add(self, trials: Iterable[Trial]) -> None:
        """Keep trials, durably."""
        for trial in trials:
            key = f"{self.place}/trial-{trial.number:05d}.json"
            self.storage.put(key, as_json(asdict(trial)))


def best_of(trials: Sequence[Trial], metric: Metric) -> Trial:
    """Return the best whole fit, the first of those that are equal; trial 0 where there is none."""
    whole = {trial.number: value for trial in trials if (value := value_of(trial)) is not None}
    found = metric.best({str(number): value for number, value in whole.items()}) if whole else "0"
    return next(trial for trial in trials if str(trial.number) == found)


def value_of(trial: Trial) -> float | None:
    """Return the value of a whole fit; None where it was stopped early, or failed."""
    known = trial.outcome == "complete" and trial.value is not None and math.isfinite(trial.value)
    return trial.value if known else None


def in_the_best_share(
    preview: float, others: Sequence[float], metric: Metric, *, keep_of: int = 3
) -> bool:
    """Say whether a short fit deserves the whole one: successive halving without waiting.

    It does if it is among the best 1 / keep_of of all short fits so far, itself included (ASHA, Li
    et al. 2020); the first `keep_of` all do.
    """
    if len(others) < keep_of:
        return True
    better = sum(metric.beats(other, preview) for other in others)
    return better < -(-(len(others) + 1) // keep_of)
