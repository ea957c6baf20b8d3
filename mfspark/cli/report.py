"""`mfspark report`: a night as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mfspark.cli.command import READING, command
from mfspark.cli.options import opened_run, writing

if TYPE_CHECKING:
    from mfspark.tables.run import PublishedRun

app = typer.Typer()


@command(app, panel=READING, given=opened_run)
def report(
    run: PublishedRun,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Default: WAREHOUSE/reports/RUN.html, which it prints.",
        ),
    ] = None,
) -> None:
    """Write a night's report: one HTML file, readable offline, without scripts."""
    from mfspark.queries.report_data import page_of

    page = page_of(run)
    path = out or run.warehouse.root / "reports" / f"{run.run_id}.html"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    print(path)
