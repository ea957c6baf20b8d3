"""Leases: alive while their holder is, free soon after, and nobody's harm if they are lost."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mfspark.storage.leases import Leases
from mfspark.storage.object_store import ObjectStorage
from mfspark.storage.protocol import HeldError
from tests.support.processes import wait_until
from tests.support.rounds import rounds

BEAT, MISSED = 0.1, 10
NOTE = b'{"pid": 1}'
LOCK = "locks/w.lock"

HOLD = """
import sys
from mfspark.storage.leases import Leases
from mfspark.storage.object_store import ObjectStorage
Leases.beat_seconds = float(sys.argv[3])
with ObjectStorage(sys.argv[1]).hold("w", b'{"pid": 2}', shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def storage(object_storage: Any, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    monkeypatch.setattr(Leases, "beat_seconds", BEAT)
    monkeypatch.setattr(Leases, "missed_beats", MISSED)
    return object_storage("moto")


@contextmanager
def holder(storage: ObjectStorage, how: str = "alone") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is told to end, or killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, storage.root, how, str(BEAT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def free(storage: ObjectStorage, *, shared: bool = False) -> bool:
    try:
        with storage.hold("w", NOTE, shared=shared):
            return True
    except HeldError:
        return False


def beat_of(storage: ObjectStorage) -> int:
    return json.loads(storage.read(LOCK) or b"")["lease"]["beat"]


def test_a_living_holder_keeps_a_lease_for_long(storage: ObjectStorage) -> None:
    with storage.hold("w", NOTE):
        for _ in range(3):
            assert not free(storage)
            assert not free(storage, shared=True)
            beat = beat_of(storage)
            wait_until(lambda beat=beat: beat_of(storage) > beat, 20, "a beat")
        assert json.loads(storage.read(LOCK) or b"")["pid"] == 1
    assert storage.read(LOCK) == b""
    assert [file.key for file in storage.files("")] == [LOCK]


@pytest.mark.faults
@pytest.mark.parametrize("how", ["alone", "shared"])
@pytest.mark.parametrize("wait", [False, True])
def test_the_lease_of_who_was_killed_is_taken_over(
    storage: ObjectStorage, how: str, wait: bool
) -> None:
    with holder(storage, how) as other:
        assert not free(storage)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        started = time.monotonic()
        with storage.hold("w", NOTE, wait=wait):
            assert time.monotonic() - started > BEAT * MISSED / 2
            assert json.loads(storage.read(LOCK) or b"")["pid"] == 1
    assert [file.key for file in storage.files("")] == [LOCK]
    assert storage.read(LOCK) == b""


@pytest.mark.faults
def test_one_of_many_takes_over(storage: ObjectStorage) -> None:
    for _ in range(rounds(2, 20)):
        with holder(storage) as other:
            os.kill(other.pid, signal.SIGKILL)
            other.wait()
        held: list[int] = []
        over = threading.Event()

        def take(number: int, held: list[int] = held, over: threading.Event = over) -> None:
            try:
                with storage.hold("w", NOTE):
                    held.append(number)
                    over.wait()
            except HeldError:
                pass

        threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda threads=threads: sum(t.is_alive() for t in threads) == 1, 60, "losers")
        over.set()
        for thread in threads:
            thread.join()
        assert len(held) == 1


@pytest.mark.parametrize("how", ["alone", "shared"])
def test_shared_leases_of_the_dead_keep_nobody_out(storage: ObjectStorage, how: str) -> None:
    with holder(storage, how) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with storage.hold("w", NOTE, shared=True):
        assert not free(storage)
        assert free(storage, shared=True)
    assert free(storage)
    assert [file.key for file in storage.files("")] == [LOCK]


def test_who_slept_has_lost_the_lease_and_does_no_harm(
    storage: ObjectStorage, caplog: pytest.LogCaptureFixture
) -> None:
    with holder(storage) as other:
        os.kill(other.pid, signal.SIGSTOP)
        with storage.hold("w", NOTE), caplog.at_level(logging.WARNING):
            os.kill(other.pid, signal.SIGCONT)
            beat = beat_of(storage)
            wait_until(lambda: beat_of(storage) > beat + 5, 20, "beats of the new holder")
            assert other.stdin is not None
            other.stdin.close()  # its end releases nothing that is not its own
            assert other.wait() == 0
            assert json.loads(storage.read(LOCK) or b"")["pid"] == 1
            assert not free(storage)
        assert caplog.text == "", "the new holder noticed nothing"
    assert storage.read(LOCK) == b""


def test_who_loses_a_lease_is_told(
    storage: ObjectStorage, caplog: pytest.LogCaptureFixture
) -> None:
    with storage.hold("w", NOTE), caplog.at_level(logging.WARNING):
        storage.put(LOCK, b'{"pid": 3}')
        wait_until(lambda: "taken over by another" in caplog.text, 20, "a warning")
    assert storage.read(LOCK) == b'{"pid": 3}'


def test_a_beat_that_came_late_is_still_a_beat_of_the_holder(storage: ObjectStorage) -> None:
    """A beat whose answer never came has changed the version that the holder knows."""
    with storage.hold("w", NOTE):
        found = json.loads(storage.read(LOCK) or b"")
        storage.put(LOCK, json.dumps({**found, "late": True}).encode())
        wait_until(lambda: b"late" not in (storage.read(LOCK) or b""), 20, "the next beat")
        assert not free(storage)
    assert storage.read(LOCK) == b""


@pytest.mark.faults
def test_shared_and_alone_are_never_held_at_once(storage: ObjectStorage) -> None:
    """Threads that take the lock in both ways, as often as they can; some wait for it."""
    inside = {"alone": 0, "shared": 0}
    seen: list[tuple[int, int]] = []
    lock = threading.Lock()
    over = time.monotonic() + rounds(4, 60)

    def run(how: str, wait: bool) -> None:
        while time.monotonic() < over:
            try:
                with storage.hold("w", NOTE, shared=how == "shared", wait=wait):
                    with lock:
                        inside[how] += 1
                        seen.append((inside["alone"], inside["shared"]))
                    time.sleep(0.01)
                    with lock:
                        inside[how] -= 1
            except HeldError:
                pass

    ways = [("alone", True), ("alone", False), ("shared", True), ("shared", False)]
    threads = [threading.Thread(target=run, args=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {alone for alone, _ in seen} == {0, 1}
    assert all(shared == 0 for alone, shared in seen if alone)
    assert any(shared > 1 for _, shared in seen)
    assert [file.key for file in storage.files("")] == [LOCK]
