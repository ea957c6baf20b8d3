"""One suite for both stores; `durable` is what another process would find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfspark.grid.block_store import BlockStore, MemoryStore, ParquetStore
from mfspark.storage.posix import PosixStorage


@dataclass(frozen=True)
class Case:
    store: BlockStore
    durable: BlockStore


@pytest.fixture(params=["memory", "parquet"])
def case(request: Any, tmp_path: Path) -> Case:
    durable = ParquetStore(PosixStorage(str(tmp_path)), "blocks")
    store = MemoryStore(behind=durable) if request.param == "memory" else durable
    return Case(store, ParquetStore(PosixStorage(str(tmp_path)), "blocks"))


def one(value: float) -> dict[str, np.ndarray]:
    return {"x": np.array([value]), "n": np.asarray(value)}


def value(store: BlockStore, reference: str, key: int = 0) -> float:
    arrays = store.get(reference, key)
    assert arrays["x"].tolist() == [float(arrays["n"])]
    return float(arrays["n"])


def missing(store: BlockStore, reference: str) -> bool:
    try:
        store.get(reference)
    except (KeyError, FileNotFoundError):
        return True
    return False


def test_put_and_get(case: Case) -> None:
    case.store.put("als/0001/user/0003", one(1))
    case.store.put("als/0001/item/0003", one(2))
    assert value(case.store, "als/0001/user/0003") == 1
    assert value(case.store, "als/0001/item/0003") == 2
    assert missing(case.store, "als/0001/user/0004")


def test_groups_of_a_strip(case: Case) -> None:
    case.store.put("strip", one(5), one(6), one(7))
    assert [value(case.store, "strip", key) for key in (2, 0, 1)] == [7, 5, 6]


def test_put_replaces_all_groups(case: Case) -> None:
    case.store.put("strip", one(5), one(6))
    case.store.save(["strip"])
    case.store.put("strip", one(9))
    assert value(case.store, "strip") == 9
    with pytest.raises((IndexError, ValueError)):
        case.store.get("strip", 1)


def test_saved_blocks_outlive_the_process(case: Case) -> None:
    case.store.put("a", one(1), one(2))
    case.store.save(["a"])
    assert value(case.durable, "a", 1) == 2


def test_what_was_written_before_is_found(case: Case) -> None:
    case.durable.put("earlier", one(1), one(2))
    assert [value(case.store, "earlier", key) for key in (1, 0)] == [2, 1]
    case.store.save(["earlier"])
    assert value(case.durable, "earlier") == 1


def test_discarded_blocks_are_gone_everywhere(case: Case, tmp_path: Path) -> None:
    for name in ("saved", "kept", "unsaved"):
        case.store.put(name, one(1))
    case.store.save(["saved", "kept"])
    case.durable.put("earlier", one(1))
    assert value(case.store, "earlier") == 1
    case.store.discard(name for name in ("saved", "unsaved", "earlier", "never there"))
    assert all(missing(case.store, name) for name in ("saved", "unsaved", "earlier"))
    assert value(case.store, "kept") == 1
    assert [p.name for p in (tmp_path / "blocks").iterdir()] == ["kept.parquet"]


def test_memory_alone() -> None:
    store = MemoryStore()
    store.put("a", one(1))
    store.discard(["a", "b"])
    assert missing(store, "a")
    with pytest.raises(KeyError):
        store.get("b")


def test_memory_reads_a_block_once(tmp_path: Path) -> None:
    durable = ParquetStore(PosixStorage(str(tmp_path)), "blocks")
    durable.put("tiles", one(1))
    store = MemoryStore(behind=durable)
    assert value(store, "tiles") == 1
    durable.discard(["tiles"])
    assert value(store, "tiles") == 1
