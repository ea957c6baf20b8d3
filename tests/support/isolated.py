"""A cluster whose machines have nothing of ours and share no disk, on this one machine.

Master and workers are those of a standalone cluster. Each worker runs in a mount namespace of its
own, where empty file systems hide the project, its environment and its Python, temporary files and
everything below the directory of the test; a directory of its own is mounted at `_HOME`, with Spark
and nothing else. What executors need of mfspark comes with the night, as an archive.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import pyspark
import pytest

from tests.support.cluster import MASTER, ROOT, WORKER, daemon, free_port, listens
from tests.support.processes import wait_until

_SPARK = Path(pyspark.__file__).parent
_HOME = Path("/mnt")  # of a worker's own files, in its namespace
_PATIENT = {"spark.network.timeout": "600s", "spark.worker.timeout": "600"}
"""Nobody is lost here who is slow: two cores do the work of a master, two workers and a night."""
ARCHIVE = ROOT / "dist" / "environment.tar.gz"
PROPERTIES = ROOT / "conf" / "spark-defaults.conf"


@dataclass(frozen=True)
class IsolatedCluster:
    """A running cluster, and the properties of nights that are submitted to it."""

    url: str
    properties: Path


def check_possible(*, archive: bool = True) -> None:
    """Skip, saying why, where namespaces cannot be made, or no `archive` was built."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mount namespaces need root and the program unshare")
    if archive and not ARCHIVE.is_file():
        pytest.skip(f"{ARCHIVE.relative_to(ROOT)} is not there: make package")


def properties_of_the_archive() -> str:
    """Return conf/spark-defaults.conf with what it proposes for machines with nothing of ours."""
    wanted = ("spark.archives", "spark.pyspark", "spark.shuffle.readHostLocalDisk")
    lines = [
        line.removeprefix("#") if line.startswith(tuple(f"#{key}" for key in wanted)) else line
        for line in PROPERTIES.read_text().splitlines()
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def isolated(
    directory: Path,
    *,
    shared: Sequence[Path] = (),
    settings: dict[str, str] | None = None,
    n_workers: int = 2,
) -> Iterator[IsolatedCluster]:
    """Yield a cluster of workers with one core each, which see only `shared` of what is ours.

    `directory` is the test's own: workers see nothing below it. `settings` are Spark's, for master,
    workers and nights alike (secrets, say); they stand in a file that only root reads.
    """
    given = directory / "cluster.conf"
    given.touch(mode=0o600)
    given.write_text(
        "".join(f"{key} {value}\n" for key, value in {**_PATIENT, **(settings or {})}.items())
    )
    properties = directory / "night.conf"
    properties.touch(mode=0o600)
    # The archive is named from where spark-submit is called; `python3` is this environment's.
    properties.write_text(properties_of_the_archive() + given.read_text())
    port = free_port()
    url, host = f"spark://127.0.0.1:{port}", ["--host", "127.0.0.1", "--webui-port", "0"]
    conf = ["--properties-file", str(given)]
    with ExitStack() as running:
        master = [*_spark_class(_SPARK), MASTER, *host, *conf, "--port", str(port)]
        running.enter_context(daemon(master, directory / "master.log"))
        wait_until(lambda: listens(port), 120, "the master")
        for n in range(n_workers):
            own = directory / f"machine-{n}"
            own.mkdir()
            for large in ("work", "tmp"):  # archives that were unpacked; logs stay
                running.callback(shutil.rmtree, own / large, ignore_errors=True)
            (own / "cluster.conf").write_text(given.read_text())
            conf = ["--properties-file", str(_HOME / "cluster.conf")]
            worker = [*_spark_class(_HOME / "spark"), WORKER, *host, *conf, "-c", "1", "-m", "3g"]
            command = [*worker, "-d", str(_HOME / "work"), url]
            script = _in_namespace(directory, own, shared, command)
            running.enter_context(daemon(["unshare", "-m", "bash", "-c", script], own / "log"))
        yield IsolatedCluster(url, properties)


def _spark_class(home: Path) -> list[str]:
    return ["env", f"SPARK_HOME={home}", str(home / "bin" / "spark-class")]


def _in_namespace(
    directory: Path, own: Path, shared: Sequence[Path], command: Sequence[str]
) -> str:
    """Return a script that hides what is ours, in its mount namespace, and then runs a command."""
    base = [Path(sys.base_prefix)] if sys.base_prefix not in ("/", "/usr") else []
    hidden = [Path(gettempdir()), directory, ROOT, Path(sys.prefix), *base]
    steps = [
        f"mount --bind {own} {_HOME}",
        f"mkdir -p {_HOME}/spark {_HOME}/work {_HOME}/tmp {_HOME}/shared",
        f"mount --bind {_SPARK} {_HOME}/spark",
    ]
    for n, path in enumerate(shared):  # kept in sight, while what is above them is hidden
        steps += [f"mkdir {_HOME}/shared/{n}", f"mount --bind {path} {_HOME}/shared/{n}"]
    steps += [f"if [ -d {path} ]; then mount -t tmpfs tmpfs {path}; fi" for path in hidden]
    for n, path in enumerate(shared):
        steps += [f"mkdir -p {path}", f"mount --bind {_HOME}/shared/{n} {path}"]
    steps += [
        f"test ! -e {ROOT}/mfspark",
        f"cd {_HOME}",
        f"export TMPDIR={_HOME}/tmp SPARK_LOCAL_DIRS={_HOME}/tmp PATH=/usr/bin:/bin",
        "unset PYTHONPATH PYSPARK_PYTHON VIRTUAL_ENV",
        f"exec {shlex.join(command)}",
    ]
    return "set -eu\n" + "\n".join(steps)
