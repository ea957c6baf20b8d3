"""A night in a bucket: the same tables as in a directory, and its requests told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from mfspark.cli.closing import print_requests
from mfspark.models.records import requests_of
from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request, execute
from mfspark.tables.run import PublishedRun
from tests.support.faulty_proxy import faulty_proxy

PROGRAM = "from mfspark.cli import main; main()"
DATE, MODELS, OVERRIDES = "2026-11-22", ("als", "popularity"), ("models.als.rank=4",)
OPTIONS = ("--models", ",".join(MODELS), "--run-date", DATE, "--set", *OVERRIDES)
NOT_CONTENT = {"runs", "loss_history"}  # when it was, and how long it took
MOST = 400
"""Requests of such a night."""


def run(warehouse: str, **environment: str) -> str:
    """Run the night of the embedded survey in a process of its own; return what it prints."""
    command = [
        sys.executable,
        "-c",
        "from mfspark.cli import main; main()",
        "run",
        "--warehouse",
        warehouse,
        *OPTIONS,
    ]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def hashes(run: PublishedRun) -> dict[str, list[str]]:
    return {
        name: [file.sha256 for file in entry.files]
        for name, entry in run.manifest.tables.items()
        if name not in NOT_CONTENT
    }


@pytest.mark.timeout(900)
def test_a_night_in_a_bucket(
    spark: SparkSession, object_server: Any, object_storage: Any, tmp_path: Path
) -> None:
    with faulty_proxy(object_server("moto").port) as proxy:
        storage = object_storage("moto", AWS_ENDPOINT_URL=proxy.address)
        printed = run(storage.root, TMPDIR=str(tmp_path))
        (found,) = re.findall(r"requests to \S+: ([\d,]+) \(", printed)
        told = int(found.replace(",", ""))
        assert told == len(proxy.seen) < MOST
        there = PublishedRun(storage)
        recorded = requests_of(there.manifest.stages, there.run_id)
        assert 0 < told - recorded.requests < 30, "what publishing takes"
        assert storage.names("scratch") == []

    assert spark.getActiveSession() is not None  # execute uses the running session
    request = Request("run", warehouse=str(tmp_path / "w"), run_date=DATE, models=MODELS)
    night = execute(replace(request, overrides=OVERRIDES), LoggedProgress())
    here = PublishedRun(night.warehouse)
    assert hashes(there) == hashes(here)
    assert there.run_id == here.run_id
    assert not any(name.startswith("requests") for name in here.manifest.stages)
    out = StringIO()
    asked = requests_of(here.manifest.stages, here.run_id)
    print_requests(Console(file=out), asked, night)
    assert out.getvalue() == ""
