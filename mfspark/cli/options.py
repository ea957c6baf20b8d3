"""Options that several commands share, and what they open."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mfspark.errors import ConfigError

if TYPE_CHECKING:
    from mfspark.tables.run import PublishedRun
    from mfspark.tables.warehouse import Warehouse

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
ConfigFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="TOML file; every key has a default. Repeatable: a later one changes what it names.",
    ),
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


def opened_warehouse(warehouse: WarehouseDir = None, config: ConfigFiles = None) -> Warehouse:
    """Open the warehouse to read from. Raises ConfigError for a wrong configuration file."""
    from mfspark.config.loading import load_config
    from mfspark.tables.warehouse import Warehouse

    root = warehouse if warehouse and not config else load_config(config).warehouse
    return Warehouse(root if warehouse is None else warehouse)


def opened_run(
    warehouse: WarehouseDir = None, run_id: RunId = None, config: ConfigFiles = None
) -> PublishedRun:
    """Open the run to read from: the one that readers see where none is named."""
    from mfspark.tables.run import PublishedRun

    return PublishedRun(opened_warehouse(warehouse, config), run_id)
