"""What a report says, as plain data: `report_data` fills it, `page` and `charts` draw it."""

from dataclasses import dataclass, field

from mfspark.queries.completed import CompletedMatrix
from mfspark.queries.list_search import SearchableLists
from mfspark.queries.list_worth import SegmentFigures, TradeOff
from mfspark.queries.lookup import UserList
from mfspark.queries.night_history import NightHistory
from mfspark.queries.night_verdict import NightVerdict
from mfspark.queries.summary import MetricFigures, RunSummary


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
class Rejected:
    """Rows refused for one reason, with some of them as they stood in the files."""

    reason: str
    n: int
    examples: list[tuple[str, int | None, str]]
    """File, line and raw text."""


@dataclass(frozen=True)
class Report:
    """Everything on the page."""

    summary: RunSummary
    verdict: NightVerdict
    run_date: str
    published_at: str
    """Or refused."""
    made_at: str
    """When this was collected."""
    version: str
    """Of mfspark; empty where nobody noted it."""
    counts: dict[str, int]
    """Headline numbers by name, in order."""
    notes: list[str] = field(default_factory=list)
    """Of the summary, without what the verdict says."""
    history: NightHistory | None = None
    trade: TradeOff | None = None
    segments: list[SegmentFigures] = field(default_factory=list)
    losses: list[LossCurve] = field(default_factory=list)
    distributions: list[Distribution] = field(default_factory=list)
    heatmaps: list[Heatmap] = field(default_factory=list)
    completed: CompletedMatrix | None = None
    list_model: str = ""
    """Whose lists are shown."""
    lists: list[UserList] = field(default_factory=list)
    """Whose rows also have `genres`."""
    scores: str = ""
    """What the scores in lists mean."""
    search: SearchableLists | None = None
    rejected: list[Rejected] = field(default_factory=list)
    config: str = ""
    """As JSON."""

    @property
    def metrics(self) -> list[MetricFigures]:
        """The metrics that any model has."""
        return [found for found in self.summary.metrics if found.figures]

    @property
    def models(self) -> list[str]:
        """All models with a metric, in the order in which metrics name them first."""
        return list(dict.fromkeys(name for found in self.metrics for name in found.figures))

    @property
    def segment_titles(self) -> list[str]:
        """The metrics that any segment has, in the order in which segments name them first."""
        return list(dict.fromkeys(title for found in self.segments for title in found.figures))

    def shade(self, rating: float) -> float:
        """Return how dark a known rating is drawn, 0.08 to 0.5 from the lowest to the highest."""
        low, high = self.summary.ingest.rating_scale
        return 0.08 + 0.42 * (rating - low) / ((high - low) or 1.0)
