"""What became of a night, and by which gates: the first thing that its report says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from mfspark.queries.refused_run import RefusedRun
from mfspark.queries.runs import open_nights
from mfspark.system.words import count, figure, share, whole
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import run_date_of

State = Literal["published", "superseded", "stale", "refused"]
Outcome = Literal["passed", "warned", "refused", "not compared", "not judged"]
MAX_AGE = timedelta(hours=36)
"""Readers see something stale when the current run is older: a night, and half a day to mend it."""

_WORST_FIRST: tuple[Outcome, ...] = ("refused", "warned", "passed", "not compared", "not judged")


@dataclass(frozen=True)
class _GateWords:
    """What one gate measures, in words, and how its numbers are written."""

    what: str
    change: Callable[[float], str] = share
    """Writes the measured change and the threshold."""
    side: Callable[[float], str] = figure
    """Writes the figures of both runs."""


_GATES = {
    "audits": _GateWords("rows that break the contract of a table", whole),
    "input": _GateWords("fall of the number of ratings, users or items", side=whole),
    "rejected": _GateWords("rise of the share of rejected rows", side=share),
    "drift": _GateWords("difference between the distributions of ratings"),
    "baseline": _GateWords("RMSE above that of the averages of baseline"),
    "rating": _GateWords("rise of RMSE"),
    "ranking": _GateWords("fall of NDCG"),
    "coverage": _GateWords("fall of the number of items in any list", side=whole),
    "concentration": _GateWords("rise of the share of places of the items listed most", side=share),
    "list_change": _GateWords("users who kept less than half of their list"),
}
"""In the order in which nights are judged."""


@dataclass(frozen=True)
class GateRow:
    """One verdict of a gate, or all of one gate summed up by the worst; numbers as text."""

    gate: str
    what: str
    outcome: Outcome
    subject: str = ""
    measured: str = ""
    allowed: str = ""
    before: str = ""
    """The figure of the reference run; of baseline, for gate `baseline`."""
    tonight: str = ""
    why: str = ""
    n: int = 1
    """How many subjects the gate looked at."""


@dataclass(frozen=True)
class NightVerdict:
    """What became of a night."""

    state: State
    headline: str
    because: list[str]
    """What a person on call needs to know; empty where all is well."""
    gates: list[GateRow]
    """One a gate: its worst verdict, or the nearest to the threshold where all passed."""
    details: list[GateRow]
    """One a verdict."""


def verdict_on(
    run: PublishedRun, max_age: timedelta = MAX_AGE, now: datetime | None = None
) -> NightVerdict:
    """Say what became of a night; `now` is when a current run may be older than `max_age`."""
    verdicts = run.manifest.verdicts
    details = [_row(verdict) for verdict in verdicts]
    names = dict.fromkeys((*_GATES, *(verdict["gate"] for verdict in verdicts)))
    gates = [_worst(gate, verdicts) for gate in names]
    state, headline, because = _became(run, max_age, now or datetime.now(UTC))
    headline = f"{headline} {_summed_up(details)}".strip()
    because += [
        f"{row.gate}, {row.subject}: {row.why}" for row in details if row.outcome == "warned"
    ]
    return NightVerdict(state, headline, because, gates, details)


def _became(run: PublishedRun, max_age: timedelta, now: datetime) -> tuple[State, str, list[str]]:
    current = run.warehouse.current()
    if isinstance(run, RefusedRun):
        seen = f"Readers still see run {current}." if current else "Readers see nothing yet."
        return "refused", seen, list(run.reasons)
    if current != run.run_id:
        return "superseded", f"This night was published, but readers see run {current}.", []
    age = now - run.manifest.published_at
    later = [
        f"the night {night.run_id} was refused after it: {'; '.join(night.reasons)}"
        for night in open_nights(run.warehouse)
        if night.refused_at and run_date_of(night.run_id) >= run.manifest.run_date
    ]
    if age > max_age:
        old = f"It is {_age(age)} old, and may be {_age(max_age)} old."
        return "stale", f"Readers see this night. {old}", later
    return "published", "Readers see this night.", later


def _summed_up(details: list[GateRow]) -> str:
    """Say how many verdicts had which outcome, the worst first."""
    found = [(sum(row.outcome == one for row in details), one) for one in _WORST_FIRST]
    parts = ", ".join(f"{n:,} {outcome}" for n, outcome in found if n)
    return f"Of {count(len(details), 'check')}: {parts}." if details else ""


def _age(age: timedelta) -> str:
    hours = round(age.total_seconds() / 3600)
    return count(hours, "hour") if hours < 48 else count(round(hours / 24), "day")


def _worst(gate: str, verdicts: list[dict[str, Any]]) -> GateRow:
    """Return the row of a gate: a failure before a pass, and of equals the nearest to failing."""
    own = [verdict for verdict in verdicts if verdict["gate"] == gate]
    if not own:
        why = "off, or there was nothing to compare with"
        return GateRow(gate, _words(gate).what, "not judged", why=why, n=0)
    return _row(min(own, key=_rank), n=len(own))


def _rank(verdict: dict[str, Any]) -> tuple[int, float]:
    """Return what sorts the verdicts of one gate: failures first, then the nearest to failing."""
    low, value = verdict.get("low"), verdict.get("value")
    change = value if low is None else low
    return _WORST_FIRST.index(_outcome(verdict)), float("inf") if change is None else -change


def _outcome(verdict: dict[str, Any]) -> Outcome:
    if verdict["outcome"] == "failed":
        return "refused" if verdict["mode"] == "enforce" else "warned"
    return "passed" if verdict["outcome"] == "passed" else "not compared"


def _row(verdict: dict[str, Any], n: int = 1) -> GateRow:
    words = _words(verdict["gate"])
    value, low, high = (verdict.get(name) for name in ("value", "low", "high"))
    measured = _text(value, words.change)
    if low is not None and high is not None:
        measured += f" ({words.change(low)} to {words.change(high)})"
    return GateRow(
        verdict["gate"],
        words.what,
        _outcome(verdict),
        verdict["subject"],
        measured,
        _text(verdict.get("threshold"), words.change),
        _text(verdict.get("last"), words.side),
        _text(verdict.get("now"), words.side),
        verdict["why"],
        n,
    )


def _text(value: float | None, write: Callable[[float], str]) -> str:
    return "" if value is None else write(value)


def _words(gate: str) -> _GateWords:
    """Return the words of a gate, also of one that another version had."""
    return _GATES.get(gate, _GateWords(""))
