"""Locks where no kernel keeps any: files that say who holds something, written anew at every beat.

    locks/<name>.lock            the one who holds it alone; empty while nobody does
    locks/.<name>.shared/<id>    one file for each of those who share it

Whoever wants a lock writes a file of his own first and looks at those of the others then, so that
of two who come at one time at least one gives way. A holder who died stops writing: after some
beats without a change, measured by the clock of whoever watches, the lease may be taken over. A
lease is advisory: a holder who only slept may find that it is lost. Two nights at once waste work;
that they cannot spoil anything is due to conditional writes, not to leases.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol
from uuid import uuid4

from mfspark.errors import MfsparkError
from mfspark.storage.protocol import HeldError

log = logging.getLogger(__name__)


class LeaseFiles(Protocol):
    """What leases need of an object store."""

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Return the content and the version of a file; None where there is none."""
        ...

    def swap(self, key: str, content: bytes, version: str | None) -> str | None:
        """Put a file if it still has a version; return the new one, None if it has another."""
        ...

    def names(self, key: str) -> list[str]:
        """Return the names in a directory."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files."""
        ...


class Leases:
    """Leases in one object store."""

    beat_seconds: ClassVar[float] = 5.0
    missed_beats: ClassVar[int] = 6
    """A lease is abandoned when so many beats of its holder were due and none came."""

    def __init__(self, files: LeaseFiles) -> None:
        self._files = files

    @contextmanager
    def hold(
        self, name: str, note: bytes, *, shared: bool, wait: bool
    ) -> Generator[None, None, None]:
        """Hold a lock, as `Storage.hold` says; the note is a JSON object."""
        take = self._take_shared if shared else self._take_alone
        while True:
            try:
                lease = take(name, note)
                break
            except HeldError:
                if not wait:
                    raise
            time.sleep(self.beat_seconds * random.uniform(0.1, 0.5))
        try:
            yield
        finally:
            lease.release()

    def _take_alone(self, name: str, note: bytes) -> "_Lease":
        lease = _Lease(self._files, f"locks/{name}.lock", note, self.beat_seconds)
        while True:
            abandoned = self._watch(lambda: [lease.key])
            found = self._files.read_version(lease.key)
            if found and found[0] and abandoned.get(lease.key) != found[1]:
                continue  # another one took it meanwhile
            if lease.take(found and found[1]):
                break
        shared = _shared(name)
        with lease.given_back_on_error():
            names = self._files.names
            self._files.delete(self._watch(lambda: [f"{shared}/{id}" for id in names(shared)]))
        return lease

    def _take_shared(self, name: str, note: bytes) -> "_Lease":
        key = f"{_shared(name)}/{uuid4().hex}"
        lease = _Lease(self._files, key, note, self.beat_seconds, keep=False)
        lease.take(None)
        alone = f"locks/{name}.lock"
        with lease.given_back_on_error():
            for key, version in self._watch(lambda: [alone]).items():
                if self._files.swap(key, b"", version) is None:
                    raise HeldError
        return lease

    def _watch(self, keys: Callable[[], list[str]]) -> dict[str, str]:
        """Return abandoned leases with their versions; at once where there are none at all.

        Raises HeldError as soon as a holder shows that he lives.
        """
        first: dict[str, str] | None = None
        unchanged = 0.0
        while True:
            started = time.monotonic()
            found = {key: self._files.read_version(key) for key in keys()}
            leases = {key: value[1] for key, value in found.items() if value and value[0]}
            if first is None or time.monotonic() - started > self.beat_seconds:
                first, unchanged = leases, 0.0  # in so slow a look no holder's beat counts
            if any(first.get(key) != version for key, version in leases.items()):
                raise HeldError
            if not leases or unchanged >= self.beat_seconds * self.missed_beats:
                return leases
            time.sleep(self.beat_seconds / 4)
            unchanged += self.beat_seconds / 4


class _Lease:
    """One file that says who holds something, while a thread writes it anew at every beat."""

    def __init__(
        self, files: LeaseFiles, key: str, note: bytes, beat: float, *, keep: bool = True
    ) -> None:
        self.key = key
        self._files, self._note, self._keep = files, json.loads(note), keep
        self._beat_seconds, self._beats, self._id = beat, 0, uuid4().hex
        self._version: str | None = None
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name=f"lease {key}", daemon=True)

    def take(self, version: str | None) -> bool:
        """Write the file if it still has a version; return whether it did."""
        self._version = self._files.swap(self.key, self._content(), version)
        if self._version is not None:
            self._heart.start()
        return self._version is not None

    def release(self) -> None:
        """Stop, and empty or delete the file; one that cannot be is taken over by and by."""
        self._ended.set()
        self._heart.join()
        try:
            if self._keep:
                self._write(b"")
            else:
                self._files.delete([self.key])
        except MfsparkError as error:
            log.warning("%s was not given back: %s", self.key, error.message)

    @contextmanager
    def given_back_on_error(self) -> Generator[None, None, None]:
        """Release where the block ends with an error."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_seconds):
            self._beats += 1
            try:
                if not self._write(self._content()):
                    log.warning(
                        "%s was taken over by another process, as this one was silent", self.key
                    )
                    return
            except MfsparkError as error:
                log.warning("%s could not be renewed: %s", self.key, error.message)

    def _write(self, content: bytes) -> bool:
        """Write the file while it is ours; return whether it is."""
        version = self._files.swap(self.key, content, self._version)
        while version is None:
            found = self._files.read_version(self.key)
            if found is None or self._id not in found[0].decode(errors="replace"):
                return False
            # A beat that was given up has come through after all.
            version = self._files.swap(self.key, content, found[1])
        self._version = version
        return True

    def _content(self) -> bytes:
        lease: dict[str, Any] = {"id": self._id, "beat": self._beats}
        return json.dumps({**self._note, "lease": lease}).encode()


def _shared(name: str) -> str:
    return f"locks/.{name}.shared"
