from __future__ import annotations

import pytest

from mfspark.errors import InputError
from mfspark.ingest import ids as ids_module
from mfspark.ingest.ids import decide_type, id_types, number_ids
from mfspark.schemas import IdTypes


def test_types_are_found_on_each_side_alone(spark):
    frame = spark.createDataFrame(
        [("1", "7"), ("0", "007"), ("9223372036854775807", "8")], "user_id string, item_id string"
    )
    assert id_types(frame, "auto") == IdTypes("integer", "string")
    assert id_types(frame, "string") == IdTypes("string", "string")
    too_large = spark.createDataFrame(
        [("9223372036854775808", "-1")], "user_id string, item_id string"
    )
    assert id_types(too_large, "auto") == IdTypes("string", "string")


@pytest.mark.parametrize(
    ("plain", "option", "before", "found"),
    [
        (True, "auto", None, "integer"),
        (False, "auto", None, "string"),
        (True, "auto", "string", "string"),
        (True, "auto", "integer", "integer"),
        (True, "integer", None, "integer"),
        (True, "string", None, "string"),
    ],
)
def test_type_chosen(plain, option, before, found):
    previous = IdTypes(before, before) if before else None
    assert decide_type("user", plain, option, previous) == found


@pytest.mark.parametrize(
    ("plain", "option", "before", "message"),
    [
        (
            False,
            "auto",
            "integer",
            'were integers the night before.*\n.*new warehouse with ids.type = "string"',
        ),
        (True, "string", "integer", "were integers the night before"),
        (False, "integer", None, "some user ids are not plain integers"),
        (True, "integer", "string", "holds user ids as strings"),
    ],
)
def test_type_refused(plain, option, before, message):
    with pytest.raises(InputError, match=message):
        decide_type("user", plain, option, IdTypes(before, before) if before else None)


@pytest.mark.parametrize("partitions", [1, 5])
def test_numbers_are_dense_sorted_and_stable(spark, tmp_path, partitions):
    def numbered(values, previous, name):
        frame = spark.createDataFrame([(v,) for v in values], "id string").repartition(partitions)
        result = number_ids(frame, previous, str(tmp_path / name))
        return {row.id: row.idx for row in result.collect()}, result

    spark.conf.set("spark.sql.adaptive.enabled", "false")  # keeps several files a sorted write
    try:
        names = [f"n{i:03}" for i in range(200)]
        first, frame = numbered(reversed(names), None, "one")
        assert first == {name: i for i, name in enumerate(names)}
        second, frame = numbered([*names[50:], "a", "zz", "b"], frame, "two")
        assert second == {**first, "a": 200, "b": 201, "zz": 202}
        third, _ = numbered(names[:3], frame, "three")
        assert third == second
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", "true")


def test_integers_are_numbered_by_value(spark, tmp_path):
    frame = spark.createDataFrame([(10,), (9,), (100,)], "id long")
    rows = number_ids(frame, None, str(tmp_path / "ids")).collect()
    assert {row.id: row.idx for row in rows} == {9: 0, 10: 1, 100: 2}


def test_more_ids_than_can_be_numbered(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(ids_module, "MAX_INDEX", 2)
    frame = spark.createDataFrame([(10,), (9,), (100,)], "id long")
    with pytest.raises(InputError, match="3 different ids are more than the 2"):
        number_ids(frame, None, str(tmp_path / "ids"))
