"""A night beside the nights before it: what was measured, what changed, how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from mfspark.errors import MfsparkError
from mfspark.evaluation.catalog import COVERAGE, NDCG, RMSE, Metric
from mfspark.models.records import EVALUATE, INGEST, SIMILARITY, WRITTEN, fit_key
from mfspark.queries.lookup import served_model
from mfspark.system.words import figure, share, whole
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Tables
from mfspark.tables.table_files import TableFiles
from mfspark.tables.warehouse import run_date_of

_NIGHTS = 14
"""How many nights are looked at, this one included; each asks for its lists and users."""


def _seconds(value: float) -> str:
    return f"{value:,.1f} s"


@dataclass(frozen=True)
class NightMeasure:
    """One figure of a night: how it is called, written, and read."""

    name: str
    title: str
    """`{k}` stands for the length of the lists."""
    text: Callable[[float], str]
    better: int = 0
    """1 where more is better, -1 where less is, 0 where neither."""
    charted: bool = False
    """Whether it is also drawn over the nights."""

    def change_text(self, change: float) -> str:
        """Write a difference, which for shares is one of points."""
        sign, size = "+" if change > 0 else "\N{MINUS SIGN}", abs(change)
        return sign + (f"{100 * size:.1f} points" if self.text is share else self.text(size))


MEASURES = (
    NightMeasure("ndcg", "NDCG@{k} of the served lists", figure, 1, charted=True),
    NightMeasure("rmse", "lowest RMSE", figure, -1, charted=True),
    NightMeasure("coverage", "coverage@{k} of the served lists", share, 1),
    NightMeasure("churn", "list entries that were replaced", share, charted=True),
    NightMeasure("ratings", "ratings", whole, charted=True),
    NightMeasure("users", "users who rated", whole),
    NightMeasure("items", "items rated", whole),
    NightMeasure("rejected", "rejected rows", share, -1),
    NightMeasure("seconds", "seconds of all stages", _seconds),
)


@dataclass(frozen=True)
class NightFigures:
    """What is known of one night; figures that it has not are missing."""

    run_id: str
    run_date: date
    served: str
    figures: dict[str, float]
    """By the name of the measure."""
    seconds: dict[str, float]
    """By stage, in the order of a night."""


@dataclass(frozen=True)
class Comparison:
    """One figure of the last night and of this one, as text."""

    title: str
    before: str
    tonight: str
    change: str = ""
    verdict: str = ""
    """better, worse, or nothing where neither can be said."""


@dataclass(frozen=True)
class NightHistory:
    """A night and those before it, the latest first."""

    k: int
    nights: list[NightFigures] = field(default_factory=list[NightFigures])

    @property
    def measures(self) -> list[NightMeasure]:
        """The measures that any of the nights has."""
        return [m for m in MEASURES if any(m.name in night.figures for night in self.nights)]

    @property
    def beside_last(self) -> list[Comparison]:
        """Each figure beside that of the last night; empty on a first night."""
        if len(self.nights) < 2:
            return []
        tonight, last = self.nights[:2]
        found = (_compared(m, m.title.format(k=self.k), last, tonight) for m in self.measures)
        return [Comparison("served model", last.served, tonight.served), *found]

    @property
    def stages(self) -> list[Comparison]:
        """Seconds of each stage of this night, and of the last one."""
        tonight, last = self.nights[0].seconds, dict[str, float]()
        if len(self.nights) > 1:
            last = self.nights[1].seconds
        return [
            Comparison(name, _seconds(last[name]) if name in last else "", _seconds(seconds))
            for name, seconds in tonight.items()
        ]

    def line(self, measure: NightMeasure) -> list[tuple[str, float]]:
        """Return a measure over the nights that have it, the oldest first: (date, value)."""
        return [
            (night.run_date.isoformat(), night.figures[measure.name])
            for night in reversed(self.nights)
            if measure.name in night.figures
        ]


def history_of(run: PublishedRun) -> NightHistory:
    """Look at a run and the nights before it that are kept; those that are damaged are left out."""
    runs: list[PublishedRun | None] = [*_earlier(run), None]
    evaluation = run.manifest.config["evaluation"]
    nights = [_figures(run, runs[0], evaluation)]
    for one, before in pairwise(runs):
        with suppress(MfsparkError):  # its files are gone, or of another version
            nights += [_figures(one, before, evaluation)] if one else []
    return NightHistory(evaluation["k"], nights)


def _earlier(run: PublishedRun) -> Iterator[PublishedRun]:
    """Yield the published runs before a run, by date and then by when they were published."""
    known = run.warehouse.run_ids()
    if run.run_id in known:
        older = known[known.index(run.run_id) + 1 :]
    else:
        older = [one for one in known if run_date_of(one) <= run.manifest.run_date]
    for run_id in older[: _NIGHTS - 1]:
        with suppress(MfsparkError):
            yield PublishedRun(run.warehouse, run_id)


def _figures(
    run: PublishedRun, before: PublishedRun | None, evaluation: dict[str, Any]
) -> NightFigures:
    """Collect what is known of a night; metrics only if measured as by `evaluation`."""
    served, ingest, own = served_model(run), run.record(INGEST), run.manifest.config["evaluation"]

    def measured(metric: Metric, protocol: Metric) -> dict[str, float | None]:
        same = all(own.get(key) == evaluation.get(key) for key in protocol.protocol)
        return run.figures(metric.name) if same else {}

    rmse = [value for value in measured(RMSE, RMSE).values() if value is not None]
    seconds = seconds_of(run.manifest.stages)
    found: dict[str, float | None] = {
        "ndcg": measured(NDCG, NDCG).get(served),
        "rmse": min(rmse, default=None),
        "coverage": measured(COVERAGE, NDCG).get(served),
        "churn": _churn(run, before) if before else None,
        "ratings": ingest.n_accepted if ingest else None,
        "users": n_rated(run, "user"),
        "items": n_rated(run, "item"),
        "rejected": ingest.rejected_share if ingest and ingest.n_rows else None,
        "seconds": sum(seconds.values()) or None,
    }
    figures = {name: float(value) for name, value in found.items() if value is not None}
    return NightFigures(run.run_id, run.manifest.run_date, served, figures, seconds)


def n_rated(run: PublishedRun, side: str) -> int:
    """Return how many users rated, or how many items were rated."""
    return run.rows(f"select count(*) filter (n_ratings > 0) as n from {{{side}s}}")[0]["n"]


def seconds_of(stages: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the seconds of each stage and fit that recorded them, in the order of a night.

    What is done on the way, such as cutting the ratings, is within the stage that needed it first.
    """

    def fits(subset: str, word: str) -> dict[str, str]:
        prefix = fit_key(subset, "").stage
        own = (stage for stage in stages if stage.startswith(prefix))
        return {stage: f"{word} {stage.removeprefix(prefix)}" for stage in own}

    names = {
        **{key.stage: key.stage for key in (INGEST, SIMILARITY)},
        **fits("train", "train"),
        EVALUATE.stage: EVALUATE.stage,
        **fits("all", "refit"),
        WRITTEN.stage: "lists, audits and gates",
    }
    return {
        name: float(stages[stage]["seconds"])
        for stage, name in names.items()
        if stages.get(stage, {}).get("seconds") is not None
    }


