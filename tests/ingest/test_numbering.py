"""Ids get dense numbers in order, the same by this process and by Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from mfspark.errors import InputError
from mfspark.ingest import numbering
from mfspark.ingest.facts import RowFacts
from mfspark.ingest.ids import TypedIds
from mfspark.ingest.numbering import Numbered, Numbering
from mfspark.ingest.numbering_by_spark import number_by_spark
from mfspark.ingest.parts import IDS, Part, ReadRows
from mfspark.schemas import IdTypes, Side, table_schema
from mfspark.storage.posix import PosixStorage
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import write_rows

Number = Callable[..., Numbered]
SIDE: Side = "user"
TEXT = TypedIds("string")


@pytest.fixture(params=["here", "by spark"])
def number(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Number:
    """Return a function that numbers the ids of parts, each given with how often they occur."""
    storage = PosixStorage(str(tmp_path))

    def written(rows: pa.Table, place: str) -> str:
        return f"{place}/{write_rows(rows, storage, place).name}"

    def part(ids: dict[str, int]) -> Part:
        table = pa.table([list(ids), list(ids.values())], schema=IDS)
        key = written(table, "parts")
        return Part(0, 0, "", {"user": key, "item": key}, dict.fromkeys(("user", "item"), len(ids)))

    def run(
        parts: Sequence[dict[str, int]],
        typed: TypedIds = TEXT,
        base: dict[Any, int] | None = None,
        others: Sequence[Any] = (),
        merged: dict[Any, Any] | None = None,
        place: str = "ids",
        *,
        carried: bool = False,
    ) -> Numbered:
        rows = ReadRows(storage, tuple(map(part, parts)), TableFiles(storage, ()), RowFacts())
        known = None
        if base is not None:
            schema = table_schema("users", IdTypes(typed.kind, typed.kind))
            columns = {"user_id": list(base), "user_idx": list(base.values())}
            columns["n_ratings"] = [4] * len(base)
            table = pa.table({n: pa.array(c, schema.field(n).type) for n, c in columns.items()})
            known = TableFiles(storage, (written(table, "base"),))
        same = merged and pa.table(
            {
                "id": pa.array(list(merged), typed.arrow),
                "kept": pa.array(list(merged.values()), typed.arrow),
            }
        )
        extra = pa.array(list(others), typed.arrow)
        ids = Numbering(rows, SIDE, typed, place, extra, known, carried, same)
        return ids.here() if request.param == "here" else number_by_spark(spark, ids)

    return run


def numbers(found: Numbered) -> dict[Any, int]:
    table = found.ids.dataset().to_table()
    assert table.num_rows == found.n
    assert table["id"].to_pylist() == sorted(table["id"].to_pylist(), key=by_bytes), "in order"
    return dict(zip(*table.to_pydict().values(), strict=True))


def by_bytes(one: Any) -> Any:
    return one.encode() if isinstance(one, str) else one


def ones(ids: Sequence[str]) -> dict[str, int]:
    return dict.fromkeys(ids, 1)


def test_numbers_are_dense_sorted_and_stable(number: Number) -> None:
    names = [f"n{i:03}" for i in range(200)]
    first = numbers(number([ones(names[::-2]), ones(names[::3]), ones(names)], place="one"))
    assert first == {name: i for i, name in enumerate(names)}
    second = numbers(number([ones([*names[50:], "a"]), ones(["zz", "b"])], base=first, place="two"))
    assert second == {**first, "a": 200, "b": 201, "zz": 202}


def test_each_id_of_each_part_finds_its_place(number: Number) -> None:
    parts = [{"c": 3, "a": 1}, {"b": 5, "c": 2, "d": 1}]
    found = number(parts, base={"bb": 0}, others=["z", "a"])
    order = list(numbers(found))
    assert order == ["a", "b", "bb", "c", "d", "z"]
    for which, ids in enumerate(parts):
        places, variants = found.places(which)
        assert [order[place] for place in places] == list(ids)
        assert not variants.any()
    assert found.width == 1
    assert found.weights.tolist() == [1, 5, 0, 5, 1, 0]
    assert found.starts(2) == (0, 3)
    assert found.starts(12) == (0, 1, 3, 4)
    assert found.place_of_number().tolist() == [order.index(i) for i in by_number(found)]


def test_ratings_of_the_base_run_weigh_too(number: Number) -> None:
    found = number([{"c": 3, "a": 1}], base={"b": 1, "a": 0}, carried=True)
    assert found.weights.tolist() == [5, 4, 3]


def by_number(found: Numbered) -> list[str]:
    return sorted(numbers(found), key=numbers(found).__getitem__)


def test_no_new_ids(number: Number) -> None:
    assert numbers(number([ones(["a"])], base={"b": 0, "a": 1})) == {"a": 1, "b": 0}


def test_items_of_one_title_have_one_place(number: Number) -> None:
    found = number(
        [ones(["9", "30", "10"])], TypedIds("integer"), others=[10], merged={9: 10, 30: 10}
    )
    assert numbers(found) == {10: 0}
    places, variants = found.places(0)
    assert places.tolist() == [0, 0, 0]
    assert variants.tolist() == [1, 2, 0]


def test_what_is_written_in_two_ways_is_one(number: Number) -> None:
    found = number([ones(["7", "7.0", "8"])], TypedIds("integer", floats=True))
    assert numbers(found) == {7: 0, 8: 1}
    assert found.places(0)[0].tolist() == [0, 0, 1]


def test_text_is_sorted_by_its_bytes(number: Number) -> None:
    """As UTF-8: in UTF-16 the last letter would come before the one that precedes it."""
    letters = ["A", "a", "b", "\u00e9", "\u6f22", "\uff5e", "\U0001d4b3"]
    assert numbers(number([ones(letters[::-1])])) == {one: i for i, one in enumerate(letters)}


def test_integers_are_numbered_by_value(number: Number) -> None:
    assert numbers(number([ones(["10", "9", "100"])], TypedIds("integer"))) == {9: 0, 10: 1, 100: 2}


def test_rows_of_some_places_are_read(number: Number) -> None:
    found = number([ones([f"n{i:03}" for i in range(40)])])
    assert found.take(np.array([3, 17, 39]))["id"].to_pylist() == ["n003", "n017", "n039"]
    assert found.take(np.array([], int)).to_pydict() == {"id": [], "idx": []}


def test_more_ids_than_can_be_numbered(number: Number, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "MAX_INDEX", 2)
    with pytest.raises(InputError, match="3 different ids are more than the 2"):
        number([ones(["10", "9", "100"])])
