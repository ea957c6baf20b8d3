"""Commands on a warehouse in an object store, and what goes wrong there: told, with a status."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from mfspark.storage import bucket
from mfspark.storage.bucket import bucket_of
from mfspark.storage.object_store import ObjectStorage
from mfspark.tables.publish import damages
from mfspark.tables.retention import collect
from mfspark.tables.warehouse import Warehouse
from tests.cli.conftest import Command
from tests.support import made_run as made
from tests.support.faulty_proxy import FaultyProxy
from tests.support.object_stores import LOGINS, free_port

USAGE, INTERNAL = 2, 70
READING: list[tuple[str, ...]] = [
    ("status",), ("runs",), ("path", "top_n"), ("path", "top_n", "--files"), ("show", "1"),
    ("neighbors", "1"), ("predict", "1", "i1"), ("verify", "--all"), ("status", "--max-age", "1h"),
]  # fmt: skip
WRITING: list[tuple[str, ...]] = [("gc", "--keep", "1"), ("rollback",), ("run",), ("doctor",)]


@pytest.fixture
def warehouse(object_storage: Any) -> ObjectStorage:
    """A published run on SeaweedFS."""
    storage = object_storage("seaweedfs")
    made.publish_run(storage.root)
    return storage


def log_in(monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    key, secret, _ = LOGINS[who]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    bucket_of.cache_clear()


def everything(storage: ObjectStorage) -> dict[str, bytes | None]:
    """The content of all objects but those of locks."""
    keys = (file.key for file in storage.files(""))
    return {key: storage.read(key) for key in keys if not key.startswith("locks/")}


def asked(storage: ObjectStorage, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command with all that it needs."""
    run = Warehouse(storage).current() or ""
    return (*command, *([run] if command[0] == "rollback" else []), "-w", storage.root)