def _churn(run: PublishedRun, before: PublishedRun) -> float | None:
    """Return the share of served entries that the same users did not get the night before."""
    if not (
        run.has("serving") and before.has("serving") and run.manifest.ids == before.manifest.ids
    ):
        return None

    def files(name: str) -> TableFiles:
        of_before = name.startswith("before.")
        return before.files(name.removeprefix("before.")) if of_before else run.files(name)

    try:
        return Tables(files).rows(
            """select 1 - count(b.item_id) / nullif(count(*), 0) as churn
               from {serving} a left join {before.serving} b using (user_id, item_id)
               where a.user_id in (select user_id from {before.serving})"""
        )[0]["churn"]
    except MfsparkError:
        return None  # its files are gone


def _compared(
    measure: NightMeasure, title: str, last: NightFigures, tonight: NightFigures
) -> Comparison:
    before, now = (night.figures.get(measure.name) for night in (last, tonight))
    last_text, text = ("" if value is None else measure.text(value) for value in (before, now))
    if before is None or now is None:
        return Comparison(title, last_text, text)
    if last_text == text:
        return Comparison(title, last_text, text, "same")
    change = now - before
    better = "" if not measure.better else "better" if change * measure.better > 0 else "worse"
    return Comparison(title, last_text, text, measure.change_text(change), better)
