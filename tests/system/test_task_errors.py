"""What a task raised arrives at the driver as it was, whichever way the job was run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession

from mfspark.errors import ConfigError, InputError, MfsparkError
from mfspark.storage.store_errors import UnansweredError
from mfspark.system.task_errors import task_errors

ERRORS = [
    InputError("file ä.csv: what was found", "what to do"),
    MfsparkError("cannot write s3://b/a: the credentials have expired", "renew them, then go on"),
    ConfigError("without a remedy"),
    UnansweredError("cannot read s3://b/a: no answer (503 SlowDown)", "look at it"),
]
WAYS: dict[str, Callable[[DataFrame, Path], Any]] = {
    "collect": lambda frame, _: frame.collect(),
    "write": lambda frame, path: frame.write.parquet(str(path / "t")),
    "shuffle": lambda frame, _: frame.groupBy("id").count().collect(),
}


def failing(spark: SparkSession, error: Exception) -> DataFrame:
    def fail(batches: Iterator[Any]) -> Iterator[Any]:
        yield from batches
        raise error

    return spark.range(3).mapInArrow(fail, "id long")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_with_a_remedy_arrives_as_it_was_raised(
    spark: SparkSession, tmp_path: Path, error: MfsparkError, way: str
) -> None:
    frame = failing(spark, error)
    with pytest.raises(MfsparkError) as told, task_errors():
        WAYS[way](frame, tmp_path)
    assert type(told.value) is type(error)
    assert (told.value.message, told.value.hint) == (error.message, error.hint)
    assert told.value.status == error.status
    assert told.value.__suppress_context__, "without the stacks"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'mfspark.grid'"), "has no package mfspark.grid"),
        (RuntimeError("[PYTHON_VERSION_MISMATCH] 3.9 and 3.11"), "another minor version"),
    ],
)
def test_workers_that_cannot_run_mfspark_are_told(
    spark: SparkSession, error: Exception, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as told, task_errors():
        failing(spark, error).collect()
    assert "spark.archives" in told.value.hint


def test_other_errors_of_tasks_are_left_as_they_are(spark: SparkSession) -> None:
    with pytest.raises(PythonException, match="ZeroDivisionError"), task_errors():
        failing(spark, ZeroDivisionError("by nought")).collect()
