"""The stages as programs of their own, for spark-submit: what stands behind `jobs/`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from mfspark.cli.command import HELP, command, start
from mfspark.cli.stages import conclude, quiet_interruptions, requested, said_at_the_end
from mfspark.errors import MfsparkError, RefusedError
from mfspark.pipeline.sequence import STAGES, StageName
from mfspark.system.exit import lines_of, status_of
from mfspark.system.redaction import RedactingFormatter, redact

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.progress import LoggedProgress
    from mfspark.pipeline.request import Request
    from mfspark.queries.summary import RunSummary
    from mfspark.tables.night import Night


def job(stage: StageName, only: Sequence[ModelName] = ()) -> None:
    """Run a stage with the arguments of this process, and end the process with its exit status.

    The options are those of `mfspark run`. Standard error gets the log, with the closing summary;
    standard output gets one line of JSON (docs/schemas/job.json). spark-submit sends both to its
    own standard output. `only` limits stage train to some of the configured models.
    """

    def work(request: Request) -> None:
        _log_to_standard_error()
        request = request.dated()
        with _told_in_one_line(request, only) as account:
            _run(request, only, account)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
    command(app, text=STAGES[stage].help, given=requested(stage))(work)
    start(app)


@dataclass
class _Account:
    """What is known of a job so far."""

    progress: LoggedProgress | None = None
    night: Night | None = None
    summary: RunSummary | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began


def _run(request: Request, only: Sequence[ModelName], account: _Account) -> None:
    from mfspark.cli.terminal import console
    from mfspark.pipeline.progress import LoggedProgress
    from mfspark.pipeline.request import execute, work_name
    from mfspark.tables.step_times import read_step_times, write_step_times
    from mfspark.tables.warehouse import Warehouse

    config = request.load()
    request.check(config)
    storage, name = Warehouse(config.warehouse).storage, work_name(request.stage, only)
    progress = account.progress = LoggedProgress(read_step_times(storage, name))
    with progress.kept_up():
        night = account.night = execute(request, progress, only)
    write_step_times(storage, name, progress.taken)
    if not progress.n_steps:
        log = logging.getLogger("mfspark")
        log.info("run %s was already published; there was nothing left to do", night.run_id)
    out = console(stderr=True)
    account.summary = conclude(out, request, config, night, account.seconds)


def _log_to_standard_error() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(RedactingFormatter("%(asctime)s %(name)s %(message)s"))
        handler.addFilter(said_at_the_end)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    quiet_interruptions()


@contextmanager
def _told_in_one_line(request: Request, only: Sequence[ModelName]) -> Generator[_Account]:
    """Print what came of a job as one line of JSON, however it ends."""
    account = _Account()
    try:
        yield account
    except BaseException as error:
        _print_line(request, only, account, error)
        raise
    _print_line(request, only, account)


def _print_line(
    request: Request,
    only: Sequence[ModelName],
    account: _Account,
    error: BaseException | None = None,
) -> None:
    from mfspark.cli.answers import JobAnswer
    from mfspark.models.records import INGEST

    night, summary = account.night, account.summary
    status = status_of(error) if error else 0
    outcomes = {0: "published" if summary else "done", 5: "refused", 130: "interrupted"}
    found: dict[str, Any] = {
        "run_id": account.progress.run_id if account.progress else None,
        "run_date": request.run_date,
        "stage": request.stage,
        "models": list(only),
        "outcome": outcomes.get(status, "failed"),
        "status": status,
        "seconds": round(account.seconds, 3),
        "error": _said(error) if error else None,
        "reasons": error.reasons if isinstance(error, RefusedError) else (),
    }
    if night:
        found |= {"run_id": night.run_id, "ingest": night.find(INGEST)}
    if summary:
        found |= {
            "metrics": summary.figures,
            "verdicts": summary.verdicts,
            "tables": summary.table_rows,
            "served": summary.champion,
            "notes": summary.notes,
        }
    print(JobAnswer.model_validate(found).line(), flush=True)


def _said(error: BaseException) -> str:
    return redact(error.message if isinstance(error, MfsparkError) else lines_of(error)[0])
