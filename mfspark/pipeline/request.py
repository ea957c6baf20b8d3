"""From arguments to one pipeline call: shared by `mfspark` and by the spark-submit jobs."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mfspark.config.config import Config, load_config, parse_run_date
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from mfspark.pipeline.progress import LoggedProgress, Progress
from mfspark.pipeline.sequence import Work, run
from mfspark.system.exit import guarded
from mfspark.system.redaction import RedactingFormatter, redact
from mfspark.system.spark import spark_session
from mfspark.tables.lock import hold_lock
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import date

    from mfspark.pipeline.sequence import StageName


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
    debug: bool = False

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
    from mfspark.pipeline.context import RunContext
    from mfspark.pipeline.ingest import InputFiles

    config = request.load()
    files = InputFiles.of(config)
    warehouse = Warehouse(config.warehouse)
    lock = None if request.stage == "run" else "-".join([request.stage, *only])
    with hold_lock(warehouse, lock):
        night = Night.begin(warehouse, config, request.date(), files.fingerprints())
        if not night.published:
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


def run_job(stage: StageName, only: Sequence[ModelName] = ()) -> int:
    """Run a stage as a spark-submit job with the arguments of this process; return its status."""
    request = parse_arguments(stage)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(RedactingFormatter("%(asctime)s %(name)s %(message)s"))
    logging.getLogger("py4j").setLevel(logging.WARNING)

    def work() -> None:
        night = execute(request, LoggedProgress(), only)
        logging.getLogger("mfspark").info(
            "%s of run %s done in %s", stage, night.run_id, night.warehouse.root
        )

    return guarded(work, debug=request.debug)


def parse_arguments(stage: StageName, arguments: Sequence[str] | None = None) -> Request:
    """Parse the arguments of a job; the same options as `mfspark run`."""
    parser = argparse.ArgumentParser(description=f"mfspark stage {stage}")
    parser.add_argument("--config", help="TOML file; every key has a default")
    parser.add_argument("--ratings", action="append", default=[], help="file or glob; repeatable")
    parser.add_argument("--users", action="append", default=[], help="file or glob; repeatable")
    parser.add_argument("--items", action="append", default=[], help="file or glob; repeatable")
    parser.add_argument("--test", action="append", default=[], help="test ratings; repeatable")
    parser.add_argument("--warehouse", help="directory the tables are published under")
    parser.add_argument("--run-date", help="the night's date, 2026-11-22; today if not given")
    parser.add_argument("--models", default="", help="comma-separated; see models.run")
    parser.add_argument("--set", action="append", default=[], help="section.key=value; repeatable")
    parser.add_argument("--debug", action="store_true", help="show full stack traces")
    args = parser.parse_args(arguments)
    return Request(
        stage,
        args.config,
        tuple(args.ratings),
        tuple(args.users),
        tuple(args.items),
        tuple(args.test),
        args.warehouse,
        args.run_date,
        tuple(filter(None, args.models.split(","))),
        tuple(args.set),
        args.debug,
    )
