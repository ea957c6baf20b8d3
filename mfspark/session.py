"""The one place that starts Spark.

Master, memory and cluster settings are never set here: they come from `spark-submit`, from
`conf/spark-defaults.conf`, or from the environment. Only what the answers depend on is fixed.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyspark.sql import SparkSession

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# What results depend on: fixed for every session, wherever it came from.
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.pythonUDF.arrow.enabled": "true",
}

# Sensible where nothing else was said; only used when this process starts Spark itself.
_DEFAULTS = {
    "spark.app.name": "mfspark",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.python.worker.faulthandler.enabled": "true",
}


@contextmanager
def spark_session(settings: dict[str, str] | None = None) -> Generator[SparkSession]:
    """Yield a configured session and stop it afterwards, unless it was running before.

    `settings` are further Spark properties for a session started here. A session that is already
    active (a notebook's, a test's) is used as it is, apart from the fixed settings.
    """
    from pyspark.sql import SparkSession

    _prepare_environment()
    running = SparkSession.getActiveSession()
    if running is not None:
        _fix(running)
        yield running
        return
    builder = SparkSession.builder
    for key, value in {**_defaults_not_submitted(), **_FIXED, **(settings or {})}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    _fix(spark)
    try:
        yield spark
    finally:
        spark.stop()


def _fix(spark: SparkSession) -> None:
    for key, value in _FIXED.items():
        spark.conf.set(key, value)


def _defaults_not_submitted() -> dict[str, str]:
    """Return defaults for a plain `python` start; under spark-submit its properties decide."""
    if "SPARK_ENV_LOADED" in os.environ or "PYSPARK_GATEWAY_PORT" in os.environ:
        return {}
    local = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return {**_DEFAULTS, **local}


def _prepare_environment() -> None:
    """One thread a task (kernels that own the machine raise it), workers of this same Python."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
