"""The closing summary of a night, as tables."""

from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from mfspark.cli.terminal import cell, table
from mfspark.queries.summary import Figure, Summary, count

_NARROW = 110  # columns; below it an interval goes under its figure


def print_summary(out: Console, summary: Summary, warehouse: Path, seconds: float) -> None:
    """Print what a published night amounts to."""
    if summary.models:
        out.print(_metrics(summary, narrow=out.width < _NARROW))
    out.print(table(("table", "rows"), _table_rows(summary), title="Tables", numbers=("rows",)))
    ingest = summary.ingest
    read = f"{count(ingest.n_rows, 'row')} read, {ingest.n_accepted:,} accepted"
    rejected = [(reason, f"{n:,}") for reason, n in ingest.rejected_by_reason.items()]
    if rejected:
        title = f"Rejected ({read}); the rows are in table rejected_ratings"
        out.print(table(("reason", "rows"), rejected, title=title, numbers=("rows",)))
    else:
        out.print(cell(f"{read}, none rejected"))
    for file, how in ingest.read_as.items():
        out.print(cell(f"{file}: {how}"), soft_wrap=True)
    for note in summary.notes:
        out.print(Text("note: ", style="yellow") + cell(note), soft_wrap=True)
    out.print()
    out.print(
        Text(f"run {summary.run_id}", style="bold green"),
        cell(f"is published in {summary.directory} ({seconds:.0f} s)"),
        soft_wrap=True,
    )
    out.print(cell(f"  {_next_step(summary, warehouse)}"), soft_wrap=True)


def _metrics(summary: Summary, *, narrow: bool) -> RenderableType:
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


def _table_rows(summary: Summary) -> list[tuple[str, str]]:
    return [(name, f"{rows:,}") for name, rows in summary.table_rows.items()]


def _next_step(summary: Summary, warehouse: Path) -> str:
    user = summary.example_user or "USER"
    quoted = f'"{user}"' if " " in user else user
    show = f"see a list: mfspark show {quoted} --warehouse {warehouse}"
    return f"{show}; the whole night: mfspark report --warehouse {warehouse}"
