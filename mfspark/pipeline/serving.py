"""Whose lists are served tonight: the numbers of the choice, and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mfspark.evaluation.catalog import Metric, metric_named
from mfspark.evaluation.champion import Champion, Contest, choose
from mfspark.models.records import SERVING, TRADE
from mfspark.pipeline.measuring.trade import measure_trade
from mfspark.tables.run import PublishedRun
from mfspark.tables.sql import Tables

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.context import RunContext
    from mfspark.pipeline.fits import Fits
    from mfspark.tables.night import Night


def run(context: RunContext, metrics: Sequence[Mapping[str, Any]]) -> Champion:
    """Choose the model whose lists are served, and record it.

    `metrics` are the rows of table `metrics`; of the users of `user_metrics` only those with a
    relevant test item are asked, by DuckDB.
    """
    return context.once(SERVING, lambda: _choose(context, metrics))


def measure(context: RunContext, fits: Fits, champion: Champion) -> None:
    """Record what making the served lists more varied costs and gives, where that is asked for."""
    if context.config.publish.reranks:
        context.once(TRADE, lambda: measure_trade(fits, cast("ModelName", champion.model)))


def _choose(context: RunContext, metrics: Sequence[Mapping[str, Any]]) -> Champion:
    config, night = context.config, context.night
    metric, name = metric_named(config.serving.metric), config.serving.model
    contest = Contest(
        models=config.models.run,
        metric=metric,
        k=config.evaluation.k,
        metrics=metrics,
        before=_before(night),
        users=lambda one, other: _of_users(night, metric, one, other),
        seed=config.seed,
    )
    return choose(contest, None if name == "auto" else name)


def _before(night: Night) -> str | None:
    """Return the champion of the reference run; None where there was no such run, or an older one.

    Runs of versions without table `serving` have none.
    """
    if night.reference_run is None:
        return None
    record = PublishedRun(night.warehouse, night.reference_run).record(SERVING)
    return record.model if record else None


def _of_users(night: Night, metric: Metric, one: str, other: str) -> np.ndarray:
    """Return a metric of two models for every user who was measured, float64 (users, 2)."""
    (column,) = metric.columns
    tables = Tables(night.files, spill=night.storage.local(night.scratch("duckdb")))
    found = tables.arrays(
        f"""select a.{column} as one, b.{column} as other
            from {{user_metrics}} a join {{user_metrics}} b using (user_id)
            where a.model = ? and b.model = ? and a.{metric.counted} > 0
            order by user_id""",
        one,
        other,
    )
    return np.stack([np.asarray(found[name], np.float64) for name in ("one", "other")], axis=1)
