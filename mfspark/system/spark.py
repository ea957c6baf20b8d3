"""The one place that starts Spark.

Master and cluster settings are never set here: they come from `spark-submit`, from
`conf/spark-defaults.conf`, or from the environment. Only what the answers depend on is fixed. A
session that this process starts by itself gets a share of the memory, where nothing else is said.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mfspark.system.connect import check_client, check_server, remote_server, remote_url
from mfspark.system.memory import GIB, available_memory

if TYPE_CHECKING:
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

# On one machine nobody else needs to reach the driver.
_LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
_LOOPBACK_CONNECT = {"spark.connect.grpc.binding.address": "127.0.0.1"}

# A JVM that lives for a minute is best not to compile twice: the survey's night takes 37 s instead
# of 52 s with the quick compiler alone. A long one is better off with Java's own choice.
_SHORT_LIVED = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "2",
}
_DRIVER_MEMORY, _LARGEST_DRIVER = "spark.driver.memory", 8 * GIB

SMALL_INPUT = 32 << 20
"""Bytes of input up to which a session started here is expected to be short-lived."""


@contextmanager
def spark_session(
    settings: dict[str, str] | None = None, input_bytes: int = SMALL_INPUT + 1
) -> Generator[SparkSession]:
    """Yield a configured session and stop it afterwards, unless it was running before.

    `settings` are further Spark properties, and `input_bytes` is the size of what will be read, for
    a session started here. A session that is already active (a notebook's, a test's) is used as it
    is, apart from the fixed settings. Where SPARK_REMOTE names a Spark Connect server, the session
    is one of that server. Raises ConfigError where the server cannot be used.
    """
    from pyspark.sql import SparkSession, is_remote

    _prepare_environment()
    running = SparkSession.getActiveSession()
    if running is not None:
        _fix(running)
        yield running
        return
    if url := remote_url():
        check_client(url)
    builder = SparkSession.builder
    for key, value in {**_given(input_bytes), **_FIXED, **(settings or {})}.items():
        builder = builder.config(key, value)
    with warnings.catch_warnings():
        # Where Spark Connect starts a server here, it sets once more, in vain, what that has.
        warnings.filterwarnings("ignore", "Failed to set spark", UserWarning)
        with _ctrl_c_put_off() as interrupts:
            spark = builder.getOrCreate()
    try:
        if interrupts:
            raise KeyboardInterrupt
        if is_remote():
            check_server(spark)
        else:
            spark.sparkContext.setLogLevel("ERROR")
        _fix(spark)
        yield spark
    finally:
        spark.stop()


@contextmanager
def _ctrl_c_put_off() -> Generator[list[int]]:
    """Note Ctrl-C while Spark starts, in the list that is yielded, and undo what Spark does to it.

    A JVM whose start is interrupted outlives this process. Spark's own handler asks the JVM, on a
    connection that is in use, and fails with a stack trace; jobs end with the session anyway, which
    whoever is interrupted stops.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


class Session:
    """A Spark session that is started when it is first asked for."""

    def __init__(self, start: Callable[[], SparkSession], *, here: bool = False) -> None:
        """`here`: it is sure to run on this machine, with all of its cores."""
        self._start, self._sure = start, here

    @cached_property
    def spark(self) -> SparkSession:
        """The session itself."""
        return self._start()

    @property
    def here(self) -> bool:
        """Whether all tasks run on this machine, as far as can be told."""
        return self._sure or runs_here(self.spark)

    @property
    def master(self) -> str:
        """The master; see `master_of`."""
        return "local[*]" if self._sure else master_of(self.spark)


@contextmanager
def session_on_demand(
    input_bytes: int, begun: Callable[[SparkSession], None]
) -> Generator[Session]:
    """Yield a session that `spark_session` starts when it is needed, and stop it afterwards.

    `begun` looks at it when it was started: at once where it may have a cluster.
    """
    _prepare_environment()
    with ExitStack() as stack:

        def start() -> SparkSession:
            spark = stack.enter_context(spark_session(input_bytes=input_bytes))
            begun(spark)
            return spark

        here = _sure_to_run_here()
        session = Session(start, here=here)
        if not here:
            _ = session.spark
        yield session


def _sure_to_run_here() -> bool:
    """Return whether Spark is not running yet, and nobody said where it is to run."""
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is not None or _submitted():
        return False
    elsewhere = remote_url() or remote_server() or "MASTER" in os.environ
    return not (elsewhere or _said("spark.master", "--master"))


def master_of(spark: SparkSession) -> str:
    """Return the master of a session, or of the server behind it; "" where that is not told."""
    return spark.conf.get("spark.master", "") or ""


def runs_here(spark: SparkSession) -> bool:
    """Return whether all tasks of a session run on this machine, as far as can be told.

    The master of a Spark Connect server says nothing: "local" means the server's own machine.
    """
    return master_of(spark).startswith("local") and remote_server() is None


def _fix(spark: SparkSession) -> None:
    for key, value in _FIXED.items():
        spark.conf.set(key, value)


def _given(input_bytes: int) -> dict[str, str]:
    """Return what is added to what was said, by who starts the JVM of the session."""
    if remote_server():
        return {}  # its settings are its own
    if _submitted():
        return _submitted_defaults()
    loopback = _LOOPBACK_CONNECT if remote_url() else {}
    return {**_defaults(small=input_bytes <= SMALL_INPUT), **loopback}


def _submitted() -> bool:
    """Say whether spark-submit started this process: then its properties decide."""
    return "SPARK_ENV_LOADED" in os.environ or "PYSPARK_GATEWAY_PORT" in os.environ


def _submitted_defaults() -> dict[str, str]:
    """Return what is added to the properties given to spark-submit: on one machine, loopback."""
    from pyspark import SparkConf

    given = SparkConf()
    if not given.get("spark.master", "local").startswith("local"):
        return {}
    return {key: value for key, value in _LOOPBACK.items() if not given.contains(key)}


def _defaults(*, small: bool) -> dict[str, str]:
    """Return the settings of a session on this machine alone."""
    return {**_DEFAULTS, **_LOOPBACK, **(_SHORT_LIVED if small else _driver_memory())}


def _driver_memory() -> dict[str, str]:
    """Return the JVM's share of what is free, where nobody set it; Spark's own 1 GiB is for toys.

    A third, as Python workers and the files that both read want theirs. It is a limit, not a claim.
    """
    available = available_memory()
    if available is None or _says_driver_memory():
        return {}
    size = min(max(available // 3, GIB), _LARGEST_DRIVER)
    return {_DRIVER_MEMORY: f"{size >> 20}m"}


def _says_driver_memory() -> bool:
    """Return whether the environment or Spark's own files set the driver's memory."""
    return "SPARK_DRIVER_MEMORY" in os.environ or _said(_DRIVER_MEMORY, "--driver-memory")


def _said(key: str, option: str) -> bool:
    """Say whether Spark's own files, or options for spark-submit, set a property."""
    submitted = os.environ.get("PYSPARK_SUBMIT_ARGS", "")
    if option in submitted:
        return True
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR", home and os.path.join(home, "conf"))
    defaults = Path(folder, "spark-defaults.conf") if folder else None
    written = defaults.read_text().splitlines() if defaults and defaults.is_file() else []
    said = [submitted, *(line for line in written if not line.startswith("#"))]
    return any(key in line for line in said)


def _prepare_environment() -> None:
    """One thread a task (kernels that own the machine raise it), workers of this same Python."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
