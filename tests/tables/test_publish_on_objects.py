"""Publishing on an object store, whole: every request fails once, or is the last before a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from mfspark.storage import object_client
from mfspark.storage.object_store import ObjectStorage
from mfspark.tables.publish import damages, publish, unlisted
from mfspark.tables.warehouse import Warehouse
from tests.support import made_nights as made
from tests.support.faulty_proxy import PASSING, FaultyProxy
from tests.support.processes import command_of, wait_until
from tests.support.rounds import LONG

pytestmark = pytest.mark.faults

OLD, NEW = 1.0, 2.0
EXPORT = {"publish": {"single_file": True}}
EVERY = 1 if LONG else 12
"""Of the requests of publishing, one in so many is tried with each fault."""

spawning = multiprocessing.get_context("forkserver")
spawning.set_forkserver_preload(["tests.support.made_nights"])


def prepared(storage: ObjectStorage) -> None:
    """Publish OLD, and write the tables of NEW."""
    made.publish_marked(storage, OLD, **EXPORT)
    made.ready(storage, NEW, **EXPORT)


def publish_new(place: ObjectStorage | str) -> None:
    """Go on with NEW, all of whose tables are written."""
    night = made.begin(place, NEW, **EXPORT)
    publish(night, made.IDS, [{"model": "als", "rmse": NEW}], [])


def requests(proxied: Callable[[], ObjectStorage], proxy: FaultyProxy) -> list[str]:
    """Return the requests of publishing, each as its method and path, in order."""
    storage = proxied()
    prepared(storage)
    proxy.reset()
    publish_new(storage)
    return proxy.seen


def assert_whole(storage: ObjectStorage) -> None:
    """NEW is what readers see, undamaged, and nothing else is left of its night."""
    warehouse = Warehouse(storage)
    assert made.seen(storage) == NEW
    assert len(warehouse.run_ids()) == 2
    for run_id in warehouse.run_ids():
        assert list(damages(warehouse, run_id)) == []
        assert unlisted(warehouse, warehouse.manifest(run_id)) == []
    assert storage.files("scratch") == []
    assert [file.key for file in storage.files("exports")] == ["exports/serving.parquet"]


@pytest.mark.parametrize("kind", PASSING)
def test_publishing_survives_a_fault_at_any_request(
    proxied: Callable[[], ObjectStorage],
    proxy: FaultyProxy,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind in ("slow", "late"):
        monkeypatch.setattr(object_client, "READ_TIMEOUT_SECONDS", 0.5)
    n_requests = len(requests(proxied, proxy))
    assert n_requests > 20
    for number in range(PASSING.index(kind) % EVERY, n_requests, EVERY):
        storage, fired = proxied(), []
        prepared(storage)

        def fault(call: int, *_: str, number: int = number, fired: list[int] = fired) -> Any:
            fired += [call] if call == number else []
            return kind if call == number else None

        proxy.reset()
        proxy.fault = fault
        publish_new(storage)
        assert fired == [number]
        proxy.reset()
        assert_whole(storage)


def die(root: str, environment: dict[str, str]) -> None:
    """Publish in a process that is killed meanwhile."""
    os.environ.update(environment)
    publish_new(root)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request_readers_are_whole_and_a_rerun_publishes(
    proxied: Callable[[], ObjectStorage],
    proxy: FaultyProxy,
    done: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed as a request is sent, and either it comes to nothing, or the store does it."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    environment = {name: os.environ[name] for name in names}
    environment["AWS_ENDPOINT_URL"] = proxy.address
    for number in range(0, len(requests(proxied, proxy)), EVERY):
        storage = proxied()
        prepared(storage)
        child = spawning.Process(target=die, args=(storage.root, environment))

        def fault(call: int, *_: str, at: int = number, child: Any = child) -> str | None:
            if call != at:
                return None
            os.kill(child.pid, signal.SIGKILL)
            wait_until(lambda: not command_of(child.pid), 10, "the end of a killed process")
            return "lost" if done else "reset"

        proxy.reset()
        proxy.fault = fault
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, f"the kill at request {number} did not happen"
        proxy.reset()
        assert made.seen(storage) in (OLD, NEW)
        with monkeypatch.context() as patched:  # what the dead one held is soon free
            patched.setattr("mfspark.storage.leases.Leases.beat_seconds", 0.02)
            made.publish_marked(storage, NEW, **EXPORT)
        assert_whole(storage)
