"""Which options are tried next: the tree-structured Parzen estimator of optuna, wave by wave.

A wave is decided on together: trial n belongs to wave n div at_once, and depends on the trials of
earlier waves and on the seed alone. So neither how long trials take, nor how many run at once, nor
an interruption can change what is tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mfspark.config.models import ModelOptions
from mfspark.config.spaces import Range, Space, is_whole
from mfspark.errors import ConfigError
from mfspark.evaluation.catalog import Metric
from mfspark.pipeline.tuning.trials import Params, Trial, value_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_DIGITS = 4  # of what is tried: nobody wants to read more in a configuration


def require_optuna() -> None:
    """Raise ConfigError where optuna is not installed."""
    if find_spec("optuna") is None:
        raise ConfigError(
            "mfspark tune needs the package optuna", 'install it: pip install "mfspark[tune]"'
        )


@dataclass(frozen=True)
class Search:
    """The space of one model's options and the sampler over it."""

    space: Space
    options: ModelOptions
    """As configured: what trial 0 tries."""
    metric: Metric
    seed: int
    at_once: int
    """Trials of a wave."""

    def first(self) -> Params:
        """Return what trial 0 tries."""
        return {key: getattr(self.options, key) for key in self.space}

    def wave_of(self, number: int) -> range:
        """Return the numbers of the trials that are decided on with this one."""
        begin = number - number % self.at_once
        return range(begin, begin + self.at_once)

    def propose(self, number: int, trials: Sequence[Trial]) -> list[Params]:
        """Return what the trials from `number` to the end of its wave try.

        Of `trials` only those of earlier waves count.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        wave = self.wave_of(number)
        spaces = {key: self._distribution(key) for key in self.space}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what optuna calls experimental
            sampler = optuna.samplers.TPESampler(
                seed=self.seed + wave.start, multivariate=True, constant_liar=True
            )
            direction = "minimize" if self.metric.lower_is_better else "maximize"
            study = optuna.create_study(sampler=sampler, direction=direction)
            for trial in trials:
                if trial.number < wave.start and (told := _told(trial, spaces)):
                    study.add_trial(told)
            asked = [study.ask(spaces).params for n in wave if n]
        proposed = [self._rounded(params) for params in asked]
        if wave.start == 0:
            proposed = [self.first(), *proposed]
        return proposed[number - wave.start :]

    def _distribution(self, key: str) -> BaseDistribution:
        from optuna import distributions as of

        dimension = self.space[key]
        if not isinstance(dimension, Range):
            return of.CategoricalDistribution(dimension)
        low, high = dimension.low, dimension.high
        if is_whole(self.options, key, dimension):
            return of.IntDistribution(int(low), int(high), log=dimension.log)
        return of.FloatDistribution(low, high, log=dimension.log)

    def _rounded(self, params: dict[str, Any]) -> Params:
        found: Params = {}
        for key, value in params.items():
            dimension = self.space[key]
            if isinstance(dimension, Range) and isinstance(value, float):
                rounded = float(f"{value:.{_DIGITS}g}")
                value = min(max(rounded, dimension.low), dimension.high)
            found[key] = value
        return found


def _told(trial: Trial, spaces: dict[str, BaseDistribution]) -> Any:
    """Return a trial as optuna keeps it; None where its options lie outside of the space."""
    from optuna.trial import TrialState, create_trial

    inside = all(
        key in trial.params and _lies_in(trial.params[key], space) for key, space in spaces.items()
    )
    value = value_of(trial)
    if not inside:
        return None
    shared: dict[str, Any] = {"params": trial.params, "distributions": spaces}
    if value is not None:
        return create_trial(state=TrialState.COMPLETE, value=value, **shared)
    if trial.preview is not None:
        previews = {1: trial.preview}
        return create_trial(state=TrialState.PRUNED, intermediate_values=previews, **shared)
    return create_trial(state=TrialState.FAIL, **shared)


def _lies_in(value: Any, space: Any) -> bool:
    from optuna.distributions import CategoricalDistribution

    if isinstance(space, CategoricalDistribution):
        return any(value == one and type(value) is type(one) for one in space.choices)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and space.low <= value <= space.high
