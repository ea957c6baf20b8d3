"""Commands that keep a warehouse in order: runs, status, verify, rollback, gc. No Spark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mfspark.cli.command import KEEPING, Reply, command
from mfspark.cli.options import opened_warehouse, parse_age
from mfspark.cli.terminal import cell, console, table
from mfspark.errors import ConfigError, MfsparkError, StaleError
from mfspark.system.command_line import command_line
from mfspark.system.words import count

if TYPE_CHECKING:
    from mfspark.queries.runs import OpenNight, RunLine
    from mfspark.tables.warehouse import Warehouse

app = typer.Typer()


@command(app, panel=KEEPING, given=opened_warehouse)
def runs(warehouse: Warehouse) -> Reply:
    """List the nights that are kept, newest first, and those that were refused or interrupted."""
    from mfspark.cli import answers
    from mfspark.queries.runs import open_nights, published_runs

    nights = open_nights(warehouse)
    published = published_runs(warehouse) if not nights or warehouse.current() else []
    answer = answers.RunsAnswer.model_validate(
        {"runs": [_run_fields(line) for line in published], "nights": nights}
    )
    return Reply(answer, lambda: _print_runs(published, nights))


@command(app, panel=KEEPING, given=opened_warehouse)
def status(
    warehouse: Warehouse,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="AGE", help="End with 4 if older, such as 36h.")
    ] = "",
    prometheus: Annotated[
        Path | None,
        typer.Option(
            "--prometheus",
            metavar="FILE",
            help="Also write it there, for the textfile collector of node_exporter.",
        ),
    ] = None,
) -> Reply:
    """Say which run readers see and how old it is; end with 4 if that is too old."""
    from mfspark.cli import answers
    from mfspark.queries.exposition import write_exposition
    from mfspark.queries.runs import open_nights, published_runs

    limit = parse_age(max_age) if max_age else None
    if prometheus:
        write_exposition(warehouse, prometheus)
    line = next(line for line in published_runs(warehouse) if line.current)
    nights, hours = open_nights(warehouse), line.age_hours()
    stale = None
    if limit is not None:
        stale = hours is None or hours * 3600 > limit.total_seconds()
    answer = answers.StatusAnswer.model_validate(
        {"run": _run_fields(line), "age_hours": hours, "stale": stale, "nights": nights}
    )
    error = StaleError(
        f"run {line.run_id} is {_age(hours)} old, more than {max_age}",
        "see what became of the latest night: "
        f"{command_line('runs', warehouse=warehouse.root)}, and the "
        f"log in {warehouse.storage.show('logs')}",
    )
    return Reply(answer, lambda: _print_status(line, nights), error if stale else None)


@command(app, panel=KEEPING, given=opened_warehouse)
def verify(
    warehouse: Warehouse,
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Default: what readers see.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every kept run.")] = False,
) -> Reply:
    """Compare the files of a run with its manifest, byte by byte (SHA-256); end with 70 if damaged.

    For a copy or a restored backup too: name it with --warehouse.
    """
    from mfspark.cli import answers
    from mfspark.tables.publish import damages

    if every and run_id:
        raise ConfigError(f"both --all and the run {run_id} are given", "give one of them")
    wanted = warehouse.run_ids() if every else [warehouse.resolve(run_id)]
    found = {run: list(damages(warehouse, run)) for run in wanted}
    answer = answers.VerifyAnswer(
        runs=[answers.VerifiedRun(run_id=run, damages=each) for run, each in found.items()]
    )
    damaged = [run for run, each in found.items() if each]
    error = MfsparkError(
        f"run {' and run '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged",
        "restore the files, or send readers to a run that is whole: "
        + command_line("rollback", "RUN", warehouse=warehouse.root),
    )
    return Reply(answer, lambda: _print_damages(found), error if damaged else None)


@command(app, panel=KEEPING, given=opened_warehouse)
def rollback(
    warehouse: Warehouse,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A kept run.", show_default=False)],
) -> None:
    """Send readers to another kept run, at once; forwards too.

    A night that is running now will not be published over it, but ends with 5.
    """
    from mfspark.tables.publish import rollback as roll

    before = warehouse.current()
    roll(warehouse, run_id)
    console().print(f"readers see run {run_id} now; before: {before}", soft_wrap=True)


@command(app, panel=KEEPING, given=opened_warehouse)
def gc(
    warehouse: Warehouse,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Newest runs to keep.")] = 7,
    grace: Annotated[
        str,
        typer.Option("--grace", metavar="AGE", help="How long readers may go on with a run."),
    ] = "24h",
) -> None:
    """Remove old runs, and nights that can no longer be published.

    Never what readers see, or were sent to within the grace time.
    """
    from mfspark.tables.retention import collect

    warehouse.manifest()  # there is a warehouse, and a run that readers see
    removed = collect(warehouse, keep, parse_age(grace))
    out = console()
    for what in (*removed.runs, *removed.scratch, *removed.strays):
        out.print(f"removed {what}", soft_wrap=True)
    out.print(f"{count(len(warehouse.run_ids()), 'run')} kept")


def _print_runs(published: list[RunLine], nights: list[OpenNight]) -> None:
    out = console()
    columns = ("run", "date", "age", "ratings", "rejected", "best RMSE", "lists by", "")
    if published:
        lines = [_run_cells(line) for line in published]
        out.print(table(columns, lines, numbers=("age", "ratings", "rejected")))
    if nights:
        shown = [(night.run_id, _state(night)) for night in nights]
        out.print(table(("run", "state"), shown, title="Not published"))
    for night in nights:
        _print_command(out, night)


def _print_status(line: RunLine, nights: list[OpenNight]) -> None:
    out = console()
    published = f"run {line.run_id} is current, published {_age(line.age_hours())} ago"
    out.print(published, soft_wrap=True)
    if line.problem:
        out.print(cell(line.problem, "red"), soft_wrap=True)
    if line.served:
        out.print(cell(f"its lists are by {line.served[0]}: {line.served[1]}"), soft_wrap=True)
    for night in nights:
        out.print(cell(f"run {night.run_id}: {_state(night)}"), soft_wrap=True)
        _print_command(out, night)


def _print_damages(found: dict[str, list[str]]) -> None:
    out = console()
    for run, damages in found.items():
        for damage in damages:
            out.print(cell(damage, "red"), soft_wrap=True)
        out.print(f"run {run}: {'damaged' if damages else 'as published'}", soft_wrap=True)


def _run_fields(line: RunLine) -> dict[str, object]:
    """Return what --json says of a published run."""
    best, served = line.best, line.served
    return {
        **vars(line),
        "best": {"model": best[0], "rmse": best[1]} if best else None,
        "served": {"model": served[0], "why": served[1]} if served else None,
        "problem": line.problem or None,
    }


def _print_command(out: Console, night: OpenNight) -> None:
    if night.go_on:
        out.print(cell(f"to go on with run {night.run_id}: {night.go_on}"), soft_wrap=True)


def _state(night: OpenNight) -> str:
    first, *others = night.reasons or ("",)
    if not first:
        return "interrupted or running; the same command goes on with it"
    more = f", and {len(others)} more" if others else ""
    return f"refused: {first}{more}; see {night.evidence}"


def _run_cells(line: RunLine) -> tuple[object, ...]:
    mark = cell("CURRENT", "bold green") if line.current else ""
    if line.problem:
        return (line.run_id, "", "", "", "", cell(line.problem, "red"), "", mark)
    best = f"{line.best[1]:.4f} {line.best[0]}" if line.best else "-"
    counts = ("-" if n is None else f"{n:,}" for n in (line.n_ratings, line.n_rejected))
    served = line.served[0] if line.served else "-"
    return (line.run_id, line.run_date, _age(line.age_hours()), *counts, best, served, mark)


def _age(hours: float | None) -> str:
    if hours is None:
        return "-"
    if hours < 1:
        return f"{max(0, hours) * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"
