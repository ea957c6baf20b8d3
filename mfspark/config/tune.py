"""The section `tune`: what `mfspark tune` tries, how long, and by which metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from mfspark.config.models import ModelName, Models
from mfspark.config.section import Section
from mfspark.config.spaces import Dimension, Space, near, problems_of

DEFAULT_MINUTES = 10.0
"""How long is tuned where neither minutes nor trials say it."""


class TuneOptions(Section):
    """How options are chosen on a validation part of the training ratings."""

    metric: Literal["auto", "ndcg", "rmse"] = "auto"
    """What the best trial is the best by; `auto`: NDCG of models whose lists rank choices, RMSE of
    the others."""
    minutes: PositiveFloat | None = None
    """How long to go on, all models together; unset: 10 where `trials` is unset too."""
    trials: PositiveInt | None = None
    """Trials of each model; unset: as many as the minutes allow."""
    at_once: PositiveInt = 4
    """Trials that are decided on together, and run at once as far as there are cores. The same
    number gives the same trials on every machine."""
    spaces: Mapping[str, Mapping[str, Dimension]] = Field(default_factory=dict)
    """What is tried for the options of a model, in place of the space it comes with."""

    @property
    def limit_seconds(self) -> float | None:
        """How long to go on; None: until all trials are done."""
        if self.minutes is None and self.trials is not None:
            return None
        return 60 * (self.minutes or DEFAULT_MINUTES)

    def space_of(self, name: ModelName, models: Models) -> Space:
        """Return what is tried for a model; empty where there is nothing to try."""
        return self.spaces.get(name, models.of(name).space)

    def problems(self, models: Models) -> Iterator[str]:
        """Yield what is wrong with the spaces that were given."""
        for name, space in self.spaces.items():
            if name not in type(models).names():
                yield f"unknown key 'tune.spaces.{name}'; {near(name, type(models).names())}"
            else:
                yield from problems_of(space, getattr(models, name), f"tune.spaces.{name}")
