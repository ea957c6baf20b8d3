"""Progress of a night on a terminal: stage, percentage, time left."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from mfspark.pipeline.progress import LoggedProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from rich.console import Console

_NOTEWORTHY = 0.1  # seconds; a step below it was probably found finished


class StepClock:
    """How far a night is, from what its steps took the last time, or by their number.

    `known` are seconds by step; they serve when there are as many of them as steps.
    """

    def __init__(
        self, known: Mapping[str, float], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._known, self._now = known, now
        self._n_steps = 0
        self._began = now()
        self._step_began = self._ended = self._began
        self._label = ""
        self.taken: dict[str, float] = {}
        """Seconds of each finished step."""

    def begin(self, n_steps: int) -> None:
        """Start the count."""
        self._n_steps, self._began = n_steps, self._now()
        if len(self._known) != n_steps:
            self._known = {}

    def start(self, label: str) -> None:
        """A step begins."""
        self._label, self._step_began = label, self._now()

    def end(self) -> None:
        """The step has ended."""
        self._ended = self._now()
        self.taken[self._label] = self._ended - self._step_began
        self._label = ""

    def share(self) -> float:
        """Return the share that is done, 0 to 1."""
        if not self._n_steps:
            return 0.0
        if not self._known:
            return len(self.taken) / self._n_steps
        done = sum(self._known.get(label, 0.0) for label in self.taken)
        if self._label:  # a step that takes longer than the last time waits just below its end
            expected = self._known.get(self._label, 0.0)
            done += min(self._now() - self._step_began, 0.95 * expected)
        return min(1.0, done / max(sum(self._known.values()), 1e-9))

    def seconds_left(self) -> float | None:
        """Return the seconds to go at the pace so far; None where nothing can be said."""
        elapsed = self._now() - self._began
        if self._known:
            share = self.share()
            return elapsed * (1 - share) / share if share else sum(self._known.values())
        if not self.taken:
            return None
        # Judged when the last step ended, so that the time left never grows within a step.
        ended = self._ended - self._began
        left = ended * self._n_steps / len(self.taken) - elapsed
        return left if left > 0 or len(self.taken) == self._n_steps else None


class TerminalProgress:
    """Shows a bar while a night runs, and logs each step as LoggedProgress does."""

    def __init__(self, console: Console, clock: StepClock) -> None:
        self._clock, self._logged = clock, LoggedProgress()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _Bar(clock),
            _Left(clock),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting Spark", total=1.0)

    @contextmanager
    def shown(self) -> Generator[None]:
        """Show the bar meanwhile."""
        with self._bar:
            yield

    def begin(self, n_steps: int) -> None:
        """Say how many steps there will be."""
        self._logged.begin(n_steps)
        self._clock.begin(n_steps)

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Surround one step."""
        self._clock.start(label)
        self._bar.update(self._task, description=label, refresh=True)
        with self._logged.step(label):
            yield
        self._clock.end()


class _Bar(ProgressColumn):
    """The bar itself with its percentage."""

    def __init__(self, clock: StepClock) -> None:
        super().__init__()
        self._clock = clock

    def render(self, task: Task) -> ProgressBar:  # noqa: ARG002
        """Draw what the clock says now."""
        return ProgressBar(total=1.0, completed=self._clock.share(), width=30)


class _Left(ProgressColumn):
    """The percentage and the time left."""

    def __init__(self, clock: StepClock) -> None:
        super().__init__()
        self._clock = clock

    def render(self, task: Task) -> Text:  # noqa: ARG002
        """Write what the clock says now."""
        left = self._clock.seconds_left()
        time_left = "" if left is None else f"  {_minutes(left)} left"
        return Text(f"{self._clock.share():4.0%}{time_left}")


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    clock = f"{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
    return f"{hours}:{clock}" if hours else clock


def read_step_times(path: Path) -> dict[str, float]:
    """Return what the steps of the last night took; empty where that is not known."""
    try:
        found = json.loads(path.read_bytes())
        return {str(label): max(0.0, float(seconds)) for label, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_step_times(path: Path, known: Mapping[str, float], taken: Mapping[str, float]) -> None:
    """Keep what the steps took; those that were found finished keep their last time."""
    times = {
        label: round(seconds if seconds >= _NOTEWORTHY else known.get(label, seconds), 3)
        for label, seconds in taken.items()
    }
    with suppress(OSError):  # only an estimate: never a reason to fail a night
        path.write_text(json.dumps(times))
