from __future__ import annotations

import pyarrow as pa
import pytest

from mfspark.errors import InputError
from mfspark.ingest.ids import TypedIds, decide_type
from mfspark.schemas import IdTypes


def test_point_zero_goes_where_ids_are_floats():
    ids = pa.array(["7.0", "0.000", "07.0", "7.5", "x.0", "7"])
    assert TypedIds("string", floats=True).of(ids).to_pylist() == [
        "7",
        "0",
        "07.0",
        "7.5",
        "x.0",
        "7",
    ]
    assert TypedIds("string").of(ids).equals(ids)
    assert TypedIds("integer", floats=True).of(pa.array(["7.0", "10"])).to_pylist() == [7, 10]


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