def told(result: Any, *said: str, status: int = USAGE) -> None:
    """The command ended with a status, and said why on one screen, without a secret."""
    shown = result.stderr + result.stdout
    assert result.exit_code == status, shown
    for words in said:
        assert words in " ".join(shown.split())
    assert "Traceback" not in shown
    assert "internal error" not in shown
    assert not any(secret in shown for _, secret, _ in LOGINS.values())


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_who_may_read_and_list_can_ask_everything(
    mfspark: Command,
    warehouse: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    words = asked(warehouse, command)
    log_in(monkeypatch, "reader")
    result = mfspark(*words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout
    if command[0] == "path":
        assert all(line.startswith(warehouse.root) for line in result.stdout.split())


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_who_may_only_read_changes_nothing_and_is_told(
    mfspark: Command,
    warehouse: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    words, before = asked(warehouse, command), everything(warehouse)
    log_in(monkeypatch, "reader")
    told(mfspark(*words), f"cannot write {warehouse.root}/", "do not permit it")
    log_in(monkeypatch, "everything")
    assert everything(warehouse) == before


@pytest.mark.parametrize(
    ("who", "command", "said"),
    [
        ("no reading", ("status",), "cannot read"),
        ("no reading", ("run",), "cannot read"),
        ("no listing", ("run",), "cannot list"),
        ("no listing", ("runs",), "cannot list"),
        ("no listing", ("doctor",), "cannot list"),
    ],
)
def test_a_permission_that_lacks_is_named(
    mfspark: Command,
    warehouse: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
    command: tuple[str, ...],
    said: str,
) -> None:
    before = everything(warehouse)
    log_in(monkeypatch, who)
    told(mfspark(*command, "-w", warehouse.root), said, "do not permit it")
    log_in(monkeypatch, "everything")
    assert everything(warehouse) == before


@pytest.mark.parametrize("command", ["run", "status", "show 1", "gc", "doctor"])
def test_a_bucket_that_is_not_there(mfspark: Command, object_storage: Any, command: str) -> None:
    object_storage("seaweedfs")
    told(mfspark(*command.split(), "-w", "s3://no-such-bucket/w"), "there is no such bucket")


@pytest.mark.parametrize("command", ["run", "status", "gc"])
def test_a_url_as_hadoop_spells_it(mfspark: Command, command: str) -> None:
    told(mfspark(command, "-w", "s3a://bucket/w"), "write s3://bucket/w")


@pytest.mark.parametrize("command", ["run", "status", "doctor"])
def test_an_endpoint_that_nobody_answers(
    mfspark: Command, object_storage: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("mfspark.storage.object_store._CHECK_SECONDS", 0.3)
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 0.3)
    port = free_port()
    root = object_storage("moto", AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}").root
    status = INTERNAL if command == "status" else USAGE  # what is there may be well
    said = (f"AWS_ENDPOINT_URL names 127.0.0.1:{port}", "does not answer")
    told(mfspark(command, "-w", root), *said, status=status)


@pytest.mark.parametrize("address", ["", "127.0.0.1:9", "HOST", "ftp://h", "http://", "http://h:x"])
@pytest.mark.parametrize("command", ["run", "status"])
def test_an_endpoint_that_is_no_url(
    mfspark: Command, object_storage: Any, address: str, command: str
) -> None:
    root = object_storage("moto", AWS_ENDPOINT_URL=address).root
    told(mfspark(command, "-w", root), "AWS_ENDPOINT_URL in the environment is not the URL")


def test_a_user_hears_that_a_store_is_waited_for(
    object_storage: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(bucket, "_TELL_AFTER_SECONDS", 0.1)
    storage = object_storage("moto", AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Exception, match="does not answer"):
        storage.read("a")
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"cannot read {storage.root}/a: the store does not answer" in line
    assert "trying again" in line


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("skewed", USAGE, "the clock of this machine is not that of the store"),
        ("expired", INTERNAL, "the credentials have expired"),
        ("301", USAGE, "another region"),
        ("malformed", USAGE, "another region"),
    ],
)
@pytest.mark.parametrize("command", ["run", "status", "gc"])
def test_what_a_store_refuses(
    mfspark: Command,
    proxied: Any,
    proxy: FaultyProxy,
    command: str,
    fault: str,
    status: int,
    said: str,
) -> None:
    storage = proxied()
    made.publish_run(storage.root)
    before = everything(storage)
    proxy.fault = lambda *_: fault
    told(mfspark(command, "-w", storage.root), said, status=status)
    proxy.reset()
    assert everything(storage) == before


def test_a_prefix_that_holds_other_things_keeps_them(mfspark: Command, object_storage: Any) -> None:
    storage = object_storage("seaweedfs")
    others = (
        "notes.txt",
        "runs/other/part-1",
        "runs/a b",
        "scratch/mine/x",
        "scratch/y",
        "b/CURRENT",
    )
    for key in others:
        storage.put(key, key.encode())
    first = made.publish_run(storage.root)
    made.publish_run(storage.root, date(2026, 11, 23))
    for command in ("status", "runs", "verify --all", "gc --keep 1 --grace 0m"):
        result = mfspark(*command.split(), "-w", storage.root)
        assert result.exit_code == 0, result.stderr
    assert f"removed {first}" in result.stdout
    assert {key: storage.read(key) for key in others} == {key: key.encode() for key in others}


def test_a_current_that_is_not_ours_is_told_and_kept(mfspark: Command, object_storage: Any) -> None:
    storage = object_storage("seaweedfs")
    storage.put("CURRENT", b"version 7")
    for command in ("status", "run", "gc"):
        told(mfspark(command, "-w", storage.root), "is damaged: b'version 7'", status=INTERNAL)
    assert storage.read("CURRENT") == b"version 7"


def test_two_warehouses_do_not_touch_each_other(object_storage: Any) -> None:
    """Beside one another with names that begin alike, and one inside the other."""
    outer = object_storage("seaweedfs")
    roots = [outer.root, f"{outer.root}2", f"{outer.root}/runs", f"{outer.root}/scratch/x"]
    first = {root: made.publish_run(root, mark=number) for number, root in enumerate(roots)}
    second: dict[str, str] = {}
    for root in roots:
        second[root] = made.publish_run(root, date(2026, 11, 23))
        removed = collect(Warehouse(root), keep=1, grace=timedelta(0))
        assert (removed.runs, removed.scratch) == ([first[root]], [])
        for other in roots:
            seen = Warehouse(other)
            assert seen.current() == second.get(other, first[other])
            assert list(damages(seen, seen.resolve())) == []
