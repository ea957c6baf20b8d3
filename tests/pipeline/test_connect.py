"""A night over Spark Connect: the client has no JVM, and publishes what a session here does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from mfspark._version import __version__
from tests.support.cluster import ROOT, connect_server
from tests.support.isolated import check_possible
from tests.support.nights import DATE, run_night
from tests.support.published import content

pytest.importorskip("grpc", reason='Spark Connect is not installed: pip install "mfspark[connect]"')

SHORT = ('models.run=["als"]', 'evaluation.split="none"', "publish.similar_items=0")
WHOLE = pytest.param(
    (),
    id="whole",
    marks=[
        pytest.mark.cluster,
        pytest.mark.skipif(
            not os.environ.get("MFSPARK_CLUSTER"), reason="the whole survey: make test-cluster"
        ),
    ],
)
REFUSED = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with connect_server(tmp_path_factory.mktemp("connect") / "log") as url:
        yield url


def client(code: str, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as a client of a server, on a machine that has no Java."""
    environment = {"PATH": "/nowhere", "HOME": os.environ.get("HOME", "/")}
    environment |= {"PYTHONPATH": str(ROOT), "SPARK_REMOTE": url, "PYTHONDONTWRITEBYTECODE": "1"}
    assert shutil.which("java", path=environment["PATH"]) is None
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def night(url: str, warehouse: Path, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    settings = [word for option in options for word in ("--set", option)]
    arguments = ("run", "--warehouse", str(warehouse), "--run-date", DATE, *settings)
    return client("from mfspark.cli import main; main()", url, *arguments)


@pytest.mark.parametrize("options", [pytest.param(SHORT, id="short"), WHOLE])
def test_a_night_over_connect_publishes_the_same_tables(
    server: str, spark: SparkSession, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with ThreadPoolExecutor(1) as meanwhile:
        over_there = meanwhile.submit(night, server, tmp_path / "remote", options)
        run_night(spark, tmp_path / "here", *options)
        done = over_there.result()
    assert done.returncode == 0, done.stderr[-3000:]
    assert content(tmp_path / "remote") == content(tmp_path / "here")


@pytest.mark.cluster
@pytest.mark.skipif(
    not os.environ.get("MFSPARK_CLUSTER"), reason="a server on another machine: make test-cluster"
)
def test_a_server_on_another_machine_that_does_not_share_the_warehouse_is_refused(
    tmp_path: Path,
) -> None:
    """Its master is local[2] too; the place of the warehouse there is an empty directory."""
    check_possible(archive=False)
    warehouse = tmp_path / "hidden" / "warehouse"
    warehouse.mkdir(parents=True)
    with connect_server(tmp_path / "log", hidden=warehouse.parent) as url:
        done = night(url, warehouse, SHORT)
    assert done.returncode == REFUSED, done.stderr[-3000:]
    assert f"do not share the warehouse {warehouse}" in done.stderr
    assert not (warehouse / "CURRENT").exists()


WITH_WORKERS_PYTHON = """
import sys
from mfspark.system.exit import guarded
from mfspark.system.spark import spark_session
def work():
    with spark_session({"spark.sql.execution.pyspark.python": sys.argv[1]}):
        print("a session")
sys.exit(guarded(work, debug=False))
"""


def refused(url: str, code: str, *arguments: str) -> str:
    done = client(code, url, *arguments)
    assert done.returncode == REFUSED, done.stdout + done.stderr[-3000:]
    assert "a session" not in done.stdout
    return done.stderr


def test_workers_without_mfspark_are_refused_at_the_start(server: str, tmp_path: Path) -> None:
    bare = tmp_path / "python"  # of the packages there, mfspark is the one that it does not see
    packages = ":".join(path for path in sys.path if path.endswith("-packages"))
    path = f"${{PYTHONPATH%:{ROOT}}}:{packages}"
    bare.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    assert "the workers of the Spark Connect server have no mfspark" in refused(
        server, WITH_WORKERS_PYTHON, str(bare)
    )


OTHER_VERSION = f"import mfspark.system.connect as c; c.__version__ = '9.9'\n{WITH_WORKERS_PYTHON}"


def test_workers_with_another_mfspark_are_refused_at_the_start(server: str) -> None:
    said = refused(server, OTHER_VERSION, sys.executable)
    assert f"have mfspark {__version__}, and this is mfspark 9.9" in said


OTHER_PYTHON = f"""
import types
import pyspark.sql.connect.udf as udf
udf.sys = types.SimpleNamespace(version_info=(3, 99))
{WITH_WORKERS_PYTHON}"""


def test_workers_of_another_python_are_refused_at_the_start(server: str) -> None:
    said = refused(server, OTHER_PYTHON, sys.executable)
    assert "run another Python" in said


INPUT_ERROR = """
from mfspark.errors import InputError
from mfspark.system.spark import spark_session
from mfspark.system.task_errors import task_errors

def fail(batches):
    raise InputError("what was found", "what to do")

with spark_session() as spark:
    try:
        with task_errors():
            spark.range(1).mapInArrow(fail, "id long").collect()
    except InputError as error:
        print([error.message, error.hint])
"""


def test_an_input_error_inside_a_task_arrives_as_it_is(server: str) -> None:
    done = client(INPUT_ERROR, server)
    assert done.stdout.strip() == "['what was found', 'what to do']", done.stderr[-3000:]
