"""Nights that got worse are refused, honest ones are not; a refusal keeps its evidence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from mfspark.errors import RefusedError
from mfspark.pipeline import fits
from mfspark.samples.synthetic import SyntheticSpec, write_synthetic
from mfspark.tables.night import Night
from mfspark.tables.warehouse import Warehouse
from tests.support.nights import content_hash, run_night, table
from tests.support.places import pointer, scratch_dir
from tests.support.rounds import long_only

OPTIONS = (
    'models.run=["als","ials"]',
    "models.als.rank=8",
    "models.ials.rank=8",
    "publish.similar_items=0",
    "completed.max_cells=0",
)
QUICK = ('models.run=["baseline"]', 'evaluation.split="none"', *OPTIONS[3:])


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of 300 users for 200 items, with planted structure."""
    folder = tmp_path_factory.mktemp("judged")
    spec = SyntheticSpec(n_users=300, n_items=200, n_ratings=12_000, noise=0.3, seed=5)
    write_synthetic(spec, folder, "csv")
    return folder / "ratings.csv"


@pytest.fixture(scope="module")
def warehouse(
    spark: SparkSession, ratings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    """A warehouse whose current run is a good one."""
    root = tmp_path_factory.mktemp("good")
    run_night(spark, root, *OPTIONS, ratings=(ratings,), run_date="2026-11-20")
    return Warehouse(root)


def refused(warehouse: Warehouse, run: Callable[[], Night]) -> dict[str, Any]:
    """Run a night that must be refused, and return its `why.json`."""
    before = pointer(warehouse).read_bytes() if warehouse.current() else b""
    with pytest.raises(RefusedError) as told:
        run()
    assert told.value.status == 5
    assert (pointer(warehouse).read_bytes() if before else b"") == before
    (path,) = Path(warehouse.root, "scratch").glob("*/why.json")
    why = json.loads(path.read_text())
    assert str(path) in told.value.hint
    assert all(reason in told.value.message for reason in why["reasons"])
    assert list(told.value.reasons) == why["reasons"]
    assert (path.parent / "tables" / "top_n").is_dir(), "the evidence is kept"
    path.rename(path.with_name("read.json"))
    return why


def copied(warehouse: Warehouse, to: Path) -> Path:
    return shutil.copytree(warehouse.root, to / "copy")


def failed(why: dict[str, Any]) -> set[tuple[str, str]]:
    return {(v["gate"], v["subject"]) for v in why["verdicts"] if v["outcome"] == "failed"}


def plant(monkeypatch: pytest.MonkeyPatch, subsets: tuple[str, ...]) -> None:
    """Shuffle the item factors of every fit on some subsets: finite, well-formed, and nonsense."""
    real = fits.fit_model

    def shuffled(name: Any, context: Any, options: Any) -> Any:
        model = real(name, context, options)
        if name in ("als", "ials") and context.name.startswith(subsets):
            for reference in model.item.references:
                arrays = dict(context.store.get(reference))
                order = np.random.default_rng(1).permutation(len(arrays["factors"]))
                context.store.put(reference, arrays | {"factors": arrays["factors"][order]})
        return model

    monkeypatch.setattr(fits, "fit_model", shuffled)


def test_the_first_night_is_judged_by_itself(warehouse: Warehouse) -> None:
    verdicts = warehouse.manifest().verdicts
    assert {v["outcome"] for v in verdicts} == {"passed"}
    assert {v["gate"] for v in verdicts} == {"audits", "baseline"}
    assert len([v for v in verdicts if v["gate"] == "audits"]) > 30


def test_an_honest_rerun_with_another_seed_is_published(
    spark: SparkSession, warehouse: Warehouse, ratings: Path, tmp_path: Path
) -> None:
    root = copied(warehouse, tmp_path)
    options = (*OPTIONS, "seed=7")
    night = run_night(spark, root, *options, ratings=(ratings,), run_date="2026-11-21")
    assert night.published
    verdicts = Warehouse(root).manifest().verdicts
    assert [v["why"] for v in verdicts if v["outcome"] == "failed"] == []
    compared = {(v["gate"], v["subject"]): v for v in verdicts if v["n"]}
    assert {("rating", "als"), ("ranking", "ials"), ("baseline", "als")} <= set(compared)
    rating = compared["rating", "als"]
    both = [table(root, "user_metrics", r).query("model == 'als' and n_test > 0")
            for r in Warehouse(root).run_ids()]  # fmt: skip
    now, last = (frame.set_index("user_id") for frame in both)
    same = now.index.intersection(last.index)
    assert rating["n"] == len(same)
    for figure, frame in (("now", now), ("last", last)):
        mine = frame.loc[same]
        rmse = (mine.squared_error.sum() / mine.n_test.sum()) ** 0.5
        assert rating[figure] == pytest.approx(rmse)


def test_shuffled_factors_are_refused_and_may_be_published_all_the_same(
    spark: SparkSession,
    warehouse: Warehouse,
    ratings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = copied(warehouse, tmp_path)
    plant(monkeypatch, ("train", "all"))

    def run(*settings: str) -> Night:
        return run_night(
            spark, root, *OPTIONS, *settings, ratings=(ratings,), run_date="2026-11-21"
        )

    found = failed(why := refused(Warehouse(root), run))
    assert {("rating", "als"), ("ranking", "ials"), ("list_change", "ials")} <= found
    assert why["reference_run"] == warehouse.current()
    assert not any(gate == "audits" for gate, _ in found), "well-formed nonsense"
    worse = next(v for v in why["verdicts"] if (v["gate"], v["subject"]) == ("rating", "als"))
    assert worse["low"] > worse["threshold"] == 0.05

    monkeypatch.undo()  # finished stages are not repeated: the nonsense is what is published
    gates = sorted({gate for gate, _ in found})
    night = run(*(f"gates.{gate}.mode=warn" for gate in gates))
    assert night.run_id == why["run_id"] == Warehouse(root).current()
    assert not scratch_dir(night).exists()
    recorded = Warehouse(root).manifest().verdicts
    assert {(v["gate"], v["subject"]) for v in recorded if v["outcome"] == "failed"} == found


@pytest.mark.faults
@long_only
def test_factors_shuffled_after_they_were_measured_are_refused(
    spark: SparkSession,
    warehouse: Warehouse,
    ratings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = copied(warehouse, tmp_path)
    plant(monkeypatch, ("all",))
    why = refused(
        Warehouse(root),
        lambda: run_night(spark, root, *OPTIONS, ratings=(ratings,), run_date="2026-11-21"),
    )
    assert ("list_change", "ials") in failed(why)
    assert not {gate for gate, _ in failed(why)} & {"rating", "ranking", "baseline"}


def halved_catalogue(ratings: pd.DataFrame) -> pd.DataFrame:
    return ratings[ratings.movieId % 2 == 0]


def halved_input(ratings: pd.DataFrame) -> pd.DataFrame:
    return ratings.sample(frac=0.5, random_state=1)


@pytest.mark.parametrize(
    ("spoil", "subjects"),
    [
        (halved_catalogue, {("input", "ratings"), ("input", "items with ratings")}),
        (halved_input, {("input", "ratings")}),
    ],
)
def test_a_spoilt_input_is_refused(
    spark: SparkSession,
    warehouse: Warehouse,
    ratings: Path,
    tmp_path: Path,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    subjects: set[tuple[str, str]],
) -> None:
    root = copied(warehouse, tmp_path)
    spoil(pd.read_csv(ratings)).to_csv(tmp_path / "spoilt.csv", index=False)
    inputs = (tmp_path / "spoilt.csv",)
    why = refused(
        Warehouse(root),
        lambda: run_night(spark, root, *QUICK, ratings=inputs, run_date="2026-11-21"),
    )
    assert failed(why) == subjects


def test_a_table_that_breaks_its_contract_is_refused(
    spark: SparkSession, ratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mfspark.pipeline.publishing import list_tables

    real = list_tables._read

    def without_rank_3(*args: Any) -> pa.RecordBatch:
        rows = real(*args)
        return rows.filter(pa.array(rows["rank"].to_numpy() != 3))

    monkeypatch.setattr(list_tables, "_read", without_rank_3)

    def run(*settings: str) -> Night:
        return run_night(spark, tmp_path, *QUICK, *settings, ratings=(ratings,))

    why = refused(Warehouse(tmp_path), run)
    assert failed(why) == {
        ("audits", f"{table}: {what}")
        for table in ("top_n", "serving")
        for what in ("ranks are dense from 1", "lists have N rows, or all there are")
    }
    assert run("gates.audits.mode=off").published
    assert Warehouse(tmp_path).manifest().verdicts == []


def test_lists_of_a_training_part_keep_their_contract(
    spark: SparkSession, ratings: Path, tmp_path: Path
) -> None:
    options = ('models.run=["baseline"]', "evaluation.refit=false", *OPTIONS[3:])
    run_night(spark, tmp_path, *options, 'publish.deny_items=["1","3"]', ratings=(ratings,))
    verdicts = Warehouse(tmp_path).manifest().verdicts
    assert {v["outcome"] for v in verdicts} == {"passed"}
    assert content_hash(tmp_path, "top_n")
