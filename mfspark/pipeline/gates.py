"""Tonight's figures beside those of the reference run: the numbers that gates judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.config.config import Config
from mfspark.config.gates import Gate
from mfspark.evaluation import catalog
from mfspark.evaluation.bootstrap import paired_change, worsening
from mfspark.evaluation.catalog import RMSE, Metric
from mfspark.evaluation.gates import Verdict, of_change, of_fall, of_level, of_rise, skipped
from mfspark.ingest.report import IngestReport
from mfspark.tables.manifest import Manifest

if TYPE_CHECKING:
    from mfspark.tables.sql import Tables

_FEWEST = 2  # users; below, a bootstrap says nothing
_RUNS = ("reference.", "")  # before the names of tables: those of the reference run, and tonight's


@dataclass(frozen=True)
class JudgedNight:
    """A night and its reference run, whose tables are `{reference.NAME}` in queries."""

    tables: Tables
    config: Config
    report: IngestReport
    reference: Manifest | None
    served: tuple[str, str] | None = None
    """The champions of the reference run and of tonight, where both are known."""

    @property
    def n(self) -> int:
        """The length to which lists of both runs are looked at."""
        assert self.reference is not None
        return min(self.config.publish.n, self.reference.config["publish"]["n"])


def compare(both: JudgedNight) -> Iterator[Verdict]:
    """Judge a night by every gate that is not off; the first night only by itself."""
    measured = both.config.evaluation.split != "none"
    if measured:
        yield from _beside_baseline(both)
    if both.reference is None:
        return
    yield from _input(both)
    yield from _drift(both)
    if measured:
        yield from _metrics(both)
    yield from _lists(both)


def _beside_baseline(both: JudgedNight) -> Iterator[Verdict]:
    """Compare each model with the averages of `baseline` for the same users of this night."""
    found = both.tables.arrays(
        f"""select b.model, {_columns(RMSE)}
            from {{user_metrics}} a join {{user_metrics}} b using (user_id)
            where a.model = 'baseline' and b.model <> 'baseline' and {_measured(RMSE)}
            order by b.model, user_id"""
    )
    gate = both.config.gates.baseline
    for model, users in _by_model(found).items():
        yield _changed(both, "baseline", model, gate, users, RMSE)


def _input(both: JudgedNight) -> Iterator[Verdict]:
    gates, report = both.config.gates, both.report
    assert both.reference is not None
    theirs = both.reference.stages["ingest"]
    yield of_fall("input", "ratings", gates.input, theirs["n_accepted"], report.n_accepted)
    for side in ("users", "items"):
        rated = "select count(*) filter (n_ratings > 0) as n from"
        counts = (both.tables.rows(f"{rated} {{{run}{side}}}")[0]["n"] for run in _RUNS)
        yield of_fall("input", f"{side} with ratings", gates.input, *counts)
    shares = (
        theirs["n_rejected"] / (theirs["n_rows"] or 1),
        report.rejected_share,
    )
    yield of_rise("rejected", "rows", gates.rejected, *shares)


def _drift(both: JudgedNight) -> Iterator[Verdict]:
    """Compare the distributions of all ratings (Kolmogorov-Smirnov)."""
    found = both.tables.rows(
        """with counted as (
               select rating, sum(a)::double as a, sum(b)::double as b from (
                   select rating, 1 as a, 0 as b from {reference.ratings}
                   union all select rating, 0, 1 from {ratings})
               group by rating),
           risen as (
               select sum(a) over upto / sum(a) over () as a, sum(b) over upto / sum(b) over () as b
               from counted window upto as (order by rating))
           select max(abs(a - b)) as distance from risen"""
    )
    gate = both.config.gates.drift
    what = "ratings are distributed otherwise than in the reference run"
    yield of_level("drift", "ratings", gate, found[0]["distance"], what)


def _metrics(both: JudgedNight) -> Iterator[Verdict]:
    """Compare the metrics of each model that have a gate, for the users that both runs measured."""
    reference = both.reference
    assert reference is not None
    mine, theirs = both.config.evaluation.model_dump(mode="json"), reference.config["evaluation"]
    for metric in filter(lambda metric: metric.gate, catalog.METRICS):
        name, gate = metric.gate, getattr(both.config.gates, metric.gate)
        differs = [key for key in metric.protocol if mine[key] != theirs.get(key)]
        if differs:
            keys = ", ".join(f"evaluation.{key}" for key in differs)
            yield skipped(name, "all models", gate, f"{keys} changed")
        elif "user_metrics" not in reference.tables:
            yield skipped(name, "all models", gate, "the reference run has no table user_metrics")
        else:
            found = both.tables.arrays(
                f"""select model, {_columns(metric)}
                    from {{reference.user_metrics}} a join {{user_metrics}} b using (model, user_id)
                    where {_measured(metric)} order by model, user_id"""
            )
            for model, users in _by_model(found).items():
                yield _changed(both, name, model, gate, users, metric)
            if name == "ranking" and both.served and len(set(both.served)) == 2:
                yield _served(both, both.served, gate, metric)


def _served(both: JudgedNight, champions: tuple[str, str], gate: Gate, metric: Metric) -> Verdict:
    """Compare the lists that people get where another model makes them than did before."""
    found = both.tables.arrays(
        f"""select 'serving' as model, {_columns(metric)}
            from {{reference.user_metrics}} a join {{user_metrics}} b using (user_id)
            where a.model = ? and b.model = ? and {_measured(metric)} order by user_id""",
        *champions,
    )
    users = _by_model(found).get("serving", np.empty((0, 2 * len(metric.columns))))
    return _changed(both, "ranking", "serving", gate, users, metric)


def _columns(metric: Metric) -> str:
    """Return in SQL what a metric is made of, of run a and then of run b."""
    return ", ".join(f"{run}.{column}" for run in "ab" for column in metric.columns)


def _measured(metric: Metric) -> str:
    """Return in SQL whether a user was measured by both runs."""
    return " and ".join(f"{run}.{metric.counted} > 0" for run in "ab")


def _changed(
    both: JudgedNight, name: str, model: str, gate: Gate, users: np.ndarray, metric: Metric
) -> Verdict:
    if len(users) < _FEWEST:
        return skipped(name, model, gate, f"fewer than {_FEWEST} users were measured both times")
    change = paired_change(users, partial(worsening, metric), both.config.seed)
    figures = metric.value(users.sum(0).reshape(2, -1), len(users))
    what = metric.title.partition("@")[0]
    return of_change(name, model, gate, change, (float(figures[0]), float(figures[1])), what)


def _by_model(found: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the numbers beside `model`, by which they are sorted: float64 (users, c) each."""
    model, *columns = found.values()
    numbers = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    names, starts = np.unique(np.asarray(model, str), return_index=True)
    parts = np.split(numbers, starts[1:]) if len(names) else []
    return dict(zip(names.tolist(), parts, strict=True))


