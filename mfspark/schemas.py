"""The one place that names tables, columns and types.

Schemas are pyarrow schemas; `spark_schema` gives the same as a Spark StructType. The type of ids is
known only once ratings were read (integers stay integers, everything else is a string), so schemas
are asked for with the `IdTypes` of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from mfspark.errors import NotFoundError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

IdType = Literal["integer", "string"]
Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")

_ARROW_ID: dict[str, pa.DataType] = {"integer": pa.int64(), "string": pa.string()}
_USER_ID, _ITEM_ID = pa.string(), pa.large_string()  # stand-ins, replaced by `table_schema`
_ID: dict[Side, pa.DataType] = {"user": _USER_ID, "item": _ITEM_ID}
TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class IdTypes:
    """How user and item ids are stored in the published tables."""

    user: IdType = "string"
    item: IdType = "string"

    def of(self, side: Side) -> IdType:
        """Return the id type of one side."""
        return self.user if side == "user" else self.item


def other(side: Side) -> Side:
    """Return the opposite side."""
    return "item" if side == "user" else "user"


def _statistics(side: Side) -> list[tuple[str, pa.DataType]]:
    return [
        (f"{side}_id", _ID[side]),
        (f"{side}_idx", pa.int32()),
        ("n_ratings", pa.int64()),
        *((name, pa.float64()) for name in ("mean", "std", "min", "q25", "median", "q75", "max")),
        ("first_rated_at", TIMESTAMP),
        ("last_rated_at", TIMESTAMP),
    ]


def _neighbors(side: Side) -> list[tuple[str, pa.DataType]]:
    return [
        (f"{side}_id", _ID[side]),
        (f"neighbor_{side}_id", _ID[side]),
        ("rank", pa.int32()),
        ("similarity", pa.float64()),
        ("n_common", pa.int32()),
    ]


def _factors(side: Side) -> list[tuple[str, pa.DataType]]:
    return [
        ("model", pa.string()),
        (f"{side}_id", _ID[side]),
        ("bias", pa.float32()),
        ("factors", pa.list_(pa.float32())),
    ]


_TABLES: dict[str, list[tuple[str, pa.DataType]]] = {
    "ratings": [
        ("user_id", _USER_ID),
        ("item_id", _ITEM_ID),
        ("rating", pa.float64()),
        ("rated_at", TIMESTAMP),
        ("user_idx", pa.int32()),
        ("item_idx", pa.int32()),
    ],
    "rejected_ratings": [
        ("source_file", pa.string()),
        ("line", pa.int64()),
        ("raw", pa.string()),
        ("reason", pa.string()),
    ],
    "users": [*_statistics("user"), ("attributes", pa.list_(pa.string()))],
    "items": [*_statistics("item"), ("title", pa.string()), ("genres", pa.list_(pa.string()))],
    "user_neighbors": _neighbors("user"),
    "item_neighbors": _neighbors("item"),
    "user_heatmap": [
        ("user_id", _USER_ID),
        ("other_user_id", _USER_ID),
        ("similarity", pa.float64()),
    ],
    "user_factors": _factors("user"),
    "item_factors": _factors("item"),
    "similar_items": [
        ("model", pa.string()),
        ("item_id", _ITEM_ID),
        ("rank", pa.int32()),
        ("similar_item_id", _ITEM_ID),
        ("score", pa.float64()),
    ],
    "top_n": [
        ("model", pa.string()),
        ("user_id", _USER_ID),
        ("rank", pa.int32()),
        ("item_id", _ITEM_ID),
        ("score", pa.float64()),
        ("tier", pa.string()),
        ("score_low", pa.float64()),
        ("score_high", pa.float64()),
        ("reason", pa.list_(pa.string())),
        ("title", pa.string()),
    ],
    "completed": [
        ("user_id", _USER_ID),
        ("item_id", _ITEM_ID),
        ("rating", pa.float64()),
        ("prediction", pa.float64()),
    ],
    "test_predictions": [
        ("model", pa.string()),
        ("user_id", _USER_ID),
        ("item_id", _ITEM_ID),
        ("rating", pa.float64()),
        ("prediction", pa.float64()),
        ("tier", pa.string()),
        ("prediction_low", pa.float64()),
        ("prediction_high", pa.float64()),
    ],
    "metrics": [
        ("model", pa.string()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("k", pa.int32()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
    ],
    "user_metrics": [
        ("model", pa.string()),
        ("user_id", _USER_ID),
        ("n_test", pa.int64()),
        ("squared_error", pa.float64()),
        ("absolute_error", pa.float64()),
        ("n_intervals", pa.int64()),
        ("n_inside", pa.int64()),
        ("interval_width", pa.float64()),
        ("n_relevant", pa.int64()),
        *((name, pa.float64()) for name in ("precision", "recall", "recall_capped", "ndcg")),
        *((name, pa.float64()) for name in ("hit_rate", "mrr", "map")),
    ],
    "loss_history": [
        ("model", pa.string()),
        ("part", pa.string()),
        ("iteration", pa.int32()),
        ("split", pa.string()),
        ("loss", pa.float64()),
        ("seconds", pa.float64()),
    ],
    "runs": [
        ("run_id", pa.string()),
        ("run_date", pa.string()),
        ("parent", pa.string()),
        ("published_at", TIMESTAMP),
        ("mfspark_version", pa.string()),
        ("seed", pa.int64()),
        ("n_ratings", pa.int64()),
        ("n_rejected", pa.int64()),
        ("config", pa.string()),
        ("inputs", pa.string()),
    ],
}

SORTED_BY: dict[str, tuple[str, ...]] = {
    "ratings": ("user_id", "item_id"),
    "rejected_ratings": ("source_file", "line"),
    "users": ("user_id",),
    "items": ("item_id",),
    "user_neighbors": ("user_id", "rank"),
    "item_neighbors": ("item_id", "rank"),
    "user_heatmap": ("user_id", "other_user_id"),
    "user_factors": ("user_id", "model"),
    "item_factors": ("item_id", "model"),
    "similar_items": ("item_id", "model", "rank"),
    "top_n": ("user_id", "model", "rank"),
    "completed": ("user_id", "item_id"),
    "test_predictions": ("user_id", "model", "item_id"),
    "metrics": ("model", "metric", "k"),
    "user_metrics": ("user_id", "model"),
    "loss_history": ("model", "part", "iteration"),
    "runs": ("run_id",),
}
"""The order of rows within each published table; the first column clusters the files."""


def table_names() -> list[str]:
    """Return the names of all tables a run may publish."""
    return list(_TABLES)


def table_schema(table: str, ids: IdTypes) -> pa.Schema:
    """Return the pyarrow schema of a table for the run's id types.

    Raises NotFoundError for a name that is no table.
    """
    if table not in _TABLES:
        raise NotFoundError(f"no table is named '{table}'", f"tables: {', '.join(_TABLES)}")
    actual = {_USER_ID: _ARROW_ID[ids.user], _ITEM_ID: _ARROW_ID[ids.item]}
    ends = ("user_id", "item_id")  # also neighbor_user_id, similar_item_id, ...
    return pa.schema(
        [(name, actual[kind] if name.endswith(ends) else kind) for name, kind in _TABLES[table]]
    )


def spark_schema(table: str, ids: IdTypes) -> StructType:
    """Return the schema of a table as a Spark StructType; all columns are nullable."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(table_schema(table, ids))


def check_schema(found: pa.Schema, table: str, ids: IdTypes) -> None:
    """Compare a schema with the table's; order of columns and nullability do not count.

    Raises SchemaError that lists every missing, unexpected and wrongly typed column at once.
    """
    expected, actual = (
        dict(zip(schema.names, schema.types, strict=True))
        for schema in (table_schema(table, ids), found)
    )
    missing, unexpected = expected.keys() - actual.keys(), actual.keys() - expected.keys()
    differences = [f"missing column '{n}' ({t})" for n, t in expected.items() if n in missing]
    differences += [f"unexpected column '{n}' ({t})" for n, t in actual.items() if n in unexpected]
    differences += [
        f"column '{name}' is {actual[name]}, should be {kind}"
        for name, kind in expected.items()
        if name in actual and not _same_type(actual[name], kind)
    ]
    if differences:
        raise SchemaError(f"table '{table}' does not fit its schema: " + "; ".join(differences))


def _same_type(left: pa.DataType, right: pa.DataType) -> bool:
    """Compare types; list types by their elements only (engines name the element differently)."""
    if pa.types.is_list(left) and pa.types.is_list(right):
        return _same_type(left.value_type, right.value_type)
    return left == right
