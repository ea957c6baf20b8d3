"""Progress of a night on a terminal: stage, percentage, time left."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mfspark.cli.terminal import cell
from mfspark.pipeline.progress import LoggedProgress

_WEEK = 7 * 86_400.0  # the pace is that of the whole night, not of its last seconds


class TerminalProgress(LoggedProgress):
    """Shows a bar while a night runs, and logs each step."""

    def __init__(
        self,
        console: Console,
        known: Mapping[str, float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(known, now)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            speed_estimate_period=_WEEK,
            get_time=now,
        )
        self._task = self._bar.add_task("starting Spark")

    def shown(self) -> Progress:
        """Return what shows the bar while it is entered."""
        return self._bar

    def begin(self, n_steps: int) -> None:
        """Say how many steps there will be."""
        super().begin(n_steps)
        self._bar.reset(self._task, total=self.total)
        self._bar.advance(self._task, 0)  # the pace is measured from here on

    def expect(self, n_steps: int) -> None:
        """Say how many steps there will be; they all count alike from here on."""
        super().expect(n_steps)
        self._bar.update(self._task, total=self.total)

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Surround one step."""
        self._bar.update(self._task, description=label, refresh=True)
        with super().step(label):
            yield
        self._bar.advance(self._task, self.worth(label))

    def note(self, text: str) -> None:
        """Print it above the bar, and log it."""
        super().note(text)
        self._bar.console.print(Text("note: ", style="yellow") + cell(text), soft_wrap=True)
