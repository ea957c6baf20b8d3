"""The command `mfspark`.

Modules that need pyspark, torch or pyarrow are imported by the commands that use them, so that help
and `mfspark path` answer at once.
"""

from typing import Annotated

import typer

from mfspark._version import __version__
from mfspark.cli import (
    doctor,
    exports,
    new_users,
    operations,
    reading,
    sample,
    stages,
    trying_options,
)
from mfspark.cli.command import HELP, TRYING_OUT, start
from mfspark.cli.jobs import job

__all__ = ["app", "job", "main"]

app = typer.Typer(
    name="mfspark",
    help="Nightly recommender jobs on Apache Spark: ratings in, completed top-N tables out.",
    epilog="First time here? Try: mfspark run, which takes the embedded survey, and then: "
    'mfspark show "Respondent 45"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
for module in (stages, trying_options, reading, new_users, operations, exports, doctor):
    app.add_typer(module.app)
app.add_typer(sample.app, name="sample", rich_help_panel=TRYING_OUT)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mfspark {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line; the console script `mfspark`."""
    start(app)
