"""Options that several commands share, and how a command ends."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mfspark.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

WarehouseDir = Annotated[
    str | None,
    typer.Option(
        "--warehouse",
        "-w",
        envvar="MFSPARK_WAREHOUSE",
        metavar="DIR",
        help="Where the tables are published. Default: the configuration's, else ./warehouse.",
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="FILE", help="TOML file; every key has a default."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one key, such as models.als.rank=16; repeatable."
    ),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", metavar="RUN", help="Another published run; see: mfspark runs."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show full stack traces.")]


_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_age(text: str) -> timedelta:
    """Parse such as 90m, 36h or 2d. Raises ConfigError."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"'{text}' is not an age", "write it as 90m, 36h or 2d")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        raise ConfigError(f"'{text}' is too long an age") from None


def end_with(work: Callable[[], None], *, debug: bool = False) -> None:
    """Do the work of a command; errors become one screen and the exit status they stand for."""
    from mfspark.system.exit import guarded

    status = guarded(work, debug=debug)
    if status:
        raise typer.Exit(int(status))


@contextmanager
def writing(out: Path) -> Generator[None]:
    """Turn an OSError into one that names the file of `--out` and the remedy."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {out}: {error.strerror or error}"
        raise ConfigError(message, "choose another place: --out FILE") from error


def warehouse_of(warehouse: str | None, config: str | None) -> str:
    """Return the warehouse to read from. Raises ConfigError for a wrong configuration file."""
    from mfspark.config.config import load_config

    return warehouse or load_config(config).warehouse