def _lists(both: JudgedNight) -> Iterator[Verdict]:
    """Compare the lists of each model: how many items they hold, how alike, how many are new."""
    gates = both.config.gates
    theirs, mine = (_shape(both, run) for run in _RUNS)
    changed = _share_changed(both)
    for model in both.config.models.run:
        if model not in theirs or model not in mine:
            continue
        (n_theirs, their_share), (n_mine, my_share) = theirs[model], mine[model]
        # Items that are listed once or twice come and go by chance.
        slack = 2 * n_theirs**0.5
        yield of_fall("coverage", model, gates.coverage, n_theirs, n_mine, slack)
        yield of_rise("concentration", model, gates.concentration, their_share, my_share)
        if model in changed:
            what = "users who kept less than half of their list"
            yield of_level("list_change", model, gates.list_change, changed[model], what)


def _shape(both: JudgedNight, run: str) -> dict[str, tuple[int, float]]:
    """Return, by model, how many items are listed and the share of the tenth listed most."""
    rows = both.tables.rows(
        f"""with counted as (
                select model, item_id, count(*) as n from {{{run}top_n}} where rank <= $n
                group by all),
            placed as (
                select *, row_number() over (partition by model order by n desc, item_id) as place
                from counted)
            select model, count(*) as n_listed,
                sum(n) filter (place <= ceil((select count(*) from {{{run}items}}) / 10))
                    / sum(n) as share
            from placed group by model""",
        n=both.n,
    )
    return {row["model"]: (row["n_listed"], row["share"]) for row in rows}


def _share_changed(both: JudgedNight) -> dict[str, float]:
    """Return, by model, the share of the users of both runs whose list kept less than half."""
    rows: list[dict[str, Any]] = both.tables.rows(
        """with kept as (
               select a.model, a.user_id, count(*) as n, count(b.item_id) as same
               from {reference.top_n} a left join {top_n} b
                   on a.model = b.model and a.user_id = b.user_id and a.item_id = b.item_id
                   and b.rank <= $n
               where a.rank <= $n group by all)
           select model, avg((2 * same < n)::int) as share
           from kept semi join {top_n} using (model, user_id) group by model""",
        n=both.n,
    )
    return {row["model"]: row["share"] for row in rows}
