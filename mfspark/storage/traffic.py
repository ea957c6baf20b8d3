"""What a process asked of object stores: it is what they charge for."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any


@dataclass
class Traffic:
    """Counts of requests, tries that failed and were made again included, and of bytes.

    A listing counts one for every thousand files, and so do deletions; a long file that is written
    in parts counts the parts, and two to begin and to end.
    """

    gets: int = 0
    puts: int = 0
    lists: int = 0
    deletes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    _lock: Any = field(default_factory=Lock, repr=False, compare=False)

    def add(self, **counts: int) -> None:
        """Add to some counts, from any thread."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    @property
    def requests(self) -> int:
        """All requests together."""
        return self.gets + self.puts + self.lists + self.deletes

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        names = ("gets", "puts", "lists", "deletes", "bytes_read", "bytes_written")
        return {name: getattr(self, name) for name in names}


TRAFFIC = Traffic()
"""The counts of this process."""
