"""Nights one after the other: new ratings join the last ones, dates are kept apart, ranges run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from mfspark.cli import app
from mfspark.errors import InputError
from mfspark.models.records import INGEST
from mfspark.pipeline.request import Request
from mfspark.schemas import table_names
from mfspark.tables.night import Night
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.support.nights import content_hash, run_night, table
from tests.support.places import pointer

QUICK = (
    'models.run=["baseline"]',
    'evaluation.split="none"',
    "publish.similar_items=0",
    "completed.max_cells=0",
    "gates.input.mode=off",
    "gates.drift.mode=off",
)
MERGE = (*QUICK, "ingest.merge=true")
HEADER = "userId,movieId,rating,timestamp"
DAYS = {  # of November 2023
    1: ["1,10,4.0", "1,11,3.0", "2,10,5.0", "3,12,2.0", "3,10,1.0"],
    2: ["1,11,4.5", "4,10,3.0", "2,13,4.0"],  # one changes their mind, new user, new item
    3: ["3,12,2.5", "5,11,1.0"],
}


def at(day: int, hour: int = 12) -> int:
    return int(pd.Timestamp(2023, 11, day, hour, tz="UTC").timestamp())


def lines(day: int) -> list[str]:
    return [f"{row},{at(day)}" for row in DAYS[day]]


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def run(
    spark: SparkSession, root: Path, day: int, *files: Path, options: tuple[str, ...] = MERGE
) -> Night:
    return run_night(spark, root, *options, ratings=files, run_date=f"2023-11-{day:02d}")


def ratings_of(root: Path, run_id: str | None = None) -> dict[tuple[int, int], tuple[float, int]]:
    frame = table(root, "ratings", run_id)
    assert not frame.duplicated(["user_id", "item_id"]).any()
    seconds = frame.rated_at.map(lambda moment: int(moment.timestamp()))
    values = zip(frame.rating, seconds, strict=True)
    return dict(zip(zip(frame.user_id, frame.item_id, strict=True), values, strict=True))


@pytest.fixture(scope="module")
def merged(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights, each given the ratings of its day only."""
    root = tmp_path_factory.mktemp("merged")
    for day in DAYS:
        run(spark, root, day, write(root / f"{day}.csv", *lines(day)))
    return root


def test_new_ratings_join_those_of_the_last_night(
    spark: SparkSession, merged: Path, tmp_path: Path
) -> None:
    everything = [row for day in DAYS for row in lines(day)]
    run(spark, tmp_path, 3, write(tmp_path / "all.csv", *everything), options=QUICK)
    assert ratings_of(merged) == ratings_of(tmp_path)
    assert ratings_of(merged)[1, 11] == (4.5, at(2))
    assert ratings_of(merged)[3, 12] == (2.5, at(3))
    keys = ["user_id", "n_ratings", "mean", "std"]
    pd.testing.assert_frame_equal(table(merged, "users")[keys], table(tmp_path, "users")[keys])
    report = PublishedRun(merged).record(INGEST)
    assert report is not None
    assert report.rating_step == 0.5
    assert report.rating_scale == (1.0, 5.0)
    counts = ("n_rows", "n_carried", "n_accepted", "n_rejected", "n_later", "n_replaced")
    assert [getattr(report, name) for name in counts] == [2, 7, 8, 0, 0, 1]


def test_ids_stay_from_night_to_night(merged: Path) -> None:
    for side, key in (("users", "user_id"), ("items", "item_id")):
        nights = [table(merged, side, r).set_index(key) for r in Warehouse(merged).run_ids()]
        index = f"{key.removesuffix('_id')}_idx"
        for later, earlier in pairwise(nights):
            assert (later[index].loc[earlier.index] == earlier[index]).all()
    assert table(merged, "users").sort_values("user_idx").user_id.tolist() == [1, 2, 3, 4, 5]


def test_what_is_delivered_again_or_late(spark: SparkSession, merged: Path, tmp_path: Path) -> None:
    """The same row again is accepted, an older one is superseded and kept as rejected."""
    before = ratings_of(merged)
    given = [f"1,10,4.0,{at(1)}", f"1,11,2.0,{at(1)}", f"5,11,1.0,{at(3)}", f"2,12,3.0,{at(5)}"]
    night = run(spark, merged, 4, write(tmp_path / "4.csv", *given))
    assert ratings_of(merged) == before
    assert table(merged, "rejected_ratings").raw.tolist() == ["1,11,2.0,2023-11-01 12:00:00"]
    report = night.record(INGEST)
    counts = ("n_rows", "n_carried", "n_accepted", "n_rejected", "n_later", "n_replaced")
    assert [getattr(report, name) for name in counts] == [4, 8, 8, 1, 1, 2]


