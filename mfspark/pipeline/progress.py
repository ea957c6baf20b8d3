"""Progress of long work: who is told when a step begins and ends."""

import logging
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

log = logging.getLogger("mfspark")


class Progress(Protocol):
    """Told of each step of a night."""

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
    """One line a step in the log: its number, name and seconds."""

    def __init__(self) -> None:
        self._done = 0
        self.n_steps = 0
        """How many steps there will be; 0 before any has begun."""

    def begin(self, n_steps: int) -> None:
        """Start counting."""
        self.n_steps, self._done = n_steps, 0

    def expect(self, n_steps: int) -> None:
        """Go on counting, to another number."""
        self.n_steps = max(n_steps, self._done)

    @contextmanager
    def step(self, label: str) -> Generator[None]:
        """Log the step when it has ended; a failed step is logged as such."""
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            log.error("%s failed after %.1f s", label, time.perf_counter() - began)
            raise
        self._done += 1
        seconds = time.perf_counter() - began
        log.info("%d/%d %s: %.1f s", self._done, self.n_steps, label, seconds)

    def note(self, text: str) -> None:
        """Log it."""
        log.warning("note: %s", text)
