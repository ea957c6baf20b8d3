"""A standalone Spark cluster on this machine, and nights submitted to it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyspark

from tests.support.processes import command_of, descendants, kill, wait_until

ROOT = Path(__file__).resolve().parents[2]
_NIGHTLY = ROOT / "jobs" / "nightly.py"
_BIN = Path(pyspark.__file__).parent / "bin"
MASTER, WORKER = (f"org.apache.spark.deploy.{c}" for c in ("master.Master", "worker.Worker"))
_CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"
_LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "127.0.0.1"}
_SMALL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.ui.enabled": "false",
}
VICTIMS = {
    "executor": "CoarseGrainedExecutorBackend",
    "python daemon": "pyspark.daemon",
    "python worker": "pyspark.daemon",
}
DRIVERS = ("driver", "JVM", "process group")
"""What of a submitted night may be killed: its Python, the JVM that started that, or both at once
with all that they started."""


@dataclass(frozen=True)
class Cluster:
    """A master and its workers."""

    url: str
    workers: tuple[int, ...]

    def find(self, victim: str) -> list[int]:
        """Return the processes of one kind: executors, Python daemons, or Python workers.

        A daemon is forked into workers, so that all have its command line; the daemon's parent is
        an executor.
        """
        tree = [pid for worker in self.workers for pid in descendants(worker)]
        alike = [pid for pid in tree if VICTIMS[victim] in command_of(pid)]
        if victim == "executor":
            return alike
        forked = {child for pid in alike for child in descendants(pid)}
        return [pid for pid in alike if (pid in forked) == (victim == "python worker")]


@contextmanager
def standalone(logs: Path, n_workers: int = 2) -> Iterator[Cluster]:
    """Yield a cluster of workers with one core each; all of it is ended afterwards."""
    port = free_port()
    url, host = f"spark://127.0.0.1:{port}", ["--host", "127.0.0.1", "--webui-port", "0"]
    spark_class = str(_BIN / "spark-class")
    with ExitStack() as running:
        master = [spark_class, MASTER, *host, "--port", str(port)]
        running.enter_context(daemon(master, logs / "daemon-0.log"))
        wait_until(lambda: listens(port), 60, "the master")
        workers: list[int] = []
        for n in range(1, n_workers + 1):
            worker = [
                spark_class,
                WORKER,
                url,
                *host,
                "-c",
                "1",
                "-m",
                "2g",
                "-d",
                str(logs / str(n)),
            ]
            started = running.enter_context(daemon(worker, logs / f"daemon-{n}.log"))
            workers.append(started.pid)
        yield Cluster(url, tuple(workers))


@contextmanager
def daemon(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that runs beside the test; it, and all it started, is ended afterwards."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**_environment(), "SPARK_DAEMON_MEMORY": "256m", **(environment or {})},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_group(process)


@contextmanager
def connect_server(
    log: Path, master: str = "local[2]", hidden: Path | None = None
) -> Iterator[str]:
    """Yield the URL of a Spark Connect server, which is ended afterwards.

    A directory that is `hidden` is an empty one to the server and its workers, as it would be on
    another machine; that needs root.
    """
    port = free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        **_SMALL,
    }
    submit = [str(_BIN / "spark-submit"), "--class", _CONNECT, "--master", master]
    memory = {"SPARK_DAEMON_MEMORY": "1g"}  # to Spark, the server is a daemon and no driver
    command = [*submit, *_options(settings), "spark-internal"]
    if hidden:
        script = f"mount -t tmpfs tmpfs {hidden} && exec {shlex.join(command)}"
        command = ["unshare", "-m", "bash", "-c", script]
    with daemon(command, log, memory) as process:

        def ready() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            return listens(port)

        wait_until(ready, 120, "the Spark Connect server")
        yield f"sc://127.0.0.1:{port}"


@dataclass
class Submitted:
    """A night given to spark-submit, in a process group of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def reached(self, step: str) -> bool:
        """Return whether a step has ended."""
        return re.search(rf"\d+/\d+ {re.escape(step)}: ", self.log.read_text()) is not None

    def python(self) -> int | None:
        """Return the driver: the Python process that runs the night."""
        for pid in descendants(self.process.pid):
            if str(_NIGHTLY) in command_of(pid):
                return pid
        return None

    def kill(self, victim: str) -> None:
        """Kill one of `DRIVERS`, at once."""
        if victim == "process group":
            os.killpg(self.process.pid, signal.SIGKILL)
            return
        pid = self.process.pid if victim == "JVM" else self.python()
        assert pid is not None
        assert kill(pid), f"no {victim} was there to kill"

    def wait_for(self, step: str | None, seconds: float = 300) -> None:
        """Wait until a step has ended; fail where the night ends before. None: no wait."""
        if step is None:
            return

        def true() -> bool:
            assert self.process.poll() is None or self.reached(step), self.log.read_text()[-3000:]
            return self.reached(step)

        wait_until(true, seconds, f"the end of step {step}")

    def end(self, seconds: float = 600) -> int:
        """Wait for the end and return the exit status."""
        return self.process.wait(seconds)


@contextmanager
def submitted(
    log: Path,
    arguments: list[str],
    master: str,
    conf: dict[str, str] | None = None,
    properties: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Submitted]:
    """Yield a night that spark-submit runs; what is left of it is ended afterwards.

    `properties` is a file of Spark's settings, over which `conf` has the last word; `environment`
    is the driver's, besides what it has.
    """
    settings = {
        "spark.executor.memory": "512m",
        "spark.driver.memory": "1g",
        "spark.executor.extraJavaOptions": _SMALL["spark.driver.extraJavaOptions"],
        **_SMALL,
        **(conf or {}),
    }
    given = [] if properties is None else ["--properties-file", str(properties)]
    submit = [str(_BIN / "spark-submit"), "--master", master, *given, *_options(settings)]
    with daemon([*submit, str(_NIGHTLY), *arguments], log, environment) as process:
        yield Submitted(process, log)


def _options(settings: dict[str, str]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]


def _environment() -> dict[str, str]:
    """Return the environment of a new Spark that is none of this process's."""
    environment = {**os.environ, **_LOOPBACK, "PYSPARK_PYTHON": sys.executable}
    environment["PYTHONPATH"] = str(ROOT)
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment["OMP_NUM_THREADS"] = "1"
    for name in ("SPARK_ENV_LOADED", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE"):
        environment.pop(name, None)
    return environment


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all it started, at once; wait for it."""
    started = descendants(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in started:  # some begin groups of their own
        kill(pid)
    process.wait()


def free_port() -> int:
    """Return a port that nobody listened at a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def listens(port: int) -> bool:
    """Say whether somebody listens at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
