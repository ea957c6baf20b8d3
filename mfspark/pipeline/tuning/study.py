"""The study of one model: waves of trials, each kept as soon as it is decided."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mfspark.evaluation.catalog import Metric
from mfspark.pipeline.tuning.proposals import Search
from mfspark.pipeline.tuning.trials import (
    Journal,
    Outcome,
    Params,
    Trial,
    best_of,
    in_the_best_share,
)


@dataclass(frozen=True)
class Attempt:
    """Options to be measured."""

    number: int
    """Of the trial."""
    params: Params
    short: bool
    """Whether a short fit is asked for, which says less and is done soon."""


MeasureAttempts = Callable[[Sequence[Attempt]], Sequence[float]]
"""Gives the metric of each attempt; NaN where it could not be fitted."""


_Decided = tuple[Outcome, float | None, float | None]  # and value and preview


@dataclass
class Study:
    """The trials of one model's options, those of an earlier run included."""

    search: Search
    journal: Journal
    measure: MeasureAttempts
    previews: bool
    """Whether short fits come first, to stop bad trials early."""
    trials: list[Trial] = field(default_factory=list[Trial])
    seconds: float = 0.0
    """What the trials of this run took."""
    longest: float = 0.0
    """What its longest wave took."""

    def __post_init__(self) -> None:
        self.trials = self.journal.read()

    @property
    def metric(self) -> Metric:
        """What trials are compared by."""
        return self.search.metric

    @property
    def best(self) -> Trial:
        """The best whole fit."""
        return best_of(self.trials, self.metric)

    def next_wave(self, most: int | None = None) -> list[Trial]:
        """Do the trials up to the end of a wave, at most so many, and return them.

        What was tried before is not fitted again: the same options have the same value.
        """
        began = time.monotonic()
        number = len(self.trials)
        proposed = self.search.propose(number, self.trials)[:most]
        known = {_key(trial.params): trial for trial in self.trials}
        numbered = dict(enumerate(proposed, number))
        fresh = {n: params for n, params in numbered.items() if _key(params) not in known}
        decided = self._decide(fresh)
        seconds = (time.monotonic() - began) / max(1, len(fresh))
        wave: list[Trial] = []
        for n, params in numbered.items():
            if n in decided:
                outcome, value, preview = decided[n]
                wave.append(Trial(n, params, outcome, value, preview, round(seconds, 3)))
            else:
                same = known[_key(params)]
                wave.append(Trial(n, params, same.outcome, same.value, same.preview))
        self.journal.add(wave)
        self.trials += wave
        taken = time.monotonic() - began
        self.seconds, self.longest = self.seconds + taken, max(self.longest, taken)
        return wave

    def _decide(self, fresh: dict[int, Params]) -> dict[int, _Decided]:
        """Measure some trials; return outcome, value and preview of each."""
        previews = self._measured(fresh, short=True) if self.previews else {}
        earlier = self._earlier_previews(min(fresh, default=0))
        whole = {
            n: params
            for n, params in fresh.items()
            if not self.previews
            or (math.isfinite(previews[n]) and in_the_best_share(previews[n], earlier, self.metric))
        }
        values = self._measured(whole, short=False)
        decided: dict[int, _Decided] = {}
        for n in fresh:
            preview, value = _known(previews.get(n)), _known(values.get(n))
            outcome: Outcome = "complete" if value is not None else "failed"
            if n not in whole and preview is not None:
                outcome = "pruned"
            decided[n] = (outcome, value, preview)
        return decided

    def _earlier_previews(self, number: int) -> list[float]:
        """Return the previews of all trials of earlier waves."""
        begin = self.search.wave_of(number).start
        return [t.preview for t in self.trials if t.number < begin and t.preview is not None]

    def _measured(self, chosen: dict[int, Params], *, short: bool) -> dict[int, float]:
        attempts = [Attempt(n, params, short) for n, params in chosen.items()]
        return dict(zip(chosen, self.measure(attempts), strict=True)) if attempts else {}


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _key(params: Params) -> str:
    return repr(sorted(params.items()))
