"""Spark Connect: the driver is a client without a JVM of a server that SPARK_REMOTE names.

What a night needs of the server is looked at before the night begins; later it would be an error of
grpc or of a worker, after minutes of retries.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mfspark._version import __version__
from mfspark.errors import ConfigError
from mfspark.system.redaction import redact

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_VARIABLE = "SPARK_REMOTE"
_CLIENT = ("grpc", "grpc_status", "google.rpc", "google.protobuf", "zstandard")
_WORKER = ("numpy", "scipy", "torch", "pandas", "pyarrow", "pydantic", "python_calamine")
_ANSWER_SECONDS = 10.0
_OLDEST = (4, 1)
_INSTALL = "give the server's Python workers the same environment as the client (docs/deploy.md)"


def remote_url() -> str | None:
    """Return what SPARK_REMOTE names: sc://host:port, or local[n] for a server of this process."""
    return os.environ.get(_VARIABLE) or None


def remote_server() -> str | None:
    """Return host and port of a server elsewhere; None where Spark is started by this process.

    Nothing else of the URL, which may hold a token.
    """
    url = remote_url()
    return urlsplit(url).netloc.rpartition("@")[2] if url and url.startswith("sc://") else None


def check_client(url: str) -> None:
    """Raise ConfigError where no session can be had: packages, the address, or the server."""
    missing = [name for name in _CLIENT if not _is_there(name)]
    if missing:
        raise ConfigError(
            f"{_VARIABLE} asks for Spark Connect, and Python packages for it are not installed: "
            + ", ".join(missing),
            'pip install "mfspark[connect]"',
        )
    if not url.startswith("local"):
        _check_server(url)


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package above it
        return False


def _check_server(url: str) -> None:
    import grpc
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        channel: Any = DefaultChannelBuilder(url).toChannel()
    except (PySparkException, ValueError):
        raise ConfigError(
            f"{_VARIABLE} = {redact(url)} is no address of a Spark Connect server",
            "write sc://HOST:15002, or local[N] to start a server in this process",
        ) from None
    with channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_ANSWER_SECONDS)
        except grpc.FutureTimeoutError:
            raise ConfigError(
                f"no Spark Connect server answers at {remote_server()}",
                f"start one there (sbin/start-connect-server.sh), or mend {_VARIABLE}",
            ) from None


def check_server(spark: SparkSession) -> None:
    """Raise ConfigError where the server or its Python workers cannot run a night's tasks.

    Runs one task.
    """
    from pyspark.errors import PySparkException

    if tuple(int(n) for n in spark.version.split(".")[:2]) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ConfigError(
            f"the Spark Connect server runs Spark {spark.version}",
            f"it has to be {oldest} or later",
        )
    try:
        rows: list[Any] = spark.range(1).mapInArrow(_say_what_is_here, _SAID).collect()
    except PySparkException as error:
        _explain(str(error))
        raise
    (said,) = rows
    if said["version"] != __version__:
        raise ConfigError(
            f"the workers of the Spark Connect server have mfspark {said['version']}, and this is "
            f"mfspark {__version__}",
            _INSTALL,
        )
    if said["missing"]:
        raise ConfigError(
            "Python packages are missing where the workers of the Spark Connect server run: "
            + said["missing"],
            _INSTALL,
        )


_SAID = "version string, missing string"


def _say_what_is_here(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Say in a task what its Python has."""
    import pyarrow as pa

    for _ in batches:
        missing = ", ".join(name for name in _WORKER if not _is_there(name))
        yield pa.RecordBatch.from_pydict({"version": [__version__], "missing": [missing]})


def _explain(error: str) -> None:
    """Raise ConfigError for a first task that failed because of the Python that ran it."""
    if "PYTHON_VERSION_MISMATCH" in error:
        here = ".".join(platform.python_version_tuple()[:2])
        raise ConfigError(
            f"the workers of the Spark Connect server run another Python than {here}, which runs "
            "the client",
            "both must be of one minor version: change the client's, or PYSPARK_PYTHON of the "
            "server",
        ) from None
    if "No module named 'mfspark" in error:
        raise ConfigError(
            "the workers of the Spark Connect server have no mfspark", _INSTALL
        ) from None
