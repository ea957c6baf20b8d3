"""Object stores that answer with errors, slowly, or not at all."""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import Any
from urllib.request import urlopen

import pytest

from mfspark.errors import MfsparkError
from mfspark.storage import bucket, object_client
from mfspark.storage.bucket import bucket_of
from mfspark.storage.object_store import ObjectStorage
from mfspark.storage.traffic import tally_of
from tests.support.faulty_proxy import PASSING, FaultyProxy
from tests.support.object_stores import assert_discreet
from tests.support.rounds import LONG, rounds

CALLS = 35
"""How many requests `publish` makes."""
SLOW = ("slow", "late", "mixed")
NOTE = b'{"pid": 1}'


@pytest.fixture
def impatient(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test is about slow answers, clients do not wait for them."""
    if kind in SLOW:
        monkeypatch.setattr(object_client, "READ_TIMEOUT_SECONDS", 0.5)


def publish(storage: ObjectStorage, *, late: bool = False) -> None:
    """Every operation that publishing needs, and what must have come of it."""
    with storage.hold("pointer", NOTE), storage.hold("warehouse", NOTE, shared=True):
        with storage.writing("runs/r/t/part-1") as file:
            file.write(b"row" * 1000)
        with storage.writing("runs/r/t/part-2") as file:
            for _ in range(5):
                file.write(bytes(50_000))
        storage.put("runs/r/t/stray", b"x")
        storage.delete(["runs/r/t/stray", "runs/r/t/none"])
        assert storage.create("runs/r/manifest.json", b"{}")
        assert not storage.create("runs/r/manifest.json", b"{}")
        assert storage.replace("CURRENT", b"q", None)
        seen = storage.read_version("CURRENT")
        assert seen
        assert storage.replace("CURRENT", b"r", seen[1])
        assert not storage.replace("CURRENT", b"s", seen[1])
    assert storage.read("CURRENT") == b"r"
    assert storage.names("runs/r") == ["manifest.json", "t"]
    with storage.open("runs/r/t/part-1") as file:
        assert file.read() == b"row" * 1000
    with storage.open("runs/r/t/part-2") as file:
        file.seek(200_000)
        assert file.read() == bytes(50_000)
    assert not storage.exists("runs/q")
    storage.put("scratch/a", b"x")
    storage.discard("scratch")
    found = {file.key: file.bytes for file in storage.files("")}
    if late:  # a put that is done late comes after its own deletion; such a lease is abandoned
        back = ("runs/r/t/stray", "locks/.warehouse.shared/")
        found = {key: length for key, length in found.items() if not key.startswith(back)}
    assert found == {
        "CURRENT": 1,
        "locks/pointer.lock": 0,
        "runs/r/manifest.json": 2,
        "runs/r/t/part-1": 3000,
        "runs/r/t/part-2": 250_000,
    }


def test_publishing_makes_few_requests(proxied: Any, proxy: FaultyProxy) -> None:
    storage = proxied()
    publish(storage)
    assert len(proxy.seen) == tally_of(storage.root).take().requests == CALLS


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", PASSING)
def test_publishing_survives_a_fault_at_any_call(
    proxied: Any, proxy: FaultyProxy, kind: str
) -> None:
    every = 1 if LONG else 6
    for number in range(PASSING.index(kind) % every, CALLS, every):
        storage, fired = proxied(), []

        def fault(call: int, *_: str, number: int = number, fired: list[int] = fired) -> Any:
            fired += [call] if call == number else []
            return kind if call == number else None

        proxy.fault = fault
        try:
            publish(storage, late=kind == "late")
        except MfsparkError as error:
            # The library does not repeat these for parts of a long file: a task does.
            assert kind in ("409", "412", "cut")
            assert "upload" in proxy.seen[number]
            assert_discreet(error)
            proxy.reset()
            assert storage.read("locks/pointer.lock") == b""
            assert not storage.exists("runs/r/t/part-2")
        assert fired == [number]


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["lost", "503", "late", "mixed"])
def test_one_of_eight_writers_wins_whatever_happens(
    proxied: Any, proxy: FaultyProxy, kind: str
) -> None:
    random_ = random.Random(5)
    storage = proxied()
    storage.put("CURRENT", b"none")
    fired = 0

    def fault(_: int, method: str, __: str) -> Any:
        nonlocal fired
        if random_.random() > (0.4 if method == "PUT" else 0.1):
            return None
        fired += 1
        return random_.choice(PASSING) if kind == "mixed" else kind

    for number in range(rounds(4, 20 if kind in SLOW else 100)):
        proxy.fault = lambda *_: None
        seen = storage.read_version("CURRENT")
        assert seen
        proxy.fault = fault
        winners: list[int] = []
        created: list[int] = []

        def write(
            writer: int,
            number: int = number,
            version: str = seen[1],
            winners: list[int] = winners,
            created: list[int] = created,
        ) -> None:
            if storage.create(f"runs/{number}", b"alike"):
                created.append(writer)
            if storage.replace("CURRENT", f"{number} {writer}".encode(), version):
                winners.append(writer)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        proxy.fault = lambda *_: None
        (winner,) = winners
        assert len(created) == 1
        assert storage.read("CURRENT") == f"{number} {winner}".encode()
    assert fired > 10


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", PASSING)
def test_a_store_that_stays_out_of_order_is_an_error_with_a_remedy(
    proxied: Any, proxy: FaultyProxy, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 0.3)
    bucket_of.cache_clear()
    every = 3 if LONG else 12
    for number in range(PASSING.index(kind) % every, CALLS, every):
        storage = proxied()

        def fault(call: int, *_: str, number: int = number) -> Any:
            return kind if call >= number else None

        proxy.fault = fault
        with pytest.raises((MfsparkError, AssertionError)) as told:
            publish(storage)
        if isinstance(told.value, MfsparkError):
            assert "run the same command again" in told.value.hint
            assert_discreet(told.value)


def test_a_file_that_is_replaced_while_it_is_read(
    object_storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "WHOLE_BYTES", 1000)
    monkeypatch.setattr("mfspark.storage.object_files.AT_LEAST_BYTES", 1000)
    storage = object_storage("moto")
    storage.put("a", b"1" * 3000)
    with storage.open("a") as file:
        assert file.read(1000) == b"1" * 1000
        storage.put("a", b"2" * 3000)
        with pytest.raises(MfsparkError, match="was replaced while it was read"):
            file.read(2000)


def test_a_stream_that_breaks_off_frees_its_parts(proxied: Any, object_server: Any) -> None:
    storage = proxied()

    def unfinished() -> int:
        address = f"http://127.0.0.1:{object_server('moto').port}/warehouses?uploads"
        with urlopen(address) as answer:
            return answer.read().count(b"<Upload>")

    def break_off() -> None:
        with storage.writing("a") as file:
            file.write(bytes(250_000))
            assert unfinished() == before + 1
            raise KeyError

    before = unfinished()
    with pytest.raises(KeyError):
        break_off()
    assert unfinished() == before


def test_a_stream_whose_end_was_not_answered_is_there(proxied: Any, proxy: FaultyProxy) -> None:
    """The parts are one object already when the library asks again, and finds no parts."""
    storage, fired = proxied(), []

    def lost(call: int, method: str, path: str) -> str | None:
        if method != "POST" or "uploadId" not in path:
            return None
        fired.append(call)
        return "lost" if len(fired) == 1 else "404"

    proxy.fault = lost
    with storage.writing("a") as file:
        file.write(bytes(250_000))
    assert len(fired) == 2
    assert [(file.key, file.bytes) for file in storage.files("")] == [("a", 250_000)]


def test_a_forked_process_is_told_instead_of_left_to_hang(object_storage: Any) -> None:
    storage = object_storage("moto")
    storage.put("a", b"x")
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest has one of its own
        signal.alarm(10)
        try:
            storage.read("a")
        except RuntimeError as error:
            os._exit(3 if "spawn it instead" in str(error) else 4)
        finally:
            os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_store_that_stops_deleting_at_what_is_not_there(
    object_storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google deletes one object after the other, and a missing one is an error."""
    storage, delete = object_storage("moto"), bucket.obstore.delete
    for key in ("d/1", "d/3", "d/5", "e"):
        storage.put(key, b"x")

    def one_by_one(store: Any, keys: list[str]) -> None:
        for key in keys:
            if storage.read(key) is None:
                raise FileNotFoundError(key)
            delete(store, [key])

    monkeypatch.setattr(bucket.obstore, "delete", one_by_one)
    storage.delete(["d/0", "d/1", "d/2", "d/3", "d/4"])
    storage.delete(["none"])
    assert [file.key for file in storage.files("")] == ["d/5", "e"]
