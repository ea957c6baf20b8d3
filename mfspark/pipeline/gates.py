"""Tonight's figures beside those of the last run: the numbers that gates judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mfspark.evaluation.bootstrap import mean_fall, paired_change, rmse_rise
from mfspark.evaluation.gates import of_change, of_fall, of_level, of_rise, skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mfspark.config.config import Config
    from mfspark.config.gates import Gate
    from mfspark.evaluation.gates import Verdict
    from mfspark.ingest.intake import IngestReport
    from mfspark.tables.manifest import Manifest
    from mfspark.tables.sql import Row, Tables

_FEWEST = 2  # users; below, a bootstrap says nothing


@dataclass(frozen=True)
class Measure:
    """A metric as `user_metrics` has it, of run a (then) and run b (now)."""

    name: str
    columns: str
    """A user's numbers in SQL."""
    measured: str
    """Which users have any, in SQL."""
    worse: Callable[[np.ndarray], np.ndarray]
    """How much worse b is, from sums of the numbers (draws, columns)."""
    protocol: tuple[str, ...]
    """The options of the evaluation that must be the same."""

    def figures(self, users: np.ndarray) -> tuple[float, float]:
        """Return the metric of both runs."""
        sums, n = users.sum(0), len(users)
        if self is RMSE:
            return float(sums[0] / sums[1]) ** 0.5, float(sums[2] / sums[3]) ** 0.5
        return float(sums[0] / n), float(sums[1] / n)


RMSE = Measure(
    "RMSE",
    "a.squared_error, a.n_test, b.squared_error, b.n_test",
    "a.n_test > 0 and b.n_test > 0",
    rmse_rise,
    ("split",),
)
NDCG = Measure(
    "NDCG",
    "a.ndcg, b.ndcg",
    "a.n_relevant > 0 and b.n_relevant > 0",
    mean_fall,
    ("split", "k", "relevant_rating"),
)


@dataclass(frozen=True)
class Comparison:
    """A night and the run it is compared with; its tables are `{last.NAME}` in queries."""

    tables: Tables
    config: Config
    report: IngestReport
    last: Manifest | None

    @property
    def n(self) -> int:
        """The length to which lists of both runs are looked at."""
        assert self.last is not None
        return min(self.config.publish.n, self.last.config["publish"]["n"])


def compare(both: Comparison) -> Iterator[Verdict]:
    """Judge a night by every gate that is not off; the first night only by itself."""
    measured = both.config.evaluation.split != "none"
    if measured:
        yield from _beside_baseline(both)
    if both.last is None:
        return
    yield from _input(both)
    yield from _drift(both)
    if measured:
        yield from _metrics(both)
    yield from _lists(both)


def _beside_baseline(both: Comparison) -> Iterator[Verdict]:
    """Compare each model with the averages of `baseline` for the same users of this night."""
    found = both.tables.arrays(
        f"""select b.model, {RMSE.columns}
            from {{user_metrics}} a join {{user_metrics}} b using (user_id)
            where a.model = 'baseline' and b.model <> 'baseline' and {RMSE.measured}
            order by b.model, user_id"""
    )
    gate = both.config.gates.baseline
    for model, users in _by_model(found).items():
        yield _changed(both, "baseline", model, gate, users, RMSE)


def _input(both: Comparison) -> Iterator[Verdict]:
    gates, last = both.config.gates, both.last
    assert last is not None
    before, report = last.stages["ingest"], both.report
    yield of_fall("input", "ratings", gates.input, before["n_accepted"], report.n_accepted)
    for side in ("users", "items"):
        rated = "select count(*) filter (n_ratings > 0) as n from"
        then, now = (both.tables.rows(f"{rated} {{{t}}}")[0]["n"] for t in (f"last.{side}", side))
        yield of_fall("input", f"{side} with ratings", gates.input, then, now)
    shares = [
        n_rejected / n_rows if n_rows else 0.0
        for n_rejected, n_rows in (
            (before["n_rejected"], before["n_rows"]),
            (report.n_rejected, report.n_rows),
        )
    ]
    yield of_rise("rejected", "rows", gates.rejected, *shares)


