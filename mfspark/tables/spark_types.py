"""Types of Spark's frames as the schemas of tables name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mfspark.schemas import TIMESTAMP

if TYPE_CHECKING:
    from pyspark.sql.types import DataType, StructType


def arrow_schema(schema: StructType) -> pa.Schema:
    """Return the schema of a frame as the schemas of tables name its types."""
    return pa.schema([(field.name, _arrow_type(field.dataType)) for field in schema.fields])


def _arrow_type(kind: DataType) -> pa.DataType:
    """Name a Spark type as the schemas do; pyspark's own way wants a time zone, by version."""
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import ArrayType, TimestampType

    if isinstance(kind, TimestampType):
        return TIMESTAMP
    if isinstance(kind, ArrayType):
        return pa.list_(_arrow_type(kind.elementType))
    return to_arrow_type(kind)
