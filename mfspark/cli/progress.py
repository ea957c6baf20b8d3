"""Progress of a night on a terminal: stage, percentage, time left."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress

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
from mfspark.errors import MfsparkError
from mfspark.pipeline.progress import LoggedProgress
from mfspark.storage.protocol import Storage

_NOTEWORTHY = 0.1  # seconds; a step below it was probably found finished
_WEEK = 7 * 86_400.0  # the pace is that of the whole night, not of its last seconds


class TerminalProgress(LoggedProgress):
    """Shows a bar while a night runs, and logs each step.

    `known` are the seconds by step of the last time. Where there are as many of them as steps, a
    step counts as much as it took; otherwise all count alike.
    """

    def __init__(
        self,
        console: Console,
        known: Mapping[str, float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._known = known
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
        self.taken: dict[str, float] = {}
        """Seconds of each finished step."""

    def shown(self) -> Progress:
        """Return what shows the bar while it is entered."""
        return self._bar

    def begin(self, n_steps: int) -> None:
        """Say how many steps there will be."""
        super().begin(n_steps)
        expected = sum(self._known.values()) if len(self._known) == n_steps else 0.0
        if not expected:
            self._known = {}
        self._bar.reset(self._task, total=expected or n_steps)
        self._bar.advance(self._task, 0)  # the pace is measured from here on

    def expect(self, n_steps: int) -> None:
        """Say how many steps there will be; they all count alike from here on."""
        super().expect(n_steps)
        if not self._known:
            self._bar.update(self._task, total=self.n_steps)

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Surround one step."""
        self._bar.update(self._task, description=label, refresh=True)
        began = self._bar.get_time()
        with super().step(label):
            yield
        self.taken[label] = self._bar.get_time() - began
        self._bar.advance(self._task, self._known.get(label, 0.0) if self._known else 1.0)

    def note(self, text: str) -> None:
        """Print it above the bar, and log it."""
        super().note(text)
        self._bar.console.print(Text("note: ", style="yellow") + cell(text), soft_wrap=True)


def read_step_times(storage: Storage, key: str) -> dict[str, float]:
    """Return what the steps of the last night took; empty where that is not known."""
    try:
        found = json.loads(storage.read(key) or b"")
        return {str(label): max(0.0, float(seconds)) for label, seconds in found.items()}
    except (MfsparkError, ValueError, TypeError, AttributeError):
        return {}


def write_step_times(
    storage: Storage, key: str, known: Mapping[str, float], taken: Mapping[str, float]
) -> None:
    """Keep what the steps took; those that were found finished keep their last time."""
    if not taken:
        return
    times = {
        label: round(seconds if seconds >= _NOTEWORTHY else known.get(label, seconds), 3)
        for label, seconds in taken.items()
    }
    with suppress(MfsparkError):  # only an estimate: never a reason to fail a night
        storage.put(key, json.dumps(times).encode())
