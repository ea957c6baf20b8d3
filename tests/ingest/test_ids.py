from __future__ import annotations

import pytest

from mfspark.errors import InputError
from mfspark.ingest import ids as ids_module
from mfspark.ingest.ids import decide_type, is_plain_integer, number_ids
from mfspark.schemas import IdTypes
from mfspark.storage.posix import PosixStorage
from mfspark.tables import task_files
from mfspark.tables.frame_scratch import FrameScratch


def scratch_of(tmp_path):
    return FrameScratch(PosixStorage(str(tmp_path)), "scratch")


def test_plain_integers_are_what_is_the_same_after_a_round_trip(spark):
    values = ["1", "0", "9223372036854775807", "007", "9223372036854775808", "-1", "+1", "1.0", ""]
    frame = spark.createDataFrame([(value,) for value in values], "id string")
    plain = [row.plain for row in frame.select(is_plain_integer("id").alias("plain")).collect()]
    assert plain == [True, True, True, *[False] * 6]


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
    base = IdTypes(before, before) if before else None
    assert decide_type("user", plain, option, base) == found


@pytest.mark.parametrize(
    ("plain", "option", "before", "message"),
    [
        (
            False,
            "auto",
            "integer",
            'were integers in the base run.*\n.*new warehouse with ids.type = "string"',
        ),
        (True, "string", "integer", "were integers in the base run"),
        (False, "integer", None, "some user ids are not plain integers"),
        (True, "integer", "string", "holds user ids as strings"),
    ],
)
def test_type_refused(plain, option, before, message):
    with pytest.raises(InputError, match=message):
        decide_type("user", plain, option, IdTypes(before, before) if before else None)


@pytest.fixture(params=["driver", "files", "spark"])
def way(request, monkeypatch):
    """Sorted by the driver, of rows that tasks hand over or write to files, or by Spark."""
    if request.param == "spark":
        monkeypatch.setattr(task_files, "DRIVER_ROWS", -1)
    if request.param == "files":
        monkeypatch.setattr(task_files, "FEW_BYTES", -1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("partitions", [1, 5])
def test_numbers_are_dense_sorted_and_stable(spark, tmp_path, partitions):
    def numbered(values, base, name):
        frame = spark.createDataFrame([(v,) for v in values], "id string").repartition(partitions)
        result = number_ids(frame, base, scratch_of(tmp_path), name)[0]
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


@pytest.mark.usefixtures("way")
def test_text_is_sorted_by_its_bytes(spark, tmp_path):
    """As UTF-8: in UTF-16 the last letter would come before the one that precedes it."""
    letters = ["A", "a", "b", "\u00e9", "\u6f22", "\uff5e", "\U0001d4b3"]
    frame = spark.createDataFrame([(letter,) for letter in reversed(letters)], "id string")
    rows = number_ids(frame, None, scratch_of(tmp_path), "ids")[0].collect()
    assert {row.id: row.idx for row in rows} == {letter: i for i, letter in enumerate(letters)}


@pytest.mark.usefixtures("way")
def test_no_new_ids(spark, tmp_path):
    base = spark.createDataFrame([("a", 0), ("b", 1)], "id string, idx int")
    numbered, n = number_ids(base.select("id"), base, scratch_of(tmp_path), "ids")
    assert n == 2
    assert sorted(map(tuple, numbered.collect())) == [("a", 0), ("b", 1)]


def test_integers_are_numbered_by_value(spark, tmp_path):
    frame = spark.createDataFrame([(10,), (9,), (100,)], "id long")
    rows = number_ids(frame, None, scratch_of(tmp_path), "ids")[0].collect()
    assert {row.id: row.idx for row in rows} == {9: 0, 10: 1, 100: 2}


def test_more_ids_than_can_be_numbered(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(ids_module, "MAX_INDEX", 2)
    frame = spark.createDataFrame([(10,), (9,), (100,)], "id long")
    with pytest.raises(InputError, match="3 different ids are more than the 2"):
        number_ids(frame, None, scratch_of(tmp_path), "ids")
