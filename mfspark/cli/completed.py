"""`mfspark completed`: the completed users x items matrix, printed or written as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfspark.cli.command import READING, command
from mfspark.cli.options import opened_run, writing
from mfspark.cli.terminal import cell, console, table
from mfspark.queries.summary import count

if TYPE_CHECKING:
    from mfspark.queries.completed import CompletedMatrix
    from mfspark.tables.run import PublishedRun

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
        return
    with writing(out):
        if long:
            write_long(matrix, out)
        else:
            write_wide(matrix, out, mark)
    print(out)


def _print_matrix(matrix: CompletedMatrix, mark: str, n: int, n_items: int) -> None:
    from itertools import islice

    from mfspark.queries.completed import wide_rows

    names = matrix.names[:n_items]
    rows = (row[: n_items + 1] for row in islice(wide_rows(matrix, mark), n))
    shape = f"{count(len(matrix.users), 'user')} x {count(len(matrix.items), 'item')}"
    known = f"{matrix.known.mean():.0%} known{f', marked {mark}' if mark else ''}"
    out = console()
    out.print(table(("user", *names), rows, title=f"{shape}, {known}", numbers=names))
    if n < len(matrix.users) or n_items < len(matrix.items):
        out.print(cell("the whole matrix: mfspark completed --out FILE", "dim"))
