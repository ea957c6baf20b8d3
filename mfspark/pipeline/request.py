"""From arguments to one pipeline call: shared by `mfspark` and by the spark-submit jobs."""

import json
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Self

from mfspark.config.config import Config
from mfspark.config.loading import load_config, parse_run_date
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError
from mfspark.pipeline.progress import Progress
from mfspark.pipeline.sequence import StageName, Work, run
from mfspark.pipeline.standard_input import spooled
from mfspark.samples.survey import survey_files
from mfspark.system.command_line import CommandLine
from mfspark.system.redaction import redact
from mfspark.system.spark import spark_session
from mfspark.tables.lock import hold_lock
from mfspark.tables.night import Night
from mfspark.tables.waiting import nights_of_other_ratings, waiting_nights
from mfspark.tables.warehouse import Warehouse

_SHOWN = 3  # nights that a refusal names


@dataclass(frozen=True)
class Request:
    """What was asked for on a command line."""

    stage: StageName
    config: tuple[str, ...] = ()
    """Files of the configuration, each over those before."""
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

        Raises ConfigError for what is wrong with it, for an empty value (a variable of the shell
        that is not set) and for a secret in an argument.
        """
        for option, value in self._words():
            if not value.strip():
                raise ConfigError(f"{option} is empty", "leave it out, or say what is meant")
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
            role: tuple(path.replace("{run_date}", self.date().isoformat()) for path in found)
            for role, found in paths.items()
        }
        return config.model_copy(update={"inputs": config.inputs.model_copy(update=dated)})

    def date(self) -> date:
        """Return the run date; today (UTC) where none was given."""
        return parse_run_date(self.run_date) if self.run_date else datetime.now(UTC).date()

    def dated(self) -> Self:
        """Return the same request with its date written out: midnight changes nothing any more."""
        return replace(self, run_date=self.date().isoformat())

    def check(self, config: Config) -> None:
        """Raise ConfigError where the warehouse cannot lie where it is asked for.

        Also where no ratings are named and the survey cannot be what is meant.
        """
        Warehouse(config.warehouse).storage.check()
        if not config.inputs.ratings:
            _check_survey_is_meant(self, config)

    def asked(self, config: Config) -> CommandLine:
        """Return the options that ask for the same night again, whatever the day and the stage."""
        survey = () if config.inputs.ratings else ("--ratings", str(survey_files()))
        return self.dated().line(*survey)

    def line(self, *more: str) -> CommandLine:
        """Return the options as they were given, and some more after them."""
        given = (word for option in self._words() for word in option)
        return CommandLine((*given, *more), os.getcwd())

    def _words(self) -> Iterator[tuple[str, str]]:
        """Yield the options as they were given, each with its value."""
        given: dict[str, tuple[str | None, ...]] = {
            "--config": self.config,
            "--ratings": self.ratings,
            "--users": self.users,
            "--items": self.items,
            "--test": self.test,
            "--warehouse": (self.warehouse,),
            "--run-date": (self.run_date,),
            "--models": (",".join(self.models),) if self.models else (),
            "--set": self.overrides,
        }
        for option, values in given.items():
            yield from ((option, value) for value in values if value is not None)


def _check_survey_is_meant(request: Request, config: Config) -> None:
    """Raise ConfigError unless `run` was asked for, alone, where there are no other data.

    The survey is there for a first `mfspark run`. Anywhere else it would take the place of
    somebody's own data, so it is refused, with the command that was probably meant.
    """
    from mfspark.ingest.readers.files import fingerprint

    stage, run_date = request.stage, request.date()
    warehouse, inputs = Warehouse(config.warehouse), config.inputs
    given = [name for name in ("users", "items", "test") if getattr(inputs, name)]
    survey = fingerprint([str(survey_files())])[0]["sha256"]
    exists = warehouse.storage.exists()
    others = list(nights_of_other_ratings(warehouse, survey)) if exists else []
    if stage == "run" and not given and not others:
        return
    waiting = waiting_nights(warehouse) if exists else []
    tonight = [night for night in waiting if night.run_date == run_date]
    if len(tonight) == 1:
        why = f"{tonight[0]} waits"
    elif tonight:
        why = f"{len(tonight)} nights of {run_date} wait in {warehouse.root}"
    elif given:
        why = f"the embedded survey stands alone, without {' and '.join(given)}"
    elif stage == "run":
        why = f"{warehouse.root} holds other data than the embedded survey, {others[0]}"
    else:
        why = f"no night of {run_date} waits in {warehouse.root}"
    commands = [
        f"to go on with {'it' if [night] == tonight else night}: {night.command(stage)}"
        for night in (tonight or waiting)[:_SHOWN]
    ]
    named = request.dated().line("--ratings", "FILE")
    commands.append(f"to name ratings: {named.of(stage)}")
    raise ConfigError(f"no ratings are named, and {why}", "\n  ".join(commands))


def work_name(stage: StageName, only: Sequence[ModelName] = ()) -> str:
    """Name what a process does of a night, such as run or train-als."""
    return "-".join([stage, *only])


def execute(request: Request, progress: Progress, only: Sequence[ModelName] = ()) -> Night:
    """Do what was asked for and return the night it belongs to.

    `only` limits stage train to some of the configured models. Raises MfsparkError.
    """
    from mfspark.models.records import INGEST
    from mfspark.pipeline.context import session_for
    from mfspark.pipeline.feedback import with_feedback
    from mfspark.pipeline.ingest import InputFiles

    request = request.dated()
    config = request.load()
    request.check(config)
    asked = request.asked(config)
    warehouse = Warehouse(config.warehouse)
    name = work_name(request.stage, only)
    lock = None if request.stage == "run" else name
    with spooled(config, warehouse.storage) as read, hold_lock(warehouse, lock):
        files = InputFiles.of(read)
        config = with_feedback(config, files.ratings)
        inputs, alone = files.fingerprints(), lock is None
        night = Night.begin(warehouse, config, request.date(), inputs, asked, alone=alone)
        progress.of_run(night.run_id)
        for note in _about_others(night, request.stage):
            progress.note(note)
        if not night.published:
            if not night.finished(INGEST):
                files.check(config.ingest)  # what cannot be read is refused before Spark starts
            with session_for(night, name) as context:
                run(Work(context, files, only or config.models.run), request.stage, progress)
                if not night.published:
                    context.count_requests()
    return night


def _about_others(night: Night, stage: StageName) -> Iterator[str]:
    """Say which other nights of this date, or of these inputs, were begun and not published."""
    for other in waiting_nights(night.warehouse):
        alike = other.run_date == night.run_date or other.inputs == night.inputs
        if alike and other.run_id != night.run_id:
            yield (
                f"this is run {night.run_id}; {other} was begun too and is not published; "
                f"to go on with that one: {other.command(stage)}"
            )


def backfill(
    request: Request, first: date, last: date, progress: Progress
) -> Generator[Night, None, None]:
    """Run the night of every date from `first` to `last`, in one Spark session; yield each.

    The same as running them one by one: published nights are passed over, and the first that fails
    ends it. Raises ConfigError where the range is empty, and what `execute` raises.
    """
    if first > last:
        raise ConfigError(f"the range from {first} to {last} is empty", "give --from before --to")
    if not request.load().inputs.ratings:
        named = ("--from", str(first), "--to", str(last), "--ratings", "FILE")
        raise ConfigError(
            "no ratings are named for a range of nights",
            f"name them: {request.line(*named).of('backfill')}",
        )
    with spark_session():
        for n in range((last - first).days + 1):
            night = replace(request, run_date=(first + timedelta(days=n)).isoformat())
            yield execute(night, progress)
