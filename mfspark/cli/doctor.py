"""`mfspark doctor`: is everything there that a night needs?"""

from typing import Annotated

import typer
from rich.text import Text

from mfspark.cli.command import TRYING_OUT, command
from mfspark.cli.options import ConfigFiles, Overrides, WarehouseDir
from mfspark.cli.terminal import cell, console
from mfspark.errors import ExitStatus

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


app = typer.Typer()


@command(app, panel=TRYING_OUT)
def doctor(
    spark: Annotated[bool, typer.Option("--spark", help="Also start Spark once.")] = False,
    warehouse: WarehouseDir = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
) -> int:
    """Check Java, Python, the packages, memory, disk, the warehouse and the configuration.

    Ends with exit status 2 if something fails; each line says what to do about it.
    """
    from mfspark.cli.checks import examine
    from mfspark.cli.stages import quiet_spark

    quiet_spark()
    out, failed = console(), 0
    for check in examine(config, tuple(overrides or ()), warehouse, spark=spark):
        failed += check.level == "fail"
        line = Text(f"{check.level:<5}", style=_STYLES[check.level])
        out.print(line + cell(f"{check.what}: {check.found}"), soft_wrap=True)
        if check.remedy:
            out.print(cell(f"       {check.remedy}"), soft_wrap=True)
    return ExitStatus.USAGE if failed else ExitStatus.DONE
