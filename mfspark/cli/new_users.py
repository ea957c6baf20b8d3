"""`mfspark fold-in`: lists for who came after the night, one user or those of files; no Spark."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mfspark.cli.command import READING, command
from mfspark.cli.options import ConfigFiles, Overrides, RunId, WarehouseDir
from mfspark.cli.terminal import cell, console, name_of, table
from mfspark.errors import ConfigError
from mfspark.system.words import count

if TYPE_CHECKING:
    from mfspark.config.config import IngestOptions
    from mfspark.queries.fold_in_files import FoldedFiles
    from mfspark.tables.run import PublishedRun

app = typer.Typer()

_FEW = 5  # unknown items for which others are proposed
_EVERY = 10.0  # seconds between two lines, where there is no terminal


def _run_and_reading(
    warehouse: WarehouseDir = None,
    run_id: RunId = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
) -> tuple[PublishedRun, IngestOptions]:
    """Open the run to read from, and say how files of ratings are read."""
    from mfspark.config.loading import load_config
    from mfspark.tables.run import PublishedRun

    loaded = load_config(config, tuple(overrides or ()))
    root = loaded.warehouse if warehouse is None else warehouse
    return PublishedRun(root, run_id), loaded.ingest


@command(app, panel=READING, given=_run_and_reading)
def fold_in(
    opened: tuple[PublishedRun, IngestOptions],
    rates: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ITEM=RATING...]",
            help="What one user rated: ids or exact titles.",
            show_default=False,
        ),
    ] = None,
    ratings: Annotated[
        list[str] | None,
        typer.Option(
            "--ratings",
            "-r",
            metavar="FILE",
            help="What many users rated, in files as those of a night; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Their lists: a .csv or .parquet file."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there.")
    ] = False,
    n: Annotated[int, typer.Option("-n", min=1, help="Rows a user.")] = 10,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="als, ials, slim, ease or item_knn. Default: whose lists people get, "
            "or the best that can.",
        ),
    ] = None,
) -> None:
    """Recommend for somebody new, by what they rated; nothing is stored in the warehouse."""
    run, reading = opened
    if ratings:
        if rates or out is None:
            missing = "--ratings FILE goes with --out FILE, and with no ITEM=RATING"
            raise ConfigError(missing, "mfspark fold-in --ratings new.csv --out lists.parquet")
        _many(run, reading, ratings, out, overwrite=overwrite, n=n, model=model)
        return
    if not rates or out is not None or overwrite:
        what = "--out goes with --ratings FILE" if out or overwrite else "nothing is rated"
        raise ConfigError(what, "mfspark fold-in 318=5 296=4.5, or --ratings FILE --out FILE")
    _one(run, rates, n, model)


def _many(
    run: PublishedRun,
    reading: IngestOptions,
    ratings: list[str],
    out: Path,
    *,
    overwrite: bool,
    n: int,
    model: str | None,
) -> None:
    from mfspark.queries.fold_in_files import fold_in_files
    from mfspark.system.cores import cores_of_this_process

    began = time.monotonic()
    with _shown() as told:
        found = fold_in_files(
            run,
            ratings,
            out,
            reading,
            model=model,
            n=n,
            threads=cores_of_this_process(),
            overwrite=overwrite,
            told=told,
        )
    screen = console()
    for line in _account(found, run.run_id, out, time.monotonic() - began):
        screen.print(cell(line), soft_wrap=True)


def _account(found: FoldedFiles, run_id: str, out: Path, seconds: float) -> list[str]:
    """Say what came of files, a line each."""
    lines = [f"{name}: {how}" for name, how in found.read_as.items()]
    lines.append(
        f"{count(found.n_listed, 'user')} of {found.n_users:,} have a list by {found.model} of "
        f"run {run_id}: {count(found.n_entries, 'row')} in {out}, {seconds:.1f} s"
    )
    if found.n_popular:
        lines.append(
            f"{count(found.n_popular, 'list')} by popularity: {found.model} has nothing to go by"
        )
    if found.n_users > found.n_listed:
        left = count(found.n_users - found.n_listed, "user")
        lines.append(f"{left} without a list: nothing that can be listed, or no known item rated")
    if found.n_known:
        lines.append(
            f"{found.n_known:,} of them the run knows too: only what the files say of them counts"
        )
    if found.rejected:
        total = sum(found.rejected.values())
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in found.rejected.items())
        lines.append(
            f"{count(total, 'row')} of {found.n_rows:,} left out ({reasons}): {found.rejected_in}"
        )
    return lines


@contextmanager
def _shown() -> Generator[Callable[[str, int, int], None]]:
    """Yield what shows how far it is: a bar on a terminal, otherwise a line now and then."""
    from rich.progress import MofNCompleteColumn, Progress

    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _Lines().tell
        return
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=screen) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("reading", "ranking")}

        def tell(what: str, done: int, total: int) -> None:
            bar.update(tasks[what], completed=done, total=total)

        yield tell


class _Lines:
    """Says how far it is, now and then."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _EVERY

    def tell(self, what: str, done: int, total: int) -> None:
        """Print a line where it is time for one."""
        if time.monotonic() >= self._due:
            print(f"mfspark: {what} {done:,} of {total:,}", file=sys.stderr, flush=True)
            self._due = time.monotonic() + _EVERY


def _one(run: PublishedRun, rates: list[str], n: int, model: str | None) -> None:
    from mfspark.queries.fold_in import fold_in as fold
    from mfspark.queries.lookup import near_items

    found = fold(run, [_as_rating(text) for text in rates], model, n)
    out = console()
    for note in found.notes:
        out.print(Text("note: ", style="yellow") + cell(note), soft_wrap=True)
    rows = [
        (rank, name_of(item, title), f"{score:.3f}")
        for rank, (item, title, score) in enumerate(found.items, 1)
    ]
    title = f"For {count(len(rates), 'rating')}, by {found.model} of run {run.run_id}"
    columns, numbers = ("rank", "item", "score"), ("rank", "score")
    out.print(table(columns, rows, title=title, numbers=numbers))
    if len(found.items) < n:
        out.print(cell("there are no further items to list", "dim"))
    if found.unknown:
        near = [f"{item} ({near_items(run, item)})" for item in found.unknown[:_FEW]]
        near += found.unknown[_FEW:]
        out.print(cell(f"unknown items, left out: {', '.join(near)}"), soft_wrap=True)


def _as_rating(text: str) -> tuple[str, float]:
    item, equals, value = text.rpartition("=")
    try:
        rating = float(value) if "_" not in value else math.nan  # Python takes 4_5 for 45
    except ValueError:
        rating = math.nan
    if not equals or not item.strip() or not math.isfinite(rating):
        raise ConfigError(f"'{text}' is not ITEM=RATING", "write it as 318=4.5")
    return item, rating
