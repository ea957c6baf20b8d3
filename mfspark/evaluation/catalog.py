"""Every fact of every metric, once; the formulas are in `evaluation.metrics`.

To add a metric is to add a row here. What it needs of each user is a column of `user_metrics`: one
that is not there yet is named in `schemas.py` and computed in `evaluation.metrics`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Z95 = 1.96
"""Half-width of a 95% interval of the normal distribution, in standard deviations."""
Name = TypeVar("Name", bound=str)
REFERENCES = ("baseline", "popularity")
"""Every model is measured beside these: averages, and what most people rated."""

MetricKind = Literal["rating", "interval", "ranking", "listed", "lists"]
"""How a metric comes from the numbers of users n in `user_metrics`, or from lists:

`rating`    sum of a loss / sum of n_test, over all test ratings, with an interval clustered by user
`interval`  the same over the predictions that have an interval
`ranking`   the mean of one number over users with a relevant test item
`listed`    the mean of one number over users whose list has it
`lists`     a figure of all lists together
"""


@dataclass(frozen=True)
class Metric:
    """What is known of one metric."""

    name: str
    """As table `metrics` has it."""
    title: str
    """As people read it; `{k}` stands for the length of the lists."""
    kind: MetricKind
    columns: tuple[str, ...] = ()
    """Where it comes from, in `user_metrics`: a sum and what it is divided by, or one number."""
    root: bool = False
    """Whether the square root is taken of the mean."""
    lower_is_better: bool = False
    most: float = 1.0
    """The largest value that a mean over users can have."""
    shown: bool = False
    """Whether the summary and the report have a column of it, in the order of METRICS."""
    charted: bool = False
    """Whether the report also draws it."""
    gate: Literal["", "rating", "ranking"] = ""
    """The gate that compares it with the reference run, user by user."""

    @property
    def reference(self) -> str:
        """The model that the others have to beat."""
        return "baseline" if self.kind == "rating" else "popularity"

    @property
    def counted(self) -> str:
        """The column of `user_metrics` that is above 0 where a user was measured."""
        return "n_relevant" if self.kind == "ranking" else self.columns[-1]

    @property
    def protocol(self) -> tuple[str, ...]:
        """The options of the evaluation that two runs must share to be comparable by it."""
        return ("split", "k", "relevant_rating") if self.kind == "ranking" else ("split",)

    def value(self, sums: np.ndarray, n_users: int = 1) -> np.ndarray:
        """Return the metric of sums of `columns` over users: (..., columns) to (...)."""
        if self.kind in ("ranking", "listed"):
            return sums[..., 0] / n_users
        mean = sums[..., 0] / sums[..., 1]
        return np.sqrt(mean) if self.root else mean

    def beats(self, value: float, bar: float) -> bool:
        """Return whether a value is better than another."""
        return value < bar if self.lower_is_better else value > bar

    def best(self, figures: Mapping[Name, float]) -> Name:
        """Return the model with the best figure; the first of those that are equal."""
        choose = min if self.lower_is_better else max
        return choose(figures, key=lambda model: figures[model])


RMSE = Metric(
    *("rmse", "RMSE", "rating", ("squared_error", "n_test")),
    root=True, lower_is_better=True, shown=True, charted=True, gate="rating",
)  # fmt: skip
NDCG = Metric("ndcg", "NDCG@{k}", "ranking", ("ndcg",), shown=True, charted=True, gate="ranking")
NOVELTY = Metric("novelty", "novelty@{k}", "listed", ("novelty",), most=math.inf)
DIVERSITY = Metric("diversity", "diversity@{k}", "listed", ("diversity",), most=2.0)
COVERAGE = Metric("coverage", "coverage@{k}", "lists", shown=True)
METRICS = (
    RMSE,
    Metric("mae", "MAE", "rating", ("absolute_error", "n_test"), lower_is_better=True, shown=True),
    Metric("interval_coverage", "interval coverage", "interval", ("n_inside", "n_intervals")),
    Metric(
        *("interval_width", "interval width", "interval", ("interval_width", "n_intervals")),
        lower_is_better=True,
    ),
    NDCG,
    Metric("recall", "recall@{k}", "ranking", ("recall",), shown=True),
    Metric("recall_capped", "capped recall@{k}", "ranking", ("recall_capped",)),
    Metric("precision", "precision@{k}", "ranking", ("precision",)),
    Metric("hit_rate", "hit rate@{k}", "ranking", ("hit_rate",)),
    Metric("mrr", "MRR@{k}", "ranking", ("mrr",)),
    Metric("map", "MAP@{k}", "ranking", ("map",)),
    NOVELTY,
    DIVERSITY,
    COVERAGE,
)
"""All metrics; those that are shown stand in the order in which people see them."""


def of_kind(kind: MetricKind) -> list[Metric]:
    """Return the metrics of one kind."""
    return [metric for metric in METRICS if metric.kind == kind]


def of_users() -> list[Metric]:
    """Return the metrics that come from numbers of users: all but the figures of all lists."""
    return [metric for metric in METRICS if metric.kind != "lists"]


def metric_named(name: str) -> Metric:
    """Return a metric by its name."""
    return next(metric for metric in METRICS if metric.name == name)
