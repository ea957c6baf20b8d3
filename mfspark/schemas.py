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

TIMESTAMP = pa.timestamp("us", tz="UTC")

_ID: dict[IdType, pa.DataType] = {"integer": pa.int64(), "string": pa.string()}
_TYPES: dict[str, pa.DataType] = {
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "text": pa.string(),
    "time": TIMESTAMP,
    "floats": pa.list_(pa.float32()),
    "texts": pa.list_(pa.string()),
}


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


_STATISTICS = (
    "n_ratings long, mean double, std double, min double, q25 double, median double, q75 double, "
    "max double, first_rated_at time, last_rated_at time"
)
_NEIGHBOR = "rank int, similarity double, n_common int"
_FACTORS = "bias float, factors floats"
_TABLES: dict[str, str] = {
    "ratings": (
        "user_id user, item_id item, rating double, rated_at time, user_idx int, item_idx int"
    ),
    "rejected_ratings": "source_file text, line long, raw text, reason text",
    "users": f"user_id user, user_idx int, {_STATISTICS}, attributes texts",
    "items": f"item_id item, item_idx int, {_STATISTICS}, title text, genres texts",
    "user_neighbors": f"user_id user, neighbor_user_id user, {_NEIGHBOR}",
    "item_neighbors": f"item_id item, neighbor_item_id item, {_NEIGHBOR}",
    "user_heatmap": "user_id user, other_user_id user, similarity double",
    "user_factors": f"model text, user_id user, {_FACTORS}",
    "item_factors": f"model text, item_id item, {_FACTORS}",
    "similar_items": "model text, item_id item, rank int, similar_item_id item, score double",
    "item_weights": "model text, item_id item, target_item_id item, weight float",
    "top_n": (
        "model text, user_id user, rank int, item_id item, score double, tier text, "
        "score_low double, score_high double, reason texts, title text"
    ),
    "serving": (
        "user_id user, rank int, item_id item, score double, model text, tier text, reason texts, "
        "title text"
    ),
    "completed": "user_id user, item_id item, rating double, prediction double",
    "test_predictions": (
        "model text, user_id user, item_id item, rating double, prediction double, tier text, "
        "prediction_low double, prediction_high double"
    ),
    "metrics": (
        "model text, split text, metric text, k int, value double, low double, high double, n long"
    ),
    "user_metrics": (
        "model text, user_id user, n_test long, squared_error double, absolute_error double, "
        "n_intervals long, n_inside long, interval_width double, n_relevant long, "
        "precision double, recall double, recall_capped double, ndcg double, hit_rate double, "
        "mrr double, map double, novelty double, diversity double"
    ),
    "segment_metrics": (
        "segment text, part text, model text, split text, metric text, k int, value double, "
        "low double, high double, n long"
    ),
    "loss_history": (
        "model text, part text, iteration int, split text, loss double, seconds double"
    ),
    "runs": (
        "run_id text, run_date text, parent text, published_at time, mfspark_version text, "
        "seed long, n_ratings long, n_rejected long, config text, inputs text"
    ),
}
"""The columns of each table with their types; ids of users and items have a type of the run's."""

_NEW_LISTS = "user_id user, rank int, item_id item, score double, model text, title text"

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
    "item_weights": ("item_id", "model", "target_item_id"),
    "top_n": ("user_id", "model", "rank"),
    "serving": ("user_id", "rank"),
    "completed": ("user_id", "item_id"),
    "test_predictions": ("user_id", "model", "item_id"),
    "metrics": ("model", "metric", "k"),
    "user_metrics": ("user_id", "model"),
    "segment_metrics": ("segment", "part", "model", "metric"),
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
    return _schema(_TABLES[table], ids)


def new_lists_schema(ids: IdTypes) -> pa.Schema:
    """Return the schema of lists of users who came after a night; the ids of users are theirs."""
    return _schema(_NEW_LISTS, ids)


def _schema(columns: str, ids: IdTypes) -> pa.Schema:
    types = _TYPES | {"user": _ID[ids.user], "item": _ID[ids.item]}
    named = (column.split() for column in columns.split(","))
    return pa.schema([(name, types[kind]) for name, kind in named])


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
