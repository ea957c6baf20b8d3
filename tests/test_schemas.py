from __future__ import annotations

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StringType

from mfspark.errors import NotFoundError, SchemaError
from mfspark.schemas import (
    SORTED_BY,
    IdTypes,
    check_schema,
    spark_schema,
    table_names,
    table_schema,
)

MIXED = IdTypes(user="integer", item="string")


def test_ids_take_the_type_of_their_side() -> None:
    assert (MIXED.of("user"), MIXED.of("item")) == ("integer", "string")
    ratings = table_schema("ratings", MIXED)
    assert ratings.field("user_id").type == pa.int64()
    assert ratings.field("item_id").type == pa.string()
    assert table_schema("user_neighbors", MIXED).field("neighbor_user_id").type == pa.int64()
    assert table_schema("item_factors", MIXED).field("item_id").type == pa.string()


@pytest.mark.parametrize("ids", [IdTypes(), IdTypes("integer", "integer"), MIXED])
@pytest.mark.parametrize("table", table_names())
def test_no_stand_in_type_is_left_and_spark_says_the_same(table: str, ids: IdTypes) -> None:
    schema = table_schema(table, ids)
    assert pa.large_string() not in schema.types
    assert spark_schema(table, ids).names == schema.names
    assert set(SORTED_BY[table]) <= set(schema.names)


def test_spark_types_of_ids() -> None:
    ratings = spark_schema("ratings", MIXED)
    assert ratings["user_id"].dataType == LongType()
    assert ratings["item_id"].dataType == StringType()


def test_unknown_table_names_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        table_schema("topn", MIXED)
    assert caught.value.message == "no table is named 'topn'"
    assert "top_n" in caught.value.hint


@pytest.mark.parametrize("table", table_names())
def test_a_table_fits_its_own_schema_in_any_order(table: str) -> None:
    schema = table_schema(table, MIXED)
    check_schema(schema, table, MIXED)
    check_schema(pa.schema(list(schema)[::-1]), table, MIXED)


def test_all_differences_are_reported_at_once() -> None:
    found = pa.schema(
        [
            ("user_id", pa.string()),
            ("item_id", pa.string()),
            ("rating", pa.float32()),
            ("rated_at", pa.timestamp("us", tz="UTC")),
            ("user_idx", pa.int32()),
            ("extra", pa.bool_()),
        ]
    )
    with pytest.raises(SchemaError) as caught:
        check_schema(found, "ratings", MIXED)
    assert str(caught.value) == (
        "table 'ratings' does not fit its schema: missing column 'item_idx' (int32); "
        "unexpected column 'extra' (bool); column 'user_id' is string, should be int64; "
        "column 'rating' is float, should be double"
    )


def test_the_name_of_a_list_element_does_not_count() -> None:
    schema = table_schema("user_factors", IdTypes())
    element = pa.list_(pa.field("element", pa.float32()))
    check_schema(schema.set(3, pa.field("factors", element)), "user_factors", IdTypes())
    doubles = schema.set(3, pa.field("factors", pa.list_(pa.float64())))
    with pytest.raises(SchemaError, match="column 'factors' is list"):
        check_schema(doubles, "user_factors", IdTypes())


def test_every_table_has_an_order() -> None:
    assert set(SORTED_BY) == set(table_names())
