"""mfspark: nightly recommender jobs on Apache Spark. Ratings in, completed top-N tables out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mfspark._version import __version__ as __version__

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from pyspark.sql import DataFrame


def read_table(warehouse: str | Path, table: str, run_id: str | None = None) -> ds.Dataset:
    """Return a published table as a pyarrow dataset; the pointer is resolved once.

    `run_id` reads another kept run instead of the current one. Raises NotFoundError when the
    warehouse, the run or the table does not exist.
    """
    from mfspark.tables.run import read_table as read

    return read(warehouse, table, run_id)


def fold_in(
    warehouse: str | Path,
    ratings: DataFrame,
    *,
    model: str | None = None,
    n: int = 10,
    run_id: str | None = None,
) -> DataFrame:
    """Return the n best items for each user of a Spark DataFrame, who came after the night.

    See `mfspark.pipeline.fold_in_on_spark.fold_in`.
    """
    from mfspark.pipeline.fold_in_on_spark import fold_in as take_in

    return take_in(warehouse, ratings, model=model, n=n, run_id=run_id)


def rejected_by_fold_in(
    warehouse: str | Path,
    ratings: DataFrame,
    *,
    model: str | None = None,
    run_id: str | None = None,
) -> DataFrame:
    """Return the rows that `fold_in` leaves out, with a column `reason`."""
    from mfspark.pipeline.fold_in_on_spark import rejected_by_fold_in as rejected

    return rejected(warehouse, ratings, model=model, run_id=run_id)