def test_a_night_without_news(spark: SparkSession, merged: Path, tmp_path: Path) -> None:
    before = ratings_of(merged)
    report = run(spark, merged, 5, write(tmp_path / "5.csv")).record(INGEST)
    assert ratings_of(merged) == before
    assert (report.n_rows, report.n_carried, report.n_accepted) == (0, 8, 8)
    assert (report.rating_scale, report.rating_step) == ((1.0, 5.0), 0.5)
    assert table(merged, "users").user_id.dtype == "int64"
    with pytest.raises(InputError, match="no ratings"):
        run(spark, tmp_path / "new", 2, tmp_path / "5.csv")


def test_a_corrected_night_forgets_the_wrong_one(
    spark: SparkSession, merged: Path, tmp_path: Path
) -> None:
    last = Warehouse(merged).current()
    before = ratings_of(merged)
    run(spark, merged, 6, write(tmp_path / "wrong.csv", f"99,99,5.0,{at(6)}"))
    assert (99, 99) in ratings_of(merged)
    night = run(spark, merged, 6, write(tmp_path / "right.csv", f"9,10,5.0,{at(6)}"))
    assert night.base_run == last
    assert ratings_of(merged) == before | {(9, 10): (5.0, at(6))}
    assert 99 not in table(merged, "users").user_id.tolist()


def test_a_range_of_nights_equals_the_nights_one_by_one(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert spark.getActiveSession() is not None
    everything = write(tmp_path / "all.csv", *(row for day in DAYS for row in lines(day)))
    for day in (1, 2):
        run(spark, tmp_path / "single", day, everything, options=QUICK)
    settings = [part for option in QUICK for part in ("--set", option)]
    options = ["--ratings", str(everything), "-w", str(tmp_path / "range"), *settings]
    arguments = ["backfill", "--from", "2023-11-01", "--to", "2023-11-02", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    ranged, single = Warehouse(tmp_path / "range"), Warehouse(tmp_path / "single")
    assert ranged.run_ids() == single.run_ids()
    assert result.stdout.splitlines() == [
        f"run {run_id} is published" for run_id in reversed(ranged.run_ids())
    ]
    assert len(ratings_of(ranged.root, ranged.run_ids()[-1])) == 5, "only up to its date"
    changing = {"runs": ("published_at",), "loss_history": ("seconds",)}
    for run_id in ranged.run_ids():
        tables = sorted(ranged.manifest(run_id).tables)
        assert tables == sorted(single.manifest(run_id).tables)
        assert set(tables) < set(table_names())
        for name in tables:
            left_out = changing.get(name, ())
            hashes = {content_hash(w.root, name, left_out, run_id) for w in (ranged, single)}
            assert len(hashes) == 1, f"{name} of {run_id}"

    before = pointer(ranged).read_bytes()
    again = CliRunner().invoke(app, arguments)
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    assert pointer(ranged).read_bytes() == before


def test_a_range_ends_with_the_first_night_that_fails(spark: SparkSession, tmp_path: Path) -> None:
    assert spark.getActiveSession() is not None
    given = write(tmp_path / "all.csv", *lines(2))
    settings = [part for option in QUICK for part in ("--set", option)]
    arguments = ["--ratings", str(given), "-w", str(tmp_path / "wh"), *settings]
    result = CliRunner().invoke(
        app, ["backfill", "--from", "2023-11-01", "--to", "2023-11-03", *arguments]
    )
    assert result.exit_code == 3
    assert "all 3 ratings are later than 2023-11-01" in result.stderr
    result = CliRunner().invoke(app, ["backfill", "--from", "2023-11-03", "--to", "2023-11-01"])
    assert result.exit_code == 2
    assert "is empty" in result.stderr


def test_the_run_date_in_a_path_is_the_night_s() -> None:
    config = Request(
        "run", ratings=("/data/r-{run_date}.csv",), run_date="2023-11-02", overrides=("seed=1",)
    ).load()
    assert config.inputs.ratings == ("/data/r-2023-11-02.csv",)
