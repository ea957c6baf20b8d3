"""The stage commands on Spark: a published night, a single stage, an input that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from mfspark.cli import app
from mfspark.tables.night import Night

pytestmark = pytest.mark.usefixtures("spark")


def test_running_a_published_night_again_changes_nothing_and_says_so(survey_night: Night) -> None:
    root = Path(survey_night.warehouse.root)
    pointer = (root / "CURRENT").stat().st_mtime_ns
    arguments = ["run", "--warehouse", str(root), "--run-date", str(survey_night.run_date)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert f"run {survey_night.run_id} was already published" in result.stderr
    assert "note: publish.n = 10 asked, only 0 to 7 unseen items" in result.stdout
    assert "survey.xlsx: excel, wide" in result.stdout
    assert (root / "CURRENT").stat().st_mtime_ns == pointer


def test_a_single_stage_leaves_readers_alone(tmp_path: Path, spark: SparkSession) -> None:
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("user,item,rating\n1,a,3\n2,a,4\n2,b,\n")
    arguments = ["ingest", "--ratings", str(ratings), "--warehouse", str(tmp_path / "w")]
    result = CliRunner().invoke(
        app, [*arguments, "--run-date", "2026-11-22", "--set", "ingest.max_rejected_share=0.5"]
    )
    assert result.exit_code == 0, result.stderr
    (rejected,) = (tmp_path / "w" / "scratch").glob("*/tables/rejected_ratings")
    assert str(rejected.parent) in result.stdout
    assert spark.read.parquet(str(rejected)).count() == 1
    assert not (tmp_path / "w" / "CURRENT").exists()
    assert "1/1 ingest: " in (tmp_path / "w" / "logs" / "2026-11-22.log").read_text()


def test_an_unusable_input_ends_with_3_and_the_reasons(tmp_path: Path) -> None:
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("user,item,rating\n1,a,x\x1b[31m\n2,a,4\n")
    result = CliRunner().invoke(
        app, ["run", "--ratings", str(ratings), "--warehouse", str(tmp_path / "w")]
    )
    assert (result.exit_code, result.stdout) == (3, "")
    assert "1 of 2 rows (50.0%) were rejected" in result.stderr
    assert "rating_not_a_number" in result.stderr
    assert "\x1b" not in result.stderr
