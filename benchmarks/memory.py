"""Peak memory of a process and everything it started, JVM and Python workers included."""

from __future__ import annotations

import threading
from types import TracebackType

from benchmarks.installed import installed

psutil = installed("psutil")


class PeakMemory:
    """Samples the proportional set size of a process tree, by default ours, while the block runs.

    Proportional: pages that several processes share are counted once, so the sum is what the
    machine really holds.
    """

    def __init__(self, pid: int | None = None, seconds: float = 0.2) -> None:
        self._pid, self._seconds = pid, seconds
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def gib(self) -> float:
        """The highest sample, in GiB."""
        return self._peak / 2**30

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        root = psutil.Process(self._pid)
        while True:
            self._peak = max(self._peak, sum(_pss(p) for p in [root, *_children(root)]))
            if self._stop.wait(self._seconds):
                return


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0  # it ended while we looked
