"""What a report says, as plain data: filled by `queries.report_data`, drawn by `queries.page`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One figure of a model with its 95% interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Metric:
    """One metric of all models that have it."""

    name: str
    """As readers know it: RMSE, NDCG@10."""
    lower_is_better: bool
    figures: dict[str, Figure]
    """By model."""
    reference: str
    """The model the others must beat."""
    charted: bool = False
    """Whether it has a chart besides its column in the table."""


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
    metrics: list[Metric] = field(default_factory=list)
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
