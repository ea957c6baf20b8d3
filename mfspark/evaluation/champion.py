"""Whose lists are served: the champion, and what a challenger must show to take its place.

The champion is the model with the best metric. Where the reference run had one that was run again,
another model takes its place only where it is surely better for the same users of this night: else
noise would change everybody's list from night to night.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mfspark.evaluation.bootstrap import paired_change
from mfspark.evaluation.catalog import REFERENCES, Metric
from mfspark.system.words import count

_OUTSIDE = 0.05
"""Share of nights on which equal models may seem to differ, all challengers together."""
_DRAWS = 4000  # of a bootstrap: enough for ends of intervals of 95% that many models share out
_FEWEST = 2  # users; below, a bootstrap says nothing
_RANKER = "ials"  # serves where nothing was measured: it is fitted to rank


@dataclass(frozen=True)
class Challenger:
    """A model whose metric is better than that of the last champion, and by how much."""

    model: str
    gain: float
    """Mean over users of its metric less the champion's."""
    low: float
    """Ends of the gain's interval; those of all challengers hold together with 95%."""
    high: float
    n_users: int

    @property
    def surely_better(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0


@dataclass(frozen=True)
class Champion:
    """The model whose lists are served, and why."""

    model: str
    why: str
    metric: str
    k: int
    figures: dict[str, float] = field(default_factory=dict[str, float])
    """The metric of each model that could be served; empty where nothing was measured."""
    before: str | None = None
    """The champion of the reference run."""
    challengers: tuple[Challenger, ...] = ()
    """Those with a better metric than the last champion, the best first."""

    @property
    def figure(self) -> float | None:
        """Its own metric, where it was measured."""
        return self.figures.get(self.model)


@dataclass(frozen=True)
class Contest:
    """What is known before the champion is chosen."""

    models: Sequence[str]
    """Those that were run tonight, all of which make lists."""
    metric: Metric
    k: int
    metrics: Sequence[Mapping[str, Any]]
    """Rows of table `metrics`; empty where nothing was held out."""
    before: str | None
    """The champion of the reference run."""
    users: Callable[[str, str], np.ndarray]
    """Gives the metric of two models for the users of this night, float64 (users, 2)."""
    seed: int

    @property
    def title(self) -> str:
        """The metric as people read it."""
        return self.metric.title.format(k=self.k)

    @property
    def in_order(self) -> list[str]:
        """The models in the order that decides between equals: no references, `ials` first."""
        return sorted(self.models, key=lambda name: (name in REFERENCES, name != _RANKER))

    @property
    def figures(self) -> dict[str, float]:
        """The metric of each model that has it."""
        found = {m["model"]: m["value"] for m in self.metrics if m["metric"] == self.metric.name}
        return {name: found[name] for name in self.in_order if found.get(name) is not None}


def choose(contest: Contest, pinned: str | None = None) -> Champion:
    """Return the champion: the pinned model, the last champion, or who is better."""
    figures = contest.figures

    def champion(model: str, why: str, *challengers: Challenger) -> Champion:
        name, k = contest.metric.name, contest.k
        return Champion(model, why, name, k, figures, contest.before, challengers)

    if pinned:
        return champion(pinned, "serving.model names it")
    if len(contest.models) == 1:
        return champion(contest.models[0], "no other model was run")
    before = contest.before
    if not figures:
        return champion(*_unmeasured(contest, before if before in contest.models else None))
    best = contest.metric.best(figures)
    if before is None or before not in figures:
        gone = f"{before}, which served in the reference run, was not run; " if before else ""
        return champion(best, f"{gone}the best {contest.title} of {count(len(figures), 'model')}")
    challengers = sorted(_challengers(contest, before), key=lambda one: -one.gain)
    better = next((one for one in challengers if one.surely_better), None)
    if better:
        return champion(better.model, _why_changed(contest, better), *challengers)
    return champion(before, _why_kept(contest, challengers), *challengers)


def _unmeasured(contest: Contest, before: str | None) -> tuple[str, str]:
    """Return who is served where no figure says who is best, and why."""
    cause = (
        "no test rating is relevant (evaluation.relevant_rating)"
        if contest.metrics
        else 'nothing was measured (evaluation.split = "none")'
    )
    if before:
        return before, f"{cause}; it served in the reference run"
    first = contest.in_order[0]
    kind = "it is fitted to rank" if first == _RANKER else "the first of models.run"
    others = any(name in REFERENCES for name in contest.models) and first not in REFERENCES
    return first, f"{cause}; {kind}" + (" that is no reference" * (others and first != _RANKER))


def _challengers(contest: Contest, before: str) -> list[Challenger]:
    """Return the models with a better metric, each compared with the champion user by user.

    The intervals share out what may lie outside them (Bonferroni): the best of many equal models is
    better than one of them by chance much more often than any single one.
    """
    figures, metric = contest.figures, contest.metric
    ahead = [name for name, value in figures.items() if metric.beats(value, figures[before])]
    found: list[Challenger] = []
    for name in ahead:
        pairs = contest.users(before, name)
        if len(pairs) >= _FEWEST:
            counted = np.column_stack([pairs, np.ones(len(pairs))])
            outside = _OUTSIDE / len(ahead)
            change = paired_change(counted, _gain, contest.seed, outside=outside, draws=_DRAWS)
            found.append(Challenger(name, change.value, change.low, change.high, change.n_users))
    return found


def _gain(sums: np.ndarray) -> np.ndarray:
    """Return the mean gain of sums (draws, 3) of two metrics and of users."""
    return (sums[:, 1] - sums[:, 0]) / sums[:, 2]


def _why_changed(contest: Contest, better: Challenger) -> str:
    return f"{contest.title} {_above(contest, better)}, which served in the reference run"


def _why_kept(contest: Contest, challengers: Sequence[Challenger]) -> str:
    kept = "it served in the reference run, and"
    if not challengers:
        return f"{kept} no model has a better {contest.title}"
    first = challengers[0]
    return f"{kept} none is surely better: {first.model} has {contest.title} " + _above(
        contest, first
    )


def _above(contest: Contest, one: Challenger) -> str:
    """Say such as 0.3120, 0.0080 above ials (-0.0010 to 0.0170, 943 users)."""
    figure = contest.figures[one.model]
    interval = f"{one.low:+.4f} to {one.high:+.4f}, {one.n_users:,} users"
    return f"{figure:.4f}, {one.gain:.4f} above {contest.before} ({interval})"
