"""Thirty nights in a row on ratings that grow: nothing but the ratings grows."""

from __future__ import annotations

import gc
import json
import os
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from mfspark.models.records import INGEST
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.tables.retention import collect
from mfspark.tables.warehouse import Warehouse
from tests.support.nights import run_night
from tests.support.processes import descendants, memory_mb, open_descriptors
from tests.support.rounds import long_only

OPTIONS = (
    'models.run=["als"]',
    "models.als.rank=4",
    "models.warm_start=true",
    "ingest.merge=true",
    "completed.max_cells=0",
    "publish.similar_items=0",
)
N_NIGHTS, KEPT = 30, 3


def footprint(root: Path) -> dict[str, float]:
    """What a night may leave behind: descriptors, memory, temporary and scratch files, runs.

    Those of the JVM and of Python workers count too.
    """
    gc.collect()
    here = os.getpid()
    started = descendants(here)
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        "descriptors": len(open_descriptors(here)),
        "memory_mb": memory_mb(here),
        "processes": len(started),
        "their_descriptors": sum(len(open_descriptors(pid)) for pid in started),
        "their_memory_mb": sum(memory_mb(pid) for pid in started),
        "temporary": len(os.listdir(tempfile.gettempdir())),
        "scratch": len(list((root / "scratch").iterdir())),
        "runs": len(list((root / "runs").iterdir())),
        "files": len(files),
        "disk_mb": sum(path.stat().st_size for path in files) / 2**20,
    }


@pytest.mark.faults
@pytest.mark.timeout(3600)
@long_only
def test_thirty_nights_leave_a_level_footprint(spark: SparkSession, tmp_path: Path) -> None:
    write_synthetic(SyntheticSpec(150, 80, 6000, seed=4), tmp_path / "all", "csv")
    ratings = pd.read_csv(tmp_path / "all" / "ratings.csv").sample(frac=1, random_state=1)
    root, first = tmp_path / "wh", len(ratings) // 2
    nightly = (len(ratings) - first) // N_NIGHTS
    footprints: list[dict[str, float]] = []
    for n in range(N_NIGHTS):
        new = ratings[: first + nightly] if n == 0 else ratings[first + n * nightly :][:nightly]
        new.to_csv(tmp_path / "new.csv", index=False)
        date = f"2026-11-{n + 1:02d}"
        night = run_night(spark, root, *OPTIONS, ratings=(tmp_path / "new.csv",), run_date=date)
        assert night.published
        assert night.record(INGEST).n_accepted == first + (n + 1) * nightly
        for run in Warehouse(root).run_ids()[1:]:  # as if each night were a day
            _left_long_ago(root, run)
        collect(Warehouse(root), keep=KEPT)
        footprints.append(footprint(root))
        print(date, footprints[-1])
    early, late = footprints[KEPT + 2], footprints[-1]
    slack = {
        "descriptors": 5,
        "memory_mb": 150,
        "processes": 1,
        "their_descriptors": 40,
        "their_memory_mb": 500,  # the JVM's heap grows until it is worth collecting
        "temporary": 5,
        "scratch": 0,
        "runs": 0,
        "files": 3,
        "disk_mb": early["disk_mb"],  # ratings grew by four fifths
    }
    assert slack.keys() == late.keys()
    for what, more in slack.items():
        assert late[what] <= early[what] + more, what


def _left_long_ago(root: Path, run_id: str) -> None:
    path = root / "CURRENT"
    pointer = json.loads(path.read_bytes())
    pointer["left"][run_id] = "2026-01-01T00:00:00+00:00"
    path.write_text(json.dumps(pointer))
