"""What lists of the models are worth beside how varied and how new they are, and for whom."""

from __future__ import annotations

from dataclasses import dataclass

from mfspark.evaluation.catalog import DIVERSITY, NDCG, NOVELTY, metric_named
from mfspark.models.records import SERVING, TRADE
from mfspark.tables.run import PublishedRun


@dataclass(frozen=True)
class TradePoint:
    """The lists of one model: how good they are, and how varied."""

    name: str
    worth: float
    spread: float


@dataclass(frozen=True)
class TradeOff:
    """Worth against variety, of every model and of what is served."""

    worth: str
    """The metrics as people read them: NDCG@10 and diversity@10."""
    spread: str
    points: list[TradePoint]


@dataclass(frozen=True)
class SegmentFigures:
    """What the champion's lists are worth to some users, or for some items."""

    segment: str
    part: str
    figures: dict[str, float]
    """By the title of the metric; those that the part has not are missing."""


def trade_off(run: PublishedRun) -> TradeOff | None:
    """Return worth and variety of all lists; novelty stands in where items have no genres.

    None where the run measured no such thing, as older versions did.
    """
    k, worth = run.manifest.config["evaluation"]["k"], run.figures(NDCG.name)
    spread = next((m for m in (DIVERSITY, NOVELTY) if run.figures(m.name)), None)
    if spread is None:
        return None
    of_lists = run.figures(spread.name)
    points = [
        TradePoint(name, good, varied)
        for name, good in worth.items()
        if good is not None and (varied := of_lists.get(name)) is not None
    ]
    if (trade := run.record(TRADE)) and NDCG.name in trade.varied and spread.name in trade.varied:
        served = trade.varied[NDCG.name], trade.varied[spread.name]
        points.append(TradePoint(f"{trade.model}, varied", *served))
    worth_title, spread_title = (metric.title.format(k=k) for metric in (NDCG, spread))
    return TradeOff(worth_title, spread_title, points) if points else None


def segments(run: PublishedRun) -> list[SegmentFigures]:
    """Return the figures of the served model by parts of users and of items."""
    champion = run.record(SERVING)
    if champion is None or not run.has("segment_metrics"):
        return []
    shown = [metric_named(name) for name in ("ndcg", "recall", "novelty", "diversity")]
    k = run.manifest.config["evaluation"]["k"]
    rows = run.rows(
        """select segment, part, metric, value from {segment_metrics}
           where model = ? and value is not null
           order by segment desc,
               list_position(['none', 'few', 'some', 'many'], split_part(part, ' ', 1))""",
        champion.model,
    )
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        found.setdefault((row["segment"], row["part"]), {})[row["metric"]] = row["value"]
    titles = {metric.name: metric.title.format(k=k) for metric in shown}
    return [
        SegmentFigures(*key, {titles[name]: own[name] for name in titles if name in own})
        for key, own in found.items()
        if titles.keys() & own.keys()
    ]
