"""What came of tuning, and the file that a night takes it from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from mfspark.config.models import ModelName
from mfspark.evaluation.bootstrap import Change
from mfspark.evaluation.catalog import Metric
from mfspark.pipeline.tuning.trials import Params, Trial

HEADER = "# Written by mfspark tune"
"""How files begin that may be replaced by the next one."""


@dataclass(frozen=True)
class TunedModel:
    """The best options that were found for one model."""

    name: ModelName
    metric: Metric
    k: int
    trials: tuple[Trial, ...]
    best: Trial
    """The best trial on the first validation fold; trial 0 has the options as configured."""
    place: str
    """Where the trials are kept."""
    gain: Change | None = None
    """By how much the best trial is better than trial 0 on the second fold, where nothing was
    chosen; None where it is trial 0 itself, or was not measured."""
    second: tuple[float, float] | None = None
    """The metric of trial 0 and of the best trial on the second fold."""

    @property
    def title(self) -> str:
        """The metric as people read it."""
        return self.metric.title.format(k=self.k)

    @property
    def chosen(self) -> Params:
        """The options that differ from the configured ones; none where they are no better."""
        if self.gain is not None and self.gain.value <= 0:
            return {}
        before = self.trials[0].params
        return {key: value for key, value in self.best.params.items() if value != before[key]}

    @property
    def verdict(self) -> str:
        """What is known of the gain, in one sentence."""
        if self.best.number == 0:
            return "nothing better than the configured options was found"
        if self.gain is None or self.second is None:
            return "the gain was not measured on the second validation fold"
        change, (before, after) = self.gain, self.second
        figures = (
            f"{self.title} {before:.4f} -> {after:.4f} on the second validation fold, better by "
            f"{change.value:.4f} ({change.low:.4f} to {change.high:.4f}, {change.n_users} users)"
        )
        if change.value <= 0:
            return f"{figures}: the configured options stay"
        return figures if change.low > 0 else f"{figures}: may be chance"


def tuned_toml(models: Sequence[TunedModel], run_date: date, what: str) -> str:
    """Return the text of the file: only keys that differ from the configured ones.

    what: the ratings that they were chosen on.
    """
    lines = [
        f"{HEADER} on {run_date}: lay it over the configuration that was tuned, e.g.",
        "# mfspark run --config nightly.toml --config tuned.toml",
        f"# Chosen on {what}.",
    ]
    for model in models:
        lines += ["", f"# {len(model.trials)} trials, best {model.best.number}; {model.verdict}."]
        if not model.chosen:
            lines.append(f"# [models.{model.name}] stays as it was")
            continue
        lines.append(f"[models.{model.name}]")
        before = model.trials[0].params
        for key, value in model.chosen.items():
            lines.append(f"{key} = {_toml(value)}  # {_toml(before[key])} before")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    return json.dumps(value)  # booleans, numbers and text are the same in TOML
