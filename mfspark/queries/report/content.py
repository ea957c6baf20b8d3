"""What a report says, as plain data: `report_data` fills it, `page` and `charts` draw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfspark.queries.summary import MetricFigures


@dataclass(frozen=True)
class LossCurve:
    """The losses of one fit: (iteration, loss) by split, such as train and validation."""

    model: str
    splits: dict[str, list[tuple[int, float]]]
    seconds: float
    """Of the whole fit."""


@dataclass(frozen=True)
class Bar:
    """One bar of a distribution."""

    label: str
    value: int


@dataclass(frozen=True)
class Distribution:
    """Counts by ranges of a quantity."""

    title: str
    bars: list[Bar]
    note: str = ""


@dataclass(frozen=True)
class Heatmap:
    """A matrix of similarities; None where a pair is in no list of neighbors, or is one row."""

    title: str
    labels: list[str]
    values: list[list[float | None]]


@dataclass(frozen=True)
class Cell:
    """One cell of the completed matrix."""

    value: float
    known: bool


@dataclass(frozen=True)
class Completed:
    """The completed matrix, or its upper left corner."""

    users: list[str]
    items: list[str]
    rows: list[list[Cell]]
    low: float
    high: float
    n_users: int
    n_items: int
    """Of the whole matrix."""
    share_known: float

    def shade(self, value: float) -> float:
        """Return how dark a known rating is drawn, 0.08 to 0.6 from the lowest to the highest."""
        return 0.08 + 0.52 * (value - self.low) / ((self.high - self.low) or 1.0)


@dataclass(frozen=True)
class ListedItem:
    """An item in somebody's list."""

    title: str
    genres: list[str]
    score: float
    tier: str = ""
    """Who made the row, where it is not the model itself."""


@dataclass(frozen=True)
class ExampleList:
    """One user: what they rated best, and what they get."""

    user: str
    n_ratings: int
    mean: float | None
    liked: list[ListedItem]
    listed: list[ListedItem]


@dataclass(frozen=True)
class Rejected:
    """Rows refused for one reason, with some of them as they stood in the files."""

    reason: str
    n: int
    examples: list[tuple[str, int | None, str]]
    """File, line and raw text."""


@dataclass(frozen=True)
class Report:
    """Everything on the page."""

    run_id: str
    run_date: str
    published_at: str
    version: str
    counts: dict[str, int]
    """Headline numbers by name, in order."""
    split: str
    notes: list[str]
    metrics: list[MetricFigures] = field(default_factory=list)
    losses: list[LossCurve] = field(default_factory=list)
    distributions: list[Distribution] = field(default_factory=list)
    heatmaps: list[Heatmap] = field(default_factory=list)
    completed: Completed | None = None
    list_model: str = ""
    """Whose lists are shown."""
    lists: list[ExampleList] = field(default_factory=list)
    n_rows: int = 0
    """Rows read."""
    rejected: list[Rejected] = field(default_factory=list)
    read_as: dict[str, str] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    """Rows by table."""
    config: str = ""
    """As JSON."""

    @property
    def models(self) -> list[str]:
        """All models with a metric, in the order in which metrics name them first."""
        return list(dict.fromkeys(name for metric in self.metrics for name in metric.figures))
