"""One survey night, run once for all tests that look at what a real night publishes."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from mfspark.pipeline.entry import Request, execute
from mfspark.pipeline.progress import LoggedProgress
from mfspark.tables.night import Night

SURVEY_DATE = "2026-11-22"


@pytest.fixture(scope="session")
def survey_night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The embedded survey by the default configuration, published in a warehouse of its own."""
    assert spark.getActiveSession() is not None  # execute uses the running session
    warehouse = tmp_path_factory.mktemp("survey") / "warehouse"
    request = Request("run", warehouse=str(warehouse), run_date=SURVEY_DATE)
    return execute(request, LoggedProgress())
