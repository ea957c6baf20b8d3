"""The stages as programs of their own, for spark-submit: what stands behind `jobs/`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from mfspark.cli.command import HELP, command, start
from mfspark.cli.stages import requested, work_of
from mfspark.pipeline.sequence import STAGES, StageName
from mfspark.system.redaction import RedactingFormatter

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.pipeline.request import Request


def job(stage: StageName, only: Sequence[ModelName] = ()) -> None:
    """Run a stage with the arguments of this process, and end the process with its exit status.

    The options are those of `mfspark run`, and standard error gets a line a step. `only` limits
    stage train to some of the configured models.
    """

    def work(request: Request) -> None:
        from mfspark.pipeline.progress import LoggedProgress
        from mfspark.pipeline.request import execute

        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(RedactingFormatter("%(asctime)s %(name)s %(message)s"))
        logging.getLogger("py4j").setLevel(logging.WARNING)
        progress = LoggedProgress()
        night = execute(request, progress, only)
        done, root = logging.getLogger("mfspark"), night.warehouse.root
        if not progress.n_steps:
            done.info("run %s was already published; there was nothing left to do", night.run_id)
        done.info("%s done in %s", work_of(stage, night.run_id), root)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
    command(app, text=STAGES[stage].help, given=requested(stage))(work)
    start(app)
