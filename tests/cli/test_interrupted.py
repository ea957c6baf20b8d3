"""Ctrl-C while Spark works: one line, status 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

PROGRAM = """
from mfspark.cli import main
from mfspark.pipeline import ingest

def run(context, files):
    print("working", flush=True)
    context.spark.range(10**13).selectExpr("sum(id)").collect()

ingest.run = run
main()
"""


def test_ctrl_c_ends_in_one_line_and_130(tmp_path: Path) -> None:
    line = [sys.executable, "-c", PROGRAM, "run", "-w", str(tmp_path), "--models", "als"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as night:
        assert night.stdout
        assert night.stderr
        assert night.stdout.readline() == "working\n"
        time.sleep(2)  # until Spark works
        os.killpg(night.pid, signal.SIGINT)  # as a terminal does
        out, errors = night.stdout.read(), night.stderr.read()
    assert (night.returncode, out) == (130, "")
    said = errors.splitlines()
    assert said[-1] == "mfspark: interrupted; the same command goes on from here"
    assert "ingest interrupted after" in said[-2]
    assert "Traceback" not in errors
    assert "ERROR" not in errors
    log = tmp_path / "logs" / f"{datetime.now(UTC).date()}.log"
    assert log.read_text().splitlines()[-1].endswith(" interrupted")