def _drift(both: Comparison) -> Iterator[Verdict]:
    """Compare the distributions of all ratings (Kolmogorov-Smirnov)."""
    found = both.tables.rows(
        """with counted as (
               select rating, sum(before)::double as before, sum(now)::double as now from (
                   select rating, 1 as before, 0 as now from {last.ratings}
                   union all select rating, 0, 1 from {ratings})
               group by rating),
           risen as (
               select sum(before) over upto / sum(before) over () as before,
                      sum(now) over upto / sum(now) over () as now
               from counted window upto as (order by rating))
           select max(abs(before - now)) as distance from risen"""
    )
    gate = both.config.gates.drift
    what = "ratings are distributed otherwise than in the last run"
    yield of_level("drift", "ratings", gate, found[0]["distance"], what)


def _metrics(both: Comparison) -> Iterator[Verdict]:
    """Compare RMSE and NDCG of each model for the users that both runs measured."""
    gates, last = both.config.gates, both.last
    assert last is not None
    now, then = both.config.evaluation.model_dump(mode="json"), last.config["evaluation"]
    measures: list[tuple[str, Gate, Measure]] = [
        ("rating", gates.rating, RMSE),
        ("ranking", gates.ranking, NDCG),
    ]
    for name, gate, measure in measures:
        differs = [key for key in measure.protocol if now[key] != then.get(key)]
        if differs:
            keys = ", ".join(f"evaluation.{key}" for key in differs)
            yield skipped(name, "all models", gate, f"{keys} changed")
        elif "user_metrics" not in last.tables:
            yield skipped(name, "all models", gate, "the last run has no table user_metrics")
        else:
            found = both.tables.arrays(
                f"""select model, {measure.columns}
                    from {{last.user_metrics}} a join {{user_metrics}} b using (model, user_id)
                    where {measure.measured} order by model, user_id"""
            )
            for model, users in _by_model(found).items():
                yield _changed(both, name, model, gate, users, measure)


def _changed(
    both: Comparison, name: str, model: str, gate: Gate, users: np.ndarray, measure: Measure
) -> Verdict:
    if len(users) < _FEWEST:
        return skipped(name, model, gate, f"fewer than {_FEWEST} users were measured both times")
    change = paired_change(users, measure.worse, both.config.seed)
    return of_change(name, model, gate, change, measure.figures(users), measure.name)


def _by_model(found: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the numbers beside `model`, by which they are sorted: float64 (users, c) each."""
    model, *columns = found.values()
    numbers = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    names, starts = np.unique(np.asarray(model, str), return_index=True)
    parts = np.split(numbers, starts[1:]) if len(names) else []
    return dict(zip(names.tolist(), parts, strict=True))


def _lists(both: Comparison) -> Iterator[Verdict]:
    """Compare the lists of each model: how many items they hold, how alike, how many are new."""
    gates = both.config.gates
    then, now = _shape(both, "last."), _shape(both, "")
    changed = _share_changed(both)
    for model in both.config.models.run:
        if model not in then or model not in now:
            continue
        last, this = then[model], now[model]
        # Items that are listed once or twice come and go by chance.
        slack = 2 * last["n_listed"] ** 0.5
        yield of_fall("coverage", model, gates.coverage, last["n_listed"], this["n_listed"], slack)
        yield of_rise("concentration", model, gates.concentration, last["share"], this["share"])
        if model in changed:
            what = "users who kept less than half of their list"
            yield of_level("list_change", model, gates.list_change, changed[model], what)


def _shape(both: Comparison, run: str) -> dict[str, Row]:
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
    return {row["model"]: row for row in rows}


def _share_changed(both: Comparison) -> dict[str, float]:
    """Return, by model, the share of the users of both runs whose list kept less than half."""
    rows: list[dict[str, Any]] = both.tables.rows(
        """with kept as (
               select a.model, a.user_id, count(*) as n, count(b.item_id) as same
               from {last.top_n} a left join {top_n} b
                   on a.model = b.model and a.user_id = b.user_id and a.item_id = b.item_id
                   and b.rank <= $n
               where a.rank <= $n group by all)
           select model, avg((2 * same < n)::int) as share
           from kept semi join {top_n} using (model, user_id) group by model""",
        n=both.n,
    )
    return {row["model"]: row["share"] for row in rows}
