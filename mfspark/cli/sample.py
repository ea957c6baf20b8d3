"""`mfspark sample`: data to try things out with."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mfspark.cli.command import command
from mfspark.cli.terminal import console
from mfspark.system.words import count

app = typer.Typer(help="Write data to try things out with.", no_args_is_help=True)

OutFolder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write.")]


class FileFormat(StrEnum):
    """How ratings are written."""

    CSV = "csv"
    PARQUET = "parquet"


@command(app)
def survey(out: OutFolder) -> None:
    """Copy the embedded survey, as a wide Excel sheet and as a long CSV file."""
    from mfspark.samples.survey import copy_survey

    files = copy_survey(out)
    _say_written(files)
    _say_next(files[:1], [])


@command(app)
def synthetic(
    out: OutFolder,
    users: Annotated[int, typer.Option("--users", min=1, help="Number of users.")] = 1000,
    items: Annotated[int, typer.Option("--items", min=1, help="Number of items.")] = 500,
    ratings: Annotated[
        int, typer.Option("--ratings", min=1, help="Number of ratings, up to 100 million or more.")
    ] = 50_000,
    rank: Annotated[int, typer.Option("--rank", min=1, help="Rank of the planted factors.")] = 8,
    noise: Annotated[float, typer.Option("--noise", min=0, help="In stars.")] = 0.6,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same data.")] = 42,
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="How ratings are written.")
    ] = FileFormat.CSV,
) -> None:
    """Make ratings with planted factors, and popularity and activity as skewed as real ones.

    Memory does not grow with the number of ratings.
    """
    from rich.progress import Progress

    from mfspark.samples.synthetic import SyntheticSpec, write_synthetic

    spec = SyntheticSpec(users, items, ratings, rank, noise, seed)
    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(f"writing {count(ratings, 'rating')}", total=1.0)
        files = write_synthetic(
            spec, out, file_format.value, lambda share: bar.update(task, completed=share)
        )
    _say_written(files)
    folder = out / "ratings" / "*.parquet"
    _say_next([folder] if file_format is FileFormat.PARQUET else files[:1], files[-1:])


@command(app)
def toy(
    out: OutFolder,
    users: Annotated[int, typer.Option("--users", min=1, help="Number of users.")] = 20,
    movies: Annotated[int, typer.Option("--movies", min=1, help="Number of movies.")] = 15,
    draws: Annotated[
        int, typer.Option("--draws", min=1, help="Ratings drawn; pairs drawn again are dropped.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same data.")] = 42,
) -> None:
    """Draw users, movies and ratings at random, as the notebooks do: nothing to learn in them."""
    from mfspark.samples.toy import ToySpec, write_toy

    files = write_toy(ToySpec(users, movies, draws, seed), out)
    _say_written(files)
    _say_next(files[:1], files[1:])


def _say_written(files: list[Path]) -> None:
    for file in files[:5]:
        print(file)
    if len(files) > 5:
        print(f"and {len(files) - 5} more")


def _say_next(ratings: list[Path], items: list[Path]) -> None:
    options = [("--ratings", path) for path in ratings] + [("--items", path) for path in items]
    line = shlex.join(["mfspark", "run", *(str(word) for option in options for word in option)])
    console(stderr=True).print(f"next: {line}", soft_wrap=True)
