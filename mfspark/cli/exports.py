"""Commands that write what was published to a file: completed, report, export. No Spark."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfspark.cli.command import KEEPING, READING, command
from mfspark.cli.options import RunId, opened_run, opened_warehouse, parse_age
from mfspark.cli.terminal import cell, console, table
from mfspark.errors import ConfigError
from mfspark.system.command_line import command_line
from mfspark.system.words import count

if TYPE_CHECKING:
    from mfspark.queries.completed import CompletedMatrix
    from mfspark.tables.run import PublishedRun
    from mfspark.tables.warehouse import Warehouse

app = typer.Typer()


@command(app, panel=READING, given=opened_run)
def completed(
    run: PublishedRun,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write CSV here, all of it.")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", help="Write a row a cell instead of a row a user.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not mark known ratings with *.")
    ] = False,
    n: Annotated[int, typer.Option("-n", min=1, help="Users to print.")] = 15,
    n_items: Annotated[int, typer.Option("--items", min=1, help="Items to print.")] = 10,
) -> None:
    """Show the completed matrix: known ratings, marked with *, and predictions of all others."""
    from mfspark.queries.completed import KNOWN, completed_matrix, write_long, write_wide

    matrix, mark = completed_matrix(run), "" if plain else KNOWN
    if out is None:
        _print_matrix(matrix, mark, n, n_items)
        if n < len(matrix.users) or n_items < len(matrix.items):
            options = {"out": "completed.csv", "warehouse": run.warehouse.root}
            line = command_line("completed", **options, run_id=run.run_id)
            console().print(cell(f"the whole matrix: {line}", "dim"), soft_wrap=True)
        return
    with _writing(out):
        if long:
            write_long(matrix, out)
        else:
            write_wide(matrix, out, mark)
    print(out)


@command(app, panel=READING, given=opened_warehouse)
def report(
    warehouse: Warehouse,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Default: WAREHOUSE/reports/RUN.html, which it prints.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id",
            metavar="RUN",
            help="Another night, published or refused; see: mfspark runs.",
        ),
    ] = None,
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="AGE", help="Say stale where readers see older ones."),
    ] = "36h",
) -> None:
    """Write a night's report: one HTML file, readable offline; also of a refused night."""
    from mfspark.queries.refused_run import RefusedRun, is_refused
    from mfspark.queries.report_data import page_of
    from mfspark.tables.run import PublishedRun

    age = parse_age(max_age)
    if run_id and is_refused(warehouse, run_id):
        run = RefusedRun(warehouse, run_id)
    else:
        run = PublishedRun(warehouse, run_id)
    page = page_of(run, age)
    if out is None:
        storage, key = warehouse.storage, f"reports/{run.run_id}.html"
        storage.put(key, page.encode())
        print(storage.show(key))
        return
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    print(out)


@command(app, panel=KEEPING, given=opened_warehouse)
def export(
    warehouse: Warehouse,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[TABLE] FILE",
            help="A table, such as top_n or ratings, by default serving; a .csv or .parquet file, "
            "or - for CSV on standard output.",
            show_default=False,
        ),
    ],
    for_spreadsheets: Annotated[
        bool,
        typer.Option(
            "--for-spreadsheets", help="Put ' before texts that a spreadsheet would compute."
        ),
    ] = False,
    run_id: RunId = None,
) -> None:
    """Write a published table as one CSV or Parquet file; without TABLE the list that people get.

    The file appears whole, by one rename.
    """
    from mfspark.tables.export import STANDARD_OUTPUT, export_table

    if len(words) > 2:
        raise ConfigError(
            f"one table and one file are meant, not {' '.join(words)}", "quote names with blanks"
        )
    file, name = Path(words[-1]), words[0] if len(words) == 2 else "serving"
    try:
        rows = export_table(warehouse, name, file, run_id, for_spreadsheets=for_spreadsheets)
    except BrokenPipeError:  # whoever reads it has had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if file != STANDARD_OUTPUT:
        console().print(f"{count(rows, 'row')} in {file}", soft_wrap=True)


@contextmanager
def _writing(out: Path) -> Generator[None]:
    """Turn an OSError into one that names the file of `--out` and the remedy."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {out}: {error.strerror or error}"
        raise ConfigError(message, "choose another place: --out FILE") from error


def _print_matrix(matrix: CompletedMatrix, mark: str, n: int, n_items: int) -> None:
    from itertools import islice

    from mfspark.queries.completed import wide_rows

    names = matrix.names[:n_items]
    rows = (row[: n_items + 1] for row in islice(wide_rows(matrix, mark), n))
    shape = f"{count(len(matrix.users), 'user')} x {count(len(matrix.items), 'item')}"
    known = f"{matrix.known.mean():.0%} known{f', marked {mark}' if mark else ''}"
    out = console()
    out.print(table(("user", *names), rows, title=f"{shape}, {known}", numbers=names))
