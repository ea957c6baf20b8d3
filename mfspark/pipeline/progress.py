"""Progress of long work: who is told when a step begins and ends."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from mfspark.system.words import duration

log = logging.getLogger("mfspark")

_QUIET = 50.0
"""Seconds without a line after which there is one: at least one a minute."""


class Progress(Protocol):
    """Told of each step of a night."""

    def of_run(self, run_id: str) -> None:
        """Say which run it is, once that is known."""
        ...

    def begin(self, n_steps: int) -> None:
        """Say how many steps there will be."""
        ...

    def expect(self, n_steps: int) -> None:
        """Say how many steps there will be in all, where that is known better by now."""
        ...

    def step(self, label: str) -> AbstractContextManager[None]:
        """Surround one step."""
        ...

    def note(self, text: str) -> None:
        """Say what whoever started the night should know now, not at its end."""
        ...


class LoggedProgress:
    """One line a step in the log: its number, name and seconds.

    `known` are the seconds by step of the last time. Where there are as many of them as steps, a
    step counts as much as it took; otherwise all count alike.
    """

    def __init__(
        self, known: Mapping[str, float] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._known, self._now = dict(known or {}), now
        self._done, self._reached = 0, 0.0
        self._doing, self._began_step, self._began = "preparing", now(), now()
        self._said = now()
        self.run_id: str | None = None
        self.n_steps = 0
        """How many steps there will be; 0 before any has begun."""
        self.taken: dict[str, float] = {}
        """Seconds of each finished step."""

    @property
    def total(self) -> float:
        """What all steps together count."""
        return sum(self._known.values()) or self.n_steps

    def of_run(self, run_id: str) -> None:
        """Log it."""
        self.run_id = run_id
        self._say(logging.INFO, "run %s", run_id)

    def begin(self, n_steps: int) -> None:
        """Start counting."""
        self.n_steps, self._done, self._reached, self._began = n_steps, 0, 0.0, self._now()
        if len(self._known) != n_steps or not sum(self._known.values()):
            self._known = {}

    def expect(self, n_steps: int) -> None:
        """Go on counting, to another number."""
        self.n_steps = max(n_steps, self._done)

    def worth(self, label: str) -> float:
        """Return what a step counts."""
        return self._known.get(label, 0.0) if self._known else 1.0

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Log the step when it has ended; a failed step is logged as such."""
        self._doing, self._began_step = label, self._now()
        try:
            yield
        except BaseException as error:
            how = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            seconds = self._now() - self._began_step
            self._say(logging.ERROR, "%s %s after %.1f s", label, how, seconds)
            raise
        self._done += 1
        self._reached += self.worth(label)
        seconds = self.taken[label] = self._now() - self._began_step
        self._say(logging.INFO, "%d/%d %s: %.1f s", self._done, self.n_steps, label, seconds)

    def note(self, text: str) -> None:
        """Log it."""
        self._say(logging.WARNING, "note: %s", text)

    @contextmanager
    def kept_up(self, quiet: float = _QUIET) -> Generator[None]:
        """Log a line where there was none for some seconds, for as long as this is entered."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(max(0.0, self._said + quiet - self._now())):
                if self._now() >= self._said + quiet:
                    self._say(logging.INFO, "%s", self.where())

        watching = threading.Thread(target=watch, name="progress", daemon=True)
        watching.start()
        try:
            yield
        finally:
            ended.set()
            watching.join()

    def where(self) -> str:
        """Say what is being done, for how long by now, how much is done and what is left."""
        so_far = f"{self._doing} for {duration(self._now() - self._began_step)}"
        if not self.n_steps:
            return so_far
        done = f"{self._done} of {self.n_steps} steps done"
        left = self._left()
        return f"{so_far}; {done}" + ("" if left is None else f", about {duration(left)} left")

    def _left(self) -> float | None:
        """Return the seconds that are left at the pace so far; None before there is one."""
        inside = self._now() - self._began_step if self._known else 0.0
        reached = self._reached + min(inside, self.worth(self._doing))
        if not reached:
            return None
        return (self._now() - self._began) / reached * max(0.0, self.total - reached)

    def _say(self, level: int, text: str, *values: object) -> None:
        self._said = self._now()
        log.log(level, text, *values)
