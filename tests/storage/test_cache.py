"""Copies of objects on a machine's own disk."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from mfspark.errors import ConfigError, MfsparkError
from mfspark.storage import bucket
from mfspark.storage.cache import MachineCache
from mfspark.storage.object_store import ObjectStorage
from mfspark.storage.posix import PosixStorage
from mfspark.storage.traffic import tally_of

spawning = multiprocessing.get_context("spawn")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of copies; the other one that Spark has is not used."""
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},/nowhere")
    return tmp_path / f"mfspark-cache-{os.getuid()}"


def copies(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if not path.name.startswith("lock-"))


def read(cache: MachineCache, storage: Any, key: str) -> bytes:
    with cache.open(storage, key) as file:
        return file.read()


def test_a_file_is_fetched_once(object_storage: Any, place: Path) -> None:
    storage, cache = object_storage("moto"), MachineCache("night", 1000)
    storage.put("a", b"x" * 300)
    storage.put("empty", b"")
    assert read(cache, storage, "a") == b"x" * 300
    tally_of(storage.root).take()
    for _ in range(3):
        assert read(MachineCache("night", 1000), storage, "a") == b"x" * 300
    assert not tally_of(storage.root).seen().requests
    assert read(cache, storage, "empty") == read(cache, storage, "empty") == b""
    assert len(copies(place)) == 2
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    with pytest.raises(FileNotFoundError):
        cache.open(storage, "b")


def test_another_night_or_storage_has_copies_of_its_own(object_storage: Any, place: Path) -> None:
    one, other = object_storage("moto"), object_storage("moto")
    one.put("a", b"1")
    other.put("a", b"2")
    assert read(MachineCache("night", 1000), one, "a") == b"1"
    assert read(MachineCache("night", 1000), other, "a") == b"2"
    one.put("a", b"3")
    assert read(MachineCache("night", 1000), one, "a") == b"1"
    assert read(MachineCache("next", 1000), one, "a") == b"3"
    assert len(copies(place)) == 3


def test_the_least_recently_used_go(object_storage: Any, place: Path) -> None:
    storage, cache = object_storage("moto"), MachineCache("night", 1000)
    for name in "abcd":
        storage.put(name, name.encode() * 300)
    for name in "abc":
        read(cache, storage, name)
    with cache.open(storage, "b") as mapped:
        read(cache, storage, "a")
        read(cache, storage, "d")  # instead of c
        assert sum(path.stat().st_size for path in copies(place)) == 900
        tally_of(storage.root).take()
        for name in "abd":
            assert read(cache, storage, name) == name.encode() * 300
        assert not tally_of(storage.root).seen().requests
        read(cache, storage, "c")
        read(cache, storage, "a")
        read(cache, storage, "d")
        assert tally_of(storage.root).seen().requests
        assert mapped.read() == b"b" * 300, "whoever has mapped a copy keeps it"


def test_what_is_too_large_is_read_where_it_is(object_storage: Any, place: Path) -> None:
    storage = object_storage("moto")
    storage.put("a", b"x" * 300)
    assert read(MachineCache("night", 299), storage, "a") == b"x" * 300
    assert copies(place) == []


def test_a_full_disk_is_no_error(
    object_storage: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = object_storage("moto")
    storage.put("a", b"x" * 300)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert read(MachineCache("night", 1000), storage, "a") == b"x" * 300
    assert copies(place) == []


def test_a_copy_that_breaks_off_counts_for_nothing(
    object_storage: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, cache = object_storage("moto"), MachineCache("night", 1000)
    storage.put("a", b"x" * 300)
    with monkeypatch.context() as broken:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        broken.setattr(os, "replace", killed)
        broken.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            cache.open(storage, "a")
    assert [path.suffix for path in copies(place)] == [".tmp"]
    assert read(cache, storage, "a") == b"x" * 300
    assert [path.suffix for path in copies(place)] == [""]


def test_what_is_written_is_kept(object_storage: Any, place: Path) -> None:
    storage, cache = object_storage("moto"), MachineCache("night", 1000)
    for content in (b"old", b"x" * 300):
        with cache.writing(storage, "a") as file:
            file.write(content)
    tally_of(storage.root).take()
    assert read(cache, storage, "a") == b"x" * 300
    assert not tally_of(storage.root).seen().requests
    assert storage.read("a") == b"x" * 300
    with cache.writing(storage, "a") as file:
        file.write(b"y" * 2000)  # too large to be kept: nor is the older one
    assert copies(place) == []
    assert read(cache, storage, "a") == b"y" * 2000


def test_what_was_not_written_is_not_kept(
    object_storage: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, cache = object_storage("moto"), MachineCache("night", 1000)

    def fail(*_: object) -> None:
        raise MfsparkError("the store is away", "")

    monkeypatch.setattr(ObjectStorage, "put", fail)
    with pytest.raises(MfsparkError), cache.writing(storage, "a") as file:
        file.write(b"x")
    assert not place.exists()
    with pytest.raises(FileNotFoundError):
        cache.open(storage, "a")


def test_a_local_file_is_not_copied(tmp_path: Path, place: Path) -> None:
    storage = PosixStorage(str(tmp_path / "warehouse"))
    storage.put("a", b"x")
    assert read(MachineCache("night", 1000), storage, "a") == b"x"
    assert not place.exists()


def test_a_directory_of_others_is_refused(object_storage: Any, place: Path) -> None:
    storage = object_storage("moto")
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    with pytest.raises(ConfigError, match="this user alone"):
        MachineCache("night", 1000).open(storage, "a")


def fetch(root: str) -> None:
    storage, cache = ObjectStorage(root), MachineCache("night", 2500)
    for number in [0, 1, 2, 0, 1, 2, 3, 4, 3, 4]:
        assert read(cache, storage, f"{number}") == f"{number}".encode() * 800


@pytest.mark.usefixtures("place")
def test_several_processes_fetch_a_file_once(object_storage: Any, place: Path) -> None:
    storage = object_storage("moto")
    for number in range(5):
        storage.put(f"{number}", f"{number}".encode() * 800)
    processes = [spawning.Process(target=fetch, args=(storage.root,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert sum(path.stat().st_size for path in copies(place)) <= 2500
    assert 5 <= tally_of(storage.root).take().gets < 4 * 5


def test_a_long_file_is_fetched_in_pieces(
    object_storage: Any, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setattr(bucket, "WHOLE_BYTES", 1000)
    monkeypatch.setattr("mfspark.storage.object_files.AT_LEAST_BYTES", 700)
    monkeypatch.setattr("mfspark.storage.cache._PIECE_BYTES", 500)
    storage, content = object_storage("moto"), bytes(i % 251 for i in range(10_001))
    storage.put("a", content)
    assert read(MachineCache("night", 20_000), storage, "a") == content
    assert [path.stat().st_size for path in copies(place)] == [10_001]
