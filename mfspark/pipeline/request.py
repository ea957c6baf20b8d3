"""From arguments to one pipeline call: shared by `mfspark` and by the spark-submit jobs."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from mfspark.config.config import Config
from mfspark.config.loading import load_config, parse_run_date
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from mfspark.pipeline.progress import Progress
from mfspark.pipeline.sequence import StageName, Work, run
from mfspark.pipeline.standard_input import spooled
from mfspark.system.redaction import redact
from mfspark.system.spark import spark_session
from mfspark.tables.lock import hold_lock
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse


@dataclass(frozen=True)
class Request:
    """What was asked for on a command line."""

    stage: StageName
    config: str | None = None
    ratings: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    warehouse: str | None = None
    run_date: str | None = None
    models: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()

    def load(self) -> Config:
        """Return the configuration with everything from the command line on top.

        Raises ConfigError for what is wrong with it, and for a secret in an argument.
        """
        given = {
            "inputs.ratings": list(self.ratings),
            "inputs.users": list(self.users),
            "inputs.items": list(self.items),
            "inputs.test": list(self.test),
            "models.run": list(self.models),
            "warehouse": self.warehouse,
        }
        for value in (*self.ratings, *self.users, *self.items, *self.test, *self.overrides):
            if "://" in value and redact(value) != value:
                raise ConfigError(
                    f"a secret is part of an argument: {redact(value)}",
                    "everybody on this machine can read it (ps); put it in the configuration file, "
                    "or better in the environment, where the file system's client looks for it",
                )
        # JSON strings and lists of strings are TOML too.
        options = [f"{key}={json.dumps(value)}" for key, value in given.items() if value]
        if self.test:
            options.append('evaluation.split="given"')
        config = load_config(self.config, (*options, *self.overrides))
        paths = config.inputs.model_dump()
        dated = {
            part: tuple(path.replace("{run_date}", self.date().isoformat()) for path in found)
            for part, found in paths.items()
        }
        return config.model_copy(update={"inputs": config.inputs.model_copy(update=dated)})

    def date(self) -> date:
        """Return the run date; today (UTC) where none was given."""
        return parse_run_date(self.run_date) if self.run_date else datetime.now(UTC).date()


def execute(request: Request, progress: Progress, only: Sequence[ModelName] = ()) -> Night:
    """Do what was asked for and return the night it belongs to.

    `only` limits stage train to some of the configured models. Raises MfsparkError.
    """
    from mfspark.models.records import INGEST
    from mfspark.pipeline.context import RunContext
    from mfspark.pipeline.feedback import with_feedback
    from mfspark.pipeline.ingest import InputFiles

    config = request.load()
    warehouse = Warehouse(config.warehouse)
    lock = None if request.stage == "run" else "-".join([request.stage, *only])
    with spooled(config, warehouse.root) as read, hold_lock(warehouse, lock):
        files = InputFiles.of(read)
        config = with_feedback(config, files.ratings)
        night = Night.begin(warehouse, config, request.date(), files.fingerprints())
        if not night.published:
            if not night.finished(INGEST):
                files.check(config.ingest)  # what cannot be read is refused before Spark starts
            size = sum(file["bytes"] for file in night.inputs)
            with spark_session(input_bytes=size) as spark:
                work = Work(RunContext(spark, night), files, only or config.models.run)
                run(work, request.stage, progress)
    return night


def backfill(
    request: Request, first: date, last: date, progress: Progress
) -> Generator[Night, None, None]:
    """Run the night of every date from `first` to `last`, in one Spark session; yield each.

    The same as running them one by one: published nights are passed over, and the first that fails
    ends it. Raises ConfigError where the range is empty, and what `execute` raises.
    """
    if first > last:
        raise ConfigError(f"the range from {first} to {last} is empty", "give --from before --to")
    with spark_session():
        for n in range((last - first).days + 1):
            night = replace(request, run_date=(first + timedelta(days=n)).isoformat())
            yield execute(night, progress)
