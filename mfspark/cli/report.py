"""`mfspark report`: a night as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mfspark.cli.options import (
    ConfigFile,
    Debug,
    RunId,
    WarehouseDir,
    end_with,
    warehouse_of,
    writing,
)

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Default: WAREHOUSE/reports/RUN.html, which it prints."
    ),
]


def report(
    out: Out = None,
    warehouse: WarehouseDir = None,
    run_id: RunId = None,
    config: ConfigFile = None,
    debug: Debug = False,
) -> None:
    """Write a night's report: one HTML file, readable offline, without scripts."""

    def work() -> None:
        from mfspark.queries.report_data import page_of
        from mfspark.tables.run import PublishedRun

        run = PublishedRun(warehouse_of(warehouse, config), run_id)
        page = page_of(run)
        path = out or run.warehouse.root / "reports" / f"{run.run_id}.html"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
        print(path)

    end_with(work, debug=debug)
