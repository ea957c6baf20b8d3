"""Credentials that expire in the middle of a night: told, nothing lost, and the rerun goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.tables.warehouse import Warehouse
from tests.support.cluster import submitted
from tests.support.faulty_proxy import FaultyProxy
from tests.support.nights import DATE, run_night
from tests.support.published import content
from tests.support.rounds import LONG

OPTIONS = (
    'models.run=["als"]',
    "models.als.rank=4",
    "models.als.max_iter=4",
    "publish.similar_items=0",
    'grid.engine="spark"',
)
MOMENTS = ("ingest", "train als", "refit als") if LONG else ("train als",)
INTERNAL = 70


@pytest.mark.faults
@pytest.mark.parametrize("step", MOMENTS)
def test_credentials_that_expire_are_told_and_the_same_command_goes_on(
    spark: SparkSession, proxied: Any, proxy: FaultyProxy, tmp_path: Path, step: str
) -> None:
    write_synthetic(SyntheticSpec(n_users=80, n_items=50, n_ratings=1500, seed=3), tmp_path, "csv")
    ratings, root = tmp_path / "ratings.csv", proxied().root
    settings = [word for option in OPTIONS for word in ("--set", option)]
    words = ["--ratings", str(ratings), "--warehouse", root, "--run-date", DATE, *settings]
    with submitted(tmp_path / "first", words, "local[2]") as run:
        run.wait_for(step)
        proxy.fault = lambda *_: "expired"
        assert run.end() == INTERNAL
        said = run.log.read_text()
    message, remedy = said.strip().splitlines()[-2:]
    assert message.startswith("mfspark: cannot ")
    assert message.endswith(": the credentials have expired")
    assert remedy == ("  renew them, then run the same command again: it goes on where it stopped")
    proxy.reset()
    assert Warehouse(root).current() is None
    with submitted(tmp_path / "second", words, "local[2]") as run:
        assert run.end() == 0, run.log.read_text()[-3000:]
    run_night(spark, tmp_path / "here", *OPTIONS, ratings=(ratings,))
    assert content(root) == content(tmp_path / "here")
