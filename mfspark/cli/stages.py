"""`mfspark run` and the single stages: arguments -> one pipeline call -> the closing summary."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import date
from importlib import resources
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from mfspark.cli.command import NIGHTS, command
from mfspark.cli.options import ConfigFiles, Overrides, WarehouseDir
from mfspark.pipeline.sequence import STAGES, StageName
from mfspark.system.exit import lines_of
from mfspark.system.redaction import RedactingFormatter

if TYPE_CHECKING:
    from rich.console import Console

    from mfspark.config.config import Config
    from mfspark.pipeline.progress import LoggedProgress
    from mfspark.pipeline.request import Request
    from mfspark.queries.summary import RunSummary
    from mfspark.tables.night import Night

app = typer.Typer()
log = logging.getLogger("mfspark")

_REPEATED = ("mfspark.pipeline.ingest", "mfspark.pipeline.judge")
"""Log what came in and which gates fail, for the log file; the closing lines say it too."""


def requested(stage: StageName) -> Callable[..., Request]:
    """Return what makes a request for a stage of the options that all stages take."""

    def request(
        ratings: Annotated[
            list[str] | None,
            typer.Option(
                "--ratings",
                "-r",
                metavar="FILE",
                help="CSV, ::, tab, Excel, Parquet, also gzipped; a quoted glob is fine; "
                "repeatable.",
            ),
        ] = None,
        users: Annotated[
            list[str] | None,
            typer.Option("--users", "-u", metavar="FILE", help="Attributes of users; repeatable."),
        ] = None,
        items: Annotated[
            list[str] | None,
            typer.Option("--items", "-i", metavar="FILE", help="Titles and genres; repeatable."),
        ] = None,
        test: Annotated[
            list[str] | None,
            typer.Option(
                "--test", metavar="FILE", help="Measure on these ratings (split 'given')."
            ),
        ] = None,
        warehouse: WarehouseDir = None,
        run_date: Annotated[
            str | None,
            typer.Option(
                "--run-date", metavar="DATE", help="The night's date, 2026-11-22. Default: today."
            ),
        ] = None,
        models: Annotated[
            str | None,
            typer.Option("--models", "-m", metavar="A,B", help="Only these, such as als,torch_mf."),
        ] = None,
        config: ConfigFiles = None,
        overrides: Overrides = None,
    ) -> Request:
        from mfspark.pipeline.request import Request

        return Request(
            stage,
            tuple(config or ()),
            tuple(ratings or ()),
            tuple(users or ()),
            tuple(items or ()),
            tuple(test or ()),
            warehouse,
            run_date,
            _names_in(models),
            tuple(overrides or ()),
        )

    return request


def _names_in(models: str | None) -> tuple[str, ...]:
    """Split `--models`; where it names nothing that stays to be seen, and is refused."""
    names = tuple(name.strip() for name in (models or "").split(",") if name.strip())
    return names if names or models is None else ("",)


def run_stage(request: Request) -> None:
    """Run a stage with progress and a log file, and say what came of it."""
    from mfspark.cli.terminal import console
    from mfspark.pipeline.request import execute

    request = request.dated()
    config, run_date = request.load(), request.date()  # whatever is wrong with them, first
    request.check(config)
    out = console(stderr=True)
    if not config.inputs.ratings:
        out.print("no --ratings: the embedded survey is used", style="dim")
    with reported(request.stage, config, run_date) as progress:
        began = time.monotonic()
        night = execute(request, progress)
        seconds = time.monotonic() - began
        log.info("%s is done", work_of(request.stage, night.run_id))
    if not progress.n_steps:
        out.print(f"run {night.run_id} was already published; there was nothing left to do")
    conclude(console(), request, config, night, seconds)


for stage in get_args(StageName):
    command(app, stage, panel=NIGHTS, text=STAGES[stage].help, given=requested(stage))(run_stage)


@command(app, panel=NIGHTS, given=requested("run"), without=("test", "run_date"))
def backfill(
    request: Request,
    first: Annotated[
        str, typer.Option("--from", metavar="DATE", help="The first night.", show_default=False)
    ],
    last: Annotated[
        str, typer.Option("--to", metavar="DATE", help="The last night.", show_default=False)
    ],
) -> None:
    """Run the nights of a range of dates, each with the ratings up to its date.

    The same as running them one by one: nights that are published are passed over, and the first
    that fails ends it with its exit status. Readers are never sent back to an earlier date.
    """
    from mfspark.cli.terminal import console
    from mfspark.config.loading import parse_run_date
    from mfspark.pipeline.request import backfill as run_range

    dates = parse_run_date(first), parse_run_date(last)
    with reported("run", request.load(), dates[0]) as progress:
        for night in run_range(request, *dates, progress):
            console().print(f"run {night.run_id} is published", soft_wrap=True)


def work_of(stage: str, run_id: str) -> str:
    """Name what a command did: a stage of a run, or the run."""
    return f"run {run_id}" if stage == "run" else f"{stage} of run {run_id}"


def conclude(
    out: Console, request: Request, config: Config, night: Night, seconds: float
) -> RunSummary | None:
    """Print what came of a stage, and return what a night amounts to, where it is published."""
    from mfspark.cli.closing import print_account, print_requests, print_summary
    from mfspark.ingest.account import notes_on
    from mfspark.models.records import INGEST, requests_of
    from mfspark.queries.summary import summarise
    from mfspark.storage.traffic import tally_of
    from mfspark.tables.run import PublishedRun

    asked = tally_of(night.storage.root)
    if night.published:
        run = PublishedRun(night.warehouse, night.run_id)
        summary = summarise(run)
        print_summary(out, summary, night, seconds)
        print_requests(out, requests_of(run.manifest.stages, run.run_id) + asked.seen(), night)
        return summary
    if report := night.find(INGEST):
        print_account(out, report, notes_on(report))
    publish = request.asked(config).of("publish")
    out.print(
        f"{work_of(request.stage, night.run_id)} is done in {seconds:.0f} s; its tables so far are "
        f"in {night.storage.show(night.tables_key)}; readers see them after:\n  {publish}",
        soft_wrap=True,
    )
    print_requests(out, requests_of(night.records(), night.run_id) + asked.seen(), night)
    return None


@contextmanager
def reported(stage: str, config: Config, run_date: date) -> Generator[LoggedProgress]:
    """Yield the progress: a bar on a terminal, otherwise a line a step; always a log file."""
    from mfspark.cli.progress import TerminalProgress
    from mfspark.cli.terminal import console
    from mfspark.pipeline.progress import LoggedProgress
    from mfspark.storage.appending import appended
    from mfspark.system.java import require_java
    from mfspark.tables.step_times import read_step_times, write_step_times
    from mfspark.tables.warehouse import Warehouse

    require_java()
    quiet_spark()
    storage, terminal = Warehouse(config.warehouse).storage, console(stderr=True)
    storage.check()
    known = read_step_times(storage, stage)
    with appended(storage, f"logs/{run_date}.log") as path:
        file = logging.FileHandler(path)
        if terminal.is_terminal:
            progress = TerminalProgress(terminal, known)
            with _logging_to(file), progress.shown():
                yield progress
        else:
            progress, stream = LoggedProgress(known), logging.StreamHandler()
            stream.addFilter(said_at_the_end)
            with _logging_to(file, stream), progress.kept_up():
                yield progress
    write_step_times(storage, stage, progress.taken)


def said_at_the_end(record: logging.LogRecord) -> bool:
    """Keep from a stream what the closing lines repeat."""
    return record.name not in _REPEATED


@contextmanager
def _logging_to(*handlers: logging.Handler) -> Generator[None]:
    """Send what mfspark logs to some handlers; the first also gets why it failed."""
    level = log.level
    form = RedactingFormatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    for handler in handlers:
        handler.setFormatter(form)
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        for line in lines_of(error):
            handlers[0].emit(log.makeRecord(log.name, logging.ERROR, "", 0, line, (), None))
        raise
    finally:
        log.setLevel(level)
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def quiet_spark() -> None:
    """Let Spark log errors only, where nobody configured its log."""
    given = os.environ.get("SPARK_SUBMIT_OPTS", "")
    if "SPARK_CONF_DIR" not in os.environ and "log4j" not in given:
        settings = resources.files("mfspark.system") / "log4j2.properties"
        option = f"-Dlog4j2.configurationFile=file:{settings}"
        os.environ["SPARK_SUBMIT_OPTS"] = f"{given} {option}".strip()
    quiet_interruptions()


def quiet_interruptions() -> None:
    """Keep the stack that py4j logs of Ctrl-C to itself: a command says it in one line."""
    root = logging.getLogger()
    root.addFilter(_is_no_interruption)
    if not root.handlers:  # or the first line that py4j logs would make one
        root.addHandler(logging.NullHandler())


def _is_no_interruption(record: logging.LogRecord) -> bool:
    return record.msg != "KeyboardInterrupt while sending command."
