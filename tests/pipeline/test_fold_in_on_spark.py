"""Users of a DataFrame get the lists of the users of files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import mfspark
from mfspark.config.config import IngestOptions
from mfspark.config.models import ModelName
from mfspark.errors import ConfigError, NotFoundError
from mfspark.pipeline import fold_in_on_spark
from mfspark.queries.fold_in_files import fold_in_files
from tests.models.test_newcomers import CHOICES_FROM, KNOWN, NAMES, NEW, OPTIONS
from tests.support.fitted_run import FittedRun, item_id, publish_fits

COLUMNS = "user_id long, item_id string, rating double, rated_at timestamp"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("fitted")
    return publish_fits(folder, KNOWN, NAMES, OPTIONS, CHOICES_FROM)


def at(second: int) -> datetime:
    return datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def new_ratings() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": 10_000 - NEW.users,
            "item_id": [item_id(int(i)) for i in NEW.items],
            "rating": NEW.values,
        }
    )


def shown(frame: DataFrame) -> pd.DataFrame:
    return frame.toPandas().sort_values(["user_id", "rank"], ignore_index=True)


@pytest.mark.parametrize("name", NAMES)
def test_lists_are_those_of_files(
    spark: SparkSession, fitted: FittedRun, tmp_path: Path, name: ModelName
) -> None:
    new = new_ratings()
    new.to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "lists.parquet"
    fold_in_files(fitted.run, [str(tmp_path / "new.csv")], out, IngestOptions(), model=name)
    root = fitted.run.warehouse.root
    found = mfspark.fold_in(root, spark.createDataFrame(new).repartition(3), model=name)
    pd.testing.assert_frame_equal(shown(found), pd.read_parquet(out))


def test_rows_that_cannot_count_are_left_out_and_can_be_had(
    spark: SparkSession, fitted: FittedRun
) -> None:
    one, two = item_id(1), item_id(2)
    rows = [
        (1, one, 5.0, at(3)), (1, one, 0.5, at(2)), (1, one, 1.0, None), (1, " " + two, 4.5, None),
        (1, two, 4.0, None), (2, "Nosuch", 4.0, None), (3, one, 5.5, None), (3, "", 4.0, None),
        (None, one, 4.0, None), (4, one, float("nan"), None), (4, one, None, None),
        (5, one, 5.0, None),
    ]  # fmt: skip
    root, ratings = fitted.run.warehouse.root, spark.createDataFrame(rows, COLUMNS)
    counting = spark.createDataFrame([rows[0], rows[3], rows[11]], COLUMNS)
    lists = shown(mfspark.fold_in(root, ratings, model="ials", n=4))
    assert lists.user_id.unique().tolist() == [1, 5]
    expected = shown(mfspark.fold_in(root, counting, model="ials", n=4))
    pd.testing.assert_frame_equal(lists, expected)
    left = mfspark.rejected_by_fold_in(root, ratings, model="ials")
    reasons = [(row.user_id, row.item_id, row.reason) for row in left.collect()]
    assert sorted(reasons, key=str) == sorted(
        [
            (1, one, "superseded_duplicate"), (1, one, "superseded_duplicate"),
            (1, two, "superseded_duplicate"), (2, "Nosuch", "unknown_item"),
            (3, one, "rating_out_of_range"), (3, "", "missing_item"), (None, one, "missing_user"),
            (4, one, "rating_not_a_number"), (4, one, "rating_not_a_number"),
        ],
        key=str,
    )  # fmt: skip


def test_what_cannot_be_done_is_said_at_once(spark: SparkSession, fitted: FittedRun) -> None:
    root, ratings = fitted.run.warehouse.root, spark.createDataFrame(new_ratings())
    with pytest.raises(ConfigError, match="no column user_id: userId, item_id, rating"):
        mfspark.fold_in(root, ratings.withColumnRenamed("user_id", "userId"))
    with pytest.raises(NotFoundError, match="model 'svd' cannot take in new users"):
        mfspark.fold_in(root, ratings, model="svd")
    with pytest.raises(NotFoundError):
        mfspark.fold_in(root, ratings, run_id="2026-01-01-00000000")


def test_users_are_never_torn_apart(
    spark: SparkSession, fitted: FittedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the batches that Arrow makes of them, nor by what is taken in at once."""
    root, ratings = fitted.run.warehouse.root, spark.createDataFrame(new_ratings())
    whole = shown(mfspark.fold_in(root, ratings, model="slim"))
    monkeypatch.setattr(fold_in_on_spark, "USERS_AT_ONCE", 3)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 5)
    try:
        by_text = ratings.withColumn("user_id", F.col("user_id").cast("string"))
        parts = shown(mfspark.fold_in(root, ratings, model="slim"))
        texts = mfspark.fold_in(root, by_text, model="slim")
        assert texts.schema["user_id"].dataType.simpleString() == "string"
        numbers = texts.withColumn("user_id", F.col("user_id").cast("long"))
        pd.testing.assert_frame_equal(shown(numbers), whole)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    pd.testing.assert_frame_equal(parts, whole)
