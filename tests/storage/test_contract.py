"""What every storage promises, tried on each of them."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mfspark.storage import bucket
from mfspark.storage.posix import PosixStorage
from mfspark.storage.protocol import HeldError, Storage
from tests.support.object_stores import KEYS
from tests.support.rounds import rounds

STORAGES = ["posix", "moto", "seaweedfs", "azurite"]
NOTE = json.dumps({"pid": 1, "host": "here"}).encode()
WRITERS = 8


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, object_storage: Any, tmp_path: Path) -> Storage:
    if request.param == "posix":
        return PosixStorage(str(tmp_path / "warehouse"))
    return object_storage(request.param)


def test_a_file_is_read_as_it_was_written(storage: Storage) -> None:
    assert storage.read("a/b") is None
    assert storage.read_version("a/b") is None
    for content in (b"one", b"", b"two"):
        storage.put("a/b", content)
        assert storage.read("a/b") == content
        assert (storage.read_version("a/b") or ())[0] == content


def test_a_file_is_created_once(storage: Storage) -> None:
    assert storage.create("a/b", b"one")
    assert not storage.create("a/b", b"two")
    assert not storage.create("a/b", b"one"), "not even with the same content"
    assert storage.read("a/b") == b"one"


def test_a_file_is_replaced_only_while_it_is_what_it_was(storage: Storage) -> None:
    storage.put("CURRENT", b"zero")
    gone = storage.read_version("CURRENT")
    assert gone
    storage.delete(["CURRENT"])
    assert not storage.replace("CURRENT", b"one", gone[1]), "there is none"
    assert storage.replace("CURRENT", b"one", None)
    assert not storage.replace("CURRENT", b"two", None)
    seen = storage.read_version("CURRENT")
    assert seen
    assert storage.replace("CURRENT", b"two", seen[1])
    assert not storage.replace("CURRENT", b"three", seen[1])
    assert storage.read("CURRENT") == b"two"


def test_names_and_files(storage: Storage) -> None:
    assert storage.names("runs") == storage.files("runs") == storage.files("") == []
    for key in ("runs/b/t/part-1", "runs/a", "runs/.hidden/x", "runs/b/.x", "runsmore/x", "top"):
        storage.put(key, key.encode())
    assert storage.names("runs") == ["a", "b"]
    assert storage.names("") == ["runs", "runsmore", "top"]
    assert storage.names("runs/b") == ["t"]
    found = storage.files("runs")
    assert [file.key for file in found] == [
        "runs/.hidden/x", "runs/a", "runs/b/.x", "runs/b/t/part-1",
    ]  # fmt: skip
    assert [file.bytes for file in found] == [len(file.key) for file in found]
    now = datetime.now(UTC)
    assert all(abs(file.modified - now) < timedelta(minutes=5) for file in found)


def test_what_exists(storage: Storage) -> None:
    assert not storage.exists()
    assert not storage.exists("a")
    storage.put("a/b", b"")
    assert storage.exists()
    assert storage.exists("a")
    assert storage.exists("a/b")
    assert not storage.exists("a/b2")
    assert not storage.exists("aa")


@pytest.mark.parametrize("length", [0, 1000, 3000], ids=["empty", "small", "by ranges"])
def test_a_file_is_opened_at_any_position(
    storage: Storage, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "WHOLE_BYTES", 2000)
    content = bytes(i % 251 for i in range(length))
    storage.put("a", content)
    with storage.open("a") as file:
        assert file.size() == length
        assert file.read() == content
        assert file.read() == b""
        for start in (0, length // 3, length):
            file.seek(start)
            assert file.read(7) == content[start : start + 7]
    with pytest.raises(FileNotFoundError):
        storage.open("b")


def test_parquet_by_row_groups(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "WHOLE_BYTES", 2000)
    table = pa.table({"n": range(10_000), "text": [f"row {i}" for i in range(10_000)]})
    with storage.writing("runs/t.parquet") as file:
        pq.write_table(table, file, row_group_size=1000)
    with storage.open("runs/t.parquet") as file, pq.ParquetFile(file) as parquet:
        assert parquet.num_row_groups == 10
        assert parquet.read_row_group(7).equals(table.slice(7000, 1000))
        assert parquet.read().equals(table)


@pytest.mark.parametrize("length", [10, 12 << 20], ids=["small", "in parts"])
def test_a_stream_appears_whole_when_it_has_ended(storage: Storage, length: int) -> None:
    piece = bytes(range(256)) * (length // 256 + 1)
    with storage.writing("a/b") as file:
        file.write(piece[: length // 2])
        file.write(memoryview(piece)[length // 2 : length])
        assert file.tell() == length
        assert storage.read("a/b") is None
        assert storage.names("a") == []
    assert storage.read("a/b") == piece[:length]
    with storage.writing("a/b", durable=False) as file:
        file.write(b"other")
    storage.sync(["a/b"])
    storage.flush("a")
    assert storage.read("a/b") == b"other"
    assert [file.key for file in storage.files("")] == ["a/b"]


@pytest.mark.parametrize("length", [10, 12 << 20], ids=["small", "in parts"])
def test_a_stream_that_breaks_off_leaves_nothing(storage: Storage, length: int) -> None:
    storage.put("a/b", b"before")

    def break_off() -> None:
        with storage.writing("a/b") as file:
            file.write(bytes(length))
            raise KeyError("broken off")

    with pytest.raises(KeyError):
        break_off()
    assert storage.read("a/b") == b"before"
    assert [file.key for file in storage.files("")] == ["a/b"]


def test_deleting_and_discarding(storage: Storage) -> None:
    for key in ("a/1", "a/2", "a/.x/3", "ab/1", "b"):
        storage.put(key, b"x")
    storage.delete([])
    storage.delete(["a/1", "a/none", "b"])
    assert [file.key for file in storage.files("")] == ["a/.x/3", "a/2", "ab/1"]
    storage.discard("a")
    storage.discard("nothing")
    assert [file.key for file in storage.files("")] == ["ab/1"]
    assert not storage.exists("a")


def test_deleting_in_many_requests(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_PAGE", 3)
    keys = [f"a/{number}" for number in range(10)]
    for key in (*keys, "b"):
        storage.put(key, b"x")
    storage.delete(["none", *keys[:5], "a/none"])
    assert [file.key for file in storage.files("")] == [*keys[5:], "b"]
    storage.delete(keys)
    storage.delete(keys)
    assert [file.key for file in storage.files("")] == ["b"]


def test_a_lock_held_alone_says_by_whom(storage: Storage) -> None:
    with storage.hold("warehouse", NOTE):
        held = json.loads(storage.read("locks/warehouse.lock") or b"")
        assert {"pid": 1, "host": "here"}.items() <= held.items()
        with storage.hold("other", NOTE):
            pass
        assert storage.names("locks") == ["other.lock", "warehouse.lock"]
    assert storage.read("locks/warehouse.lock") == b""
    with storage.hold("warehouse", NOTE), storage.hold("other", NOTE):
        pass


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfspark.storage.leases.Leases.beat_seconds", 0.2)


@pytest.mark.usefixtures("quick_beats")
@pytest.mark.parametrize("held", [False, True], ids=["alone", "shared"])
def test_a_lock_is_held_alone_or_shared(storage: Storage, held: bool) -> None:
    def free(*, shared: bool) -> bool:
        try:
            with storage.hold("warehouse", NOTE, shared=shared):
                return True
        except HeldError:
            return False

    with storage.hold("warehouse", NOTE, shared=held):
        assert free(shared=True) == held
        assert not free(shared=False)
        assert not free(shared=False), "who was refused left nothing"
        assert free(shared=True) == held
    assert free(shared=True)
    assert free(shared=False)


@pytest.mark.usefixtures("quick_beats")
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_waiting_for_a_lock(storage: Storage, shared: bool) -> None:
    order: list[str] = []

    def wait() -> None:
        with storage.hold("fit", NOTE, shared=shared, wait=True):
            order.append("second")

    with storage.hold("fit", NOTE):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.7)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.faults
def test_of_several_writers_one_wins(storage: Storage, request: pytest.FixtureRequest) -> None:
    """Rounds of eight writers: create and replace in turn, with contents of their own or alike."""

    def round_of(write: Callable[[int], bool]) -> list[int]:
        winners: list[int] = []
        together = threading.Barrier(WRITERS)

        def run(writer: int) -> None:
            together.wait()
            if write(writer):
                winners.append(writer)

        threads = [threading.Thread(target=run, args=(writer,)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return winners

    long = 20 if "seaweedfs" in request.node.name else 200
    for number in range(rounds(6, long)):
        seen = storage.read_version("CURRENT")
        version, alike = seen and seen[1], number % 3 == 0

        def content(writer: int, number: int = number, alike: bool = alike) -> bytes:
            return f"{number} {0 if alike else writer}".encode()

        def replace(
            writer: int, version: str | None = version, content: Callable[..., bytes] = content
        ) -> bool:
            return storage.replace("CURRENT", content(writer), version)

        (winner,) = round_of(replace)
        assert storage.read("CURRENT") == content(winner)
        key = f"runs/{number}"
        (winner,) = round_of(lambda w, key=key, content=content: storage.create(key, content(w)))
        assert storage.read(key) == content(winner)


def test_a_storage_is_checked_and_shows_where_it_is(storage: Storage) -> None:
    storage.check()
    assert storage.files("") == []
    assert storage.show("a/b") == f"{storage.root}/a/b"
    local = storage.local("a/b")
    assert (local is None) != storage.moves
    assert local is None or str(local) == storage.show("a/b")


def test_a_storage_travels_without_secrets(storage: Storage) -> None:
    storage.put("a", b"x")
    pickled = pickle.dumps(storage)
    assert len(pickled) < 300
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in pickled
    assert pickle.loads(pickled) == storage
    assert pickle.loads(pickled).read("a") == b"x"


@pytest.mark.parametrize("name", ["a b", "a%20b", "ä+ö", "day=2026-11-22", "a#b", "~a!(b)'c"])
def test_names_that_need_quoting(storage: Storage, name: str) -> None:
    storage.put(f"d/{name}", b"x")
    assert storage.names("d") == [name]
    assert [file.key for file in storage.files("d")] == [f"d/{name}"]
    assert storage.read(f"d/{name}") == b"x"
    storage.discard("d")
    assert storage.files("") == []


KEYS_OF_MODEL = ["a", "b/c", "b/d/e", "b/d/.f", ".g/h", "bb/c"]
steps = st.one_of(
    st.tuples(
        st.sampled_from(["put", "create", "replace", "late", "stream"]),
        st.sampled_from(KEYS_OF_MODEL),
        st.binary(max_size=5),
    ),
    st.tuples(st.just("delete"), st.sampled_from(KEYS_OF_MODEL), st.just(b"")),
    st.tuples(st.just("discard"), st.sampled_from(["b", "b/d", ".g", "none"]), st.just(b"")),
)


@pytest.mark.parametrize("storage", ["posix", "moto"], indirect=True)
@hypothesis_settings(
    max_examples=rounds(25, 500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(steps, max_size=12))
def test_a_storage_is_a_dictionary(storage: Storage, steps: list[tuple[str, str, bytes]]) -> None:
    storage.delete(file.key for file in storage.files(""))
    model: dict[str, bytes] = {}
    for step, key, content in steps:
        seen = storage.read_version(key) if step in ("replace", "late") else None
        if step == "put":
            storage.put(key, content)
        elif step == "create":
            assert storage.create(key, content) == (key not in model)
            content = model.get(key, content)
        elif step == "replace":
            assert storage.replace(key, content, seen and seen[1])
        elif step == "late":  # somebody else was there meanwhile
            storage.put(key, content + b"!")
            assert not storage.replace(key, content, seen and seen[1]) or (
                seen and seen[0] == content + b"!"
            )
            content = storage.read(key) or b""
        elif step == "stream":
            with storage.writing(key) as file:
                file.write(content)
        elif step == "delete":
            storage.delete([key])
        else:
            storage.discard(key)
        if step in ("delete", "discard"):
            gone = [name for name in model if name == key or name.startswith(f"{key}/")]
            model = {name: value for name, value in model.items() if name not in gone}
        else:
            model[key] = content
        assert {file.key: file.bytes for file in storage.files("")} == {
            name: len(value) for name, value in model.items()
        }
    for key in KEYS_OF_MODEL:
        assert storage.read(key) == model.get(key)
    for directory in ("", "b", "b/d"):
        start = f"{directory}/" if directory else ""
        below = {key[len(start) :].split("/")[0] for key in model if key.startswith(start)}
        shown = {name for name in below if not name.startswith(".")}
        empty = set(storage.names(directory)) - shown  # directories that stay where they are made
        assert shown <= set(storage.names(directory))
        assert all(storage.files(f"{start}{name}") == [] for name in empty)
        assert not empty or storage.moves
