"""The closing summary of a night, as tables."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.text import Text

from mfspark.cli.terminal import cell, table
from mfspark.ingest.account import account_of
from mfspark.ingest.report import IngestReport
from mfspark.queries.summary import Figure, RunSummary
from mfspark.storage.traffic import Traffic
from mfspark.system.command_line import command_line
from mfspark.tables.night import Night

_NARROW = 110  # columns; below it an interval goes under its figure


def print_summary(out: Console, summary: RunSummary, night: Night, seconds: float) -> None:
    """Print what a published night amounts to, and how to look at it."""
    root, current = night.warehouse.root, night.warehouse.current()
    if summary.models:
        out.print(_metrics(summary, narrow=out.width < _NARROW))
    out.print(table(("table", "rows"), _table_rows(summary), title="Tables", numbers=("rows",)))
    print_account(out, summary.ingest, summary.notes)
    if gates := _gates(summary):
        out.print(cell(gates), soft_wrap=True)
    if summary.champion:
        served = f"lists by {summary.champion.model} are served: {summary.champion.why}"
        out.print(cell(served), soft_wrap=True)
    out.print()
    out.print(
        Text(f"run {summary.run_id}", style="bold green"),
        cell(f"is published in {summary.place} ({seconds:.0f} s)"),
        soft_wrap=True,
    )
    seen = current == night.run_id
    where = {"warehouse": root, "run_id": None if seen else night.run_id}
    show = command_line("show", summary.example_user or "USER", **where)
    report = command_line("report", **where)
    out.print(cell(f"  see a list: {show}; the whole night: {report}"), soft_wrap=True)
    if not seen:
        there = command_line("rollback", night.run_id, warehouse=root)
        out.print(
            cell(f"readers still see run {current}; to send them to this one: {there}"),
            soft_wrap=True,
        )


def _gates(summary: RunSummary) -> str:
    """Return such as `gates and audits: 30 passed, 1 failed, 2 skipped`; why is in the notes."""
    counted = Counter(verdict["outcome"] for verdict in summary.verdicts)
    found = [f"{counted[each]} {each}" for each in ("passed", "failed", "skipped") if counted[each]]
    return f"gates and audits: {', '.join(found)}" if found else ""


def _metrics(summary: RunSummary, *, narrow: bool) -> RenderableType:
    titles = [found.title for found in summary.metrics]
    if narrow:  # 80 columns are just enough
        titles = [title.replace("coverage", "cov") for title in titles]
    rows = [
        [model, *(_figure(found.figures.get(model), narrow=narrow) for found in summary.metrics)]
        for model in summary.models
    ]
    title = f"Metrics on test ratings, split {summary.split} (95% interval; * best)"
    return table(("model", *titles), rows, title=title)


def _figure(figure: Figure | None, *, narrow: bool) -> Text:
    """Return such as `0.913* 0.730-1.064`."""
    if figure is None:
        return cell("-", "dim")
    mark, style = ("*", "bold green") if figure.best else ("", "")
    text = cell(f"{figure.value:.3f}{mark}", style)
    if figure.low is None or figure.high is None:
        return text
    interval = f"{figure.low:.3f}-{figure.high:.3f}"
    return text + Text(("\n" if narrow else " ") + interval, style="dim")


def _table_rows(summary: RunSummary) -> list[tuple[str, str]]:
    return [(name, f"{rows:,}") for name, rows in summary.table_rows.items()]


def print_account(out: Console, report: IngestReport, notes: Iterable[str]) -> None:
    """Print what came in, and what is worth knowing about it or the whole night."""
    for line in account_of(report):
        out.print(cell(line), soft_wrap=True)
    for note in notes:
        out.print(Text("note: ", style="yellow") + cell(note), soft_wrap=True)


def print_requests(out: Console, asked: Traffic, night: Night) -> None:
    """Print what a night asked of an object store so far; nothing where there is none."""
    if not asked.requests:
        return
    kinds = {"get": asked.gets, "put": asked.puts, "list": asked.lists, "delete": asked.deletes}
    by_kind = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items())
    again = f"; {asked.retries:,} of them tried again" if asked.retries else ""
    out.print(
        cell(
            f"requests to {night.warehouse.root}: {asked.requests:,} ({by_kind}{again}); "
            f"{asked.bytes_read / 1e6:,.1f} MB read, {asked.bytes_written / 1e6:,.1f} MB written"
        ),
        soft_wrap=True,
    )
