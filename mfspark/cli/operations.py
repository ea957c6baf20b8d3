"""Commands that keep a warehouse in order: runs, status, verify, rollback, gc. No Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mfspark.cli.command import KEEPING, command
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
def runs(warehouse: Warehouse) -> None:
    """List the nights that are kept, newest first, and those that were refused or interrupted."""
    from mfspark.queries.runs import open_nights, published_runs

    out = console()
    columns = ("run", "date", "age", "ratings", "rejected", "best RMSE", "lists by", "")
    nights = open_nights(warehouse)
    if not nights or warehouse.current():
        lines = [_run_cells(line) for line in published_runs(warehouse)]
        out.print(table(columns, lines, numbers=("age", "ratings", "rejected")))
    if nights:
        shown = [(night.run_id, _state(night)) for night in nights]
        out.print(table(("run", "state"), shown, title="Not published"))
    for night in nights:
        _print_command(out, night)


@command(app, panel=KEEPING, given=opened_warehouse)
def status(
    warehouse: Warehouse,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="AGE", help="End with 4 if older, such as 36h.")
    ] = "",
) -> None:
    """Say which run readers see and how old it is; end with 4 if that is too old."""
    from mfspark.queries.runs import open_nights, published_runs

    limit = parse_age(max_age) if max_age else None
    root, out = warehouse.root, console()
    line = next(line for line in published_runs(warehouse) if line.current)
    hours = line.age_hours()
    out.print(f"run {line.run_id} is current, published {_age(hours)} ago", soft_wrap=True)
    if line.problem:
        out.print(cell(line.problem, "red"), soft_wrap=True)
    if line.served:
        out.print(cell(f"its lists are by {line.served[0]}: {line.served[1]}"), soft_wrap=True)
    for night in open_nights(warehouse):
        out.print(cell(f"run {night.run_id}: {_state(night)}"), soft_wrap=True)
        _print_command(out, night)
    if limit is not None and (hours is None or hours * 3600 > limit.total_seconds()):
        raise StaleError(
            f"run {line.run_id} is {_age(hours)} old, more than {max_age}",
            f"see what became of the latest night: {command_line('runs', warehouse=root)}, and the "
            f"log in {warehouse.storage.show('logs')}",
        )


@command(app, panel=KEEPING, given=opened_warehouse)
def verify(
    warehouse: Warehouse,
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Default: what readers see.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every kept run.")] = False,
) -> None:
    """Compare the files of a run with its manifest, byte by byte (SHA-256); end with 70 if damaged.

    For a copy or a restored backup too: name it with --warehouse.
    """
    from mfspark.tables.publish import damages

    if every and run_id:
        raise ConfigError(f"both --all and the run {run_id} are given", "give one of them")
    out = console()
    wanted = warehouse.resolve(run_id)
    damaged: list[str] = []
    for run in warehouse.run_ids() if every else [wanted]:
        found = list(damages(warehouse, run))
        for damage in found:
            out.print(cell(damage, "red"), soft_wrap=True)
        damaged += [run] if found else []
        out.print(f"run {run}: {'damaged' if found else 'as published'}", soft_wrap=True)
    if damaged:
        raise MfsparkError(
            f"run {' and run '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged",
            "restore the files, or send readers to a run that is whole: "
            + command_line("rollback", "RUN", warehouse=warehouse.root),
        )


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


def _print_command(out: Console, night: OpenNight) -> None:
    if night.go_on:
        out.print(cell(f"to go on with run {night.run_id}: {night.go_on}"), soft_wrap=True)


def _state(night: OpenNight) -> str:
    first, *others = night.reasons or ("",)
    if not first:
        return "interrupted or running; the same command goes on with it"
    more = f", and {len(others)} more" if others else ""
    return f"refused: {first}{more}; see {night.why}"


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
