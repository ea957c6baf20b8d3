"""What the stages of a night record: written by the pipeline, read again by it and by queries."""

from dataclasses import dataclass
from typing import Any, Literal

from mfspark.evaluation.champion import Champion
from mfspark.grid.layout import TileSet
from mfspark.ingest.report import IngestReport
from mfspark.schemas import Side
from mfspark.storage.traffic import Traffic
from mfspark.tables.records import RecordKey

Subset = Literal["train", "test", "all"]
"""Which ratings: what models are measured with (train, test) or what is published from (all)."""


@dataclass(frozen=True)
class Cut:
    """The ratings of a subset, cut into tiles."""

    tiles: TileSet


@dataclass(frozen=True)
class Fit:
    """A fitted model."""

    record: dict[str, Any]
    """What its `record` gave."""
    seconds: float


@dataclass(frozen=True)
class TableRows:
    """Rows written, by table."""

    rows: dict[str, int]


@dataclass(frozen=True)
class EvaluationRecord:
    """The rows of table `metrics`."""

    metrics: list[dict[str, Any]]


@dataclass(frozen=True)
class Trade:
    """What making the served lists more varied costs and gives: metrics of lists, by name."""

    model: str
    plain: dict[str, float]
    """Of its own lists, made from the training part."""
    varied: dict[str, float]
    """Of those that are chosen from them (publish.variety, max_per_genre)."""


@dataclass(frozen=True)
class ListableItems:
    """How many items lists may hold, and allowed or denied ids that no item has."""

    n_eligible: int
    unknown_ids: dict[str, list[str]]


@dataclass(frozen=True)
class Labelled:
    """How many users or items have their ids in blocks."""

    rows: int


@dataclass(frozen=True)
class SideFeatures:
    """What each column of the features of a side stands for; empty where there are none."""

    attributes: list[str]


@dataclass(frozen=True)
class StartFactors:
    """References of the base run's factors as blocks, by side; empty where it has none."""

    blocks: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class TablesWritten:
    """The lists and the other tables that publishing wrote."""


_REQUESTS = "requests-"
INGEST = RecordKey("ingest", IngestReport)
SIMILARITY = RecordKey("similarity", TableRows)
EVALUATE = RecordKey("evaluate", EvaluationRecord)
SERVING = RecordKey("serving", Champion)
TRADE = RecordKey("variety", Trade)
WRITTEN = RecordKey("publish", TablesWritten)
LISTABLE_ITEMS = RecordKey("eligible", ListableItems)


def cut_key(subset: str) -> RecordKey[Cut]:
    """Return the key of a subset's tiles."""
    return RecordKey(f"cut-{subset}", Cut)


def fit_key(subset: str, model: str) -> RecordKey[Fit]:
    """Return the key of a model fitted on a subset."""
    return RecordKey(f"fit-{subset}-{model}", Fit)


def labels_key(side: Side) -> RecordKey[Labelled]:
    """Return the key of the ids of a side."""
    return RecordKey(f"labels-{side}", Labelled)


def side_features_key(side: Side) -> RecordKey[SideFeatures]:
    """Return the key of the features of a side."""
    return RecordKey(f"attributes-{side}", SideFeatures)


def start_factors_key(model: str) -> RecordKey[StartFactors]:
    """Return the key of the factors that a model's training starts from."""
    return RecordKey(f"start-factors-{model}", StartFactors)


def requests_key(work: str) -> RecordKey[Traffic]:
    """Return the key of what a piece of work, such as train-als, asked of a remote warehouse.

    Each has its own, as several may run at once.
    """
    return RecordKey(f"{_REQUESTS}{work}", Traffic)


def requests_of(records: dict[str, dict[str, Any]], run_id: str) -> Traffic:
    """Return what a night asked of a remote warehouse before its manifest was written."""
    names = (name.removeprefix(_REQUESTS) for name in records if name.startswith(_REQUESTS))
    found = (requests_key(name) for name in names)
    return sum((key.parse(records[key.stage], run_id) for key in found), Traffic())
