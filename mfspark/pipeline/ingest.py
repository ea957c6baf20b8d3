"""Stage ingest: files of ratings, users and items -> ratings, rejected_ratings, users, items."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mfspark.config.allowed_roots import check_allowed
from mfspark.ingest.intake import IngestReport, PreviousNight, Snapshot, ingest
from mfspark.ingest.readers.files import find_files, fingerprint
from mfspark.ingest.side_tables.join import SideCounts
from mfspark.samples.synthetic import survey_files
from mfspark.schemas import IdTypes
from mfspark.tables.run import files_of
from mfspark.tables.writer import write_table

if TYPE_CHECKING:
    from typing import Any

    from pyspark.sql import DataFrame, SparkSession

    from mfspark.config.config import Config
    from mfspark.schemas import IdType, Side
    from mfspark.tables.night import Night


@dataclass(frozen=True)
class InputFiles:
    """The files a night reads."""

    ratings: tuple[str, ...]
    users: tuple[str, ...]
    items: tuple[str, ...]
    test: tuple[str, ...]

    @classmethod
    def of(cls, config: Config) -> InputFiles:
        """Expand the configured patterns; no ratings at all means the embedded survey.

        Raises InputError for a pattern that matches nothing, ConfigError for a file outside of what
        is allowed.
        """
        inputs = config.inputs
        ratings = _allowed_files(inputs.ratings) or (str(survey_files()),)
        others = (_allowed_files(given) for given in (inputs.users, inputs.items, inputs.test))
        return cls(ratings, *others)

    def fingerprints(self) -> list[dict[str, Any]]:
        """Return name, size and sha256 of each file, with the part it plays."""
        parts = asdict(self)
        return [
            {"part": part, **file} for part, files in parts.items() for file in fingerprint(files)
        ]


def _allowed_files(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files of some patterns. Raises ConfigError for one outside the allowed roots."""
    files = find_files(patterns) if patterns else []
    return tuple(check_allowed(path, "the file") for path in files)


def run(spark: SparkSession, night: Night, files: InputFiles) -> IngestReport:
    """Ingest once a night; test ratings are ingested with the others and taken out by the split.

    Ratings made after the run date are left for a later night.
    Raises InputError when the input is unusable or too much of it was rejected.
    """
    if not night.finished("ingest"):

        def write(frame: DataFrame, table: str) -> None:
            write_table(frame, night, table, _ids_of(frame))

        report = ingest(
            spark,
            (*files.ratings, *files.test),
            files.users,
            files.items,
            night.config,
            str(night.scratch("ingest")),
            write,
            _previous(spark, night),
            night.run_date,
        )
        night.finish("ingest", asdict(report))
    return report_of(night)


def report_of(night: Night) -> IngestReport:
    """Return what ingest found. Raises MfsparkError before it has finished."""
    facts: dict[str, Any] = dict(night.facts("ingest"))
    facts["ids"] = IdTypes(**facts["ids"])
    facts["rating_scale"] = tuple(facts["rating_scale"])
    for side in ("users", "items"):
        facts[f"described_{side}"] = SideCounts(**facts[f"described_{side}"])
    return IngestReport(**facts)


def _ids_of(frame: DataFrame) -> IdTypes:
    """Return how a table stores its ids: the frame itself says so."""
    types = {field.name: field.dataType.typeName() for field in frame.schema}

    def kind(column: str) -> IdType:
        return "integer" if types.get(column) == "long" else "string"

    return IdTypes(kind("user_id"), kind("item_id"))


def _previous(spark: SparkSession, night: Night) -> PreviousNight | None:
    """Return what the last run knows: its ids, so that indices stay what they were, and ratings."""
    base, warehouse = night.base, night.warehouse
    if base is None:
        return None
    manifest = warehouse.manifest(base)

    def table(name: str) -> DataFrame:
        return spark.read.parquet(*(str(path) for path in files_of(warehouse, manifest, name)))

    def ids_of(side: Side) -> DataFrame:
        return table(f"{side}s").selectExpr(f"{side}_id as id", f"{side}_idx as idx")

    snapshot = None
    if night.config.ingest.merge:
        facts = manifest.stages["ingest"]
        columns = ("user_id", "item_id", "rating", "rated_at")
        low, high = facts["rating_scale"]
        snapshot = Snapshot(table("ratings").select(*columns), (low, high), facts["rating_step"])
    return PreviousNight(ids_of("user"), ids_of("item"), manifest.ids, snapshot)
