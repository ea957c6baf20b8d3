"""Ctrl-C while Spark starts or works: one line, status 130, and no process is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

PROGRAM = """
from mfspark.cli import main
from mfspark.pipeline import ingest

def run(context, files):
    print("starting", flush=True)
    context.spark.range(1).collect()
    print("working", flush=True)
    context.spark.range(10**13).selectExpr("sum(id % 7)").collect()

ingest.run = run
main()
"""


@pytest.mark.parametrize(("doing", "seconds"), [("starting", 0.7), ("working", 2)])
def test_ctrl_c_ends_in_one_line_and_130(tmp_path: Path, doing: str, seconds: float) -> None:
    """Pipes that end say that no JVM holds them any more."""
    line = [sys.executable, "-c", PROGRAM, "run", "-w", str(tmp_path), "--models", "als"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as night:
        assert night.stdout
        assert night.stderr
        while night.stdout.readline() != f"{doing}\n":
            assert night.poll() is None
        time.sleep(seconds)  # until it does
        os.killpg(night.pid, signal.SIGINT)  # as a terminal does
        out, errors = night.stdout.read(), night.stderr.read()
    assert (night.returncode, out) == (130, ""), errors
    said = errors.splitlines()
    assert said[-1] == "mfspark: interrupted; the same command goes on from here"
    assert "ingest interrupted after" in said[-2]
    assert "Traceback" not in errors
    assert "ERROR" not in errors
    log = tmp_path / "logs" / f"{datetime.now(UTC).date()}.log"
    assert log.read_text().splitlines()[-1].endswith(" interrupted")
