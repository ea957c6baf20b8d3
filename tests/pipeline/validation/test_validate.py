from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from mfspark.errors import ConfigError
from mfspark.pipeline.progress import LoggedProgress
from mfspark.pipeline.request import Request
from mfspark.pipeline.validation.protocols import ProtocolName
from mfspark.pipeline.validation.run import Validation, validate
from tests.pipeline.tuning.test_tune import ratings
from tests.support.nights import run_night, table

DATE = "2026-11-22"
SMALL = (
    "models.ials.rank=8",
    "models.ials.max_iter=5",
    "models.als.rank=4",
    "models.als.max_iter=4",
)


def request(warehouse: Path, file: Path, *overrides: str) -> Request:
    return Request(
        "run", ratings=(str(file),), warehouse=str(warehouse), run_date=DATE, overrides=overrides
    )


def validated(
    spark: SparkSession, warehouse: Path, file: Path, protocol: ProtocolName, *overrides: str
) -> Validation:
    assert spark.getActiveSession() is not None
    return validate(request(warehouse, file, *SMALL, *overrides), protocol, LoggedProgress())


def figures(found: Validation) -> dict[tuple[str, str, str], Any]:
    rows = {(f.split, f.model, f.metric): f for f in found.figures}
    assert len(rows) == len(found.figures)
    return rows


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ratings(tmp_path_factory.mktemp("ratings"))


@pytest.mark.parametrize("protocol", ["folds", "windows"])
def test_each_part_is_measured_and_all_of_them_together(
    spark: SparkSession, file: Path, tmp_path: Path, protocol: ProtocolName
) -> None:
    asked = ("models.run=['ials','als']", "evaluation.folds=3")
    found = validated(spark, tmp_path, file, protocol, *asked)
    rows = figures(found)
    assert found.models == ("ials", "als", "baseline", "popularity")
    assert found.left_out == ()
    for model, metric in (("ials", "ndcg"), ("als", "rmse"), ("baseline", "rmse"), ("als", "map")):
        parts = [rows[f"{protocol} {n}/3", model, metric] for n in (1, 2, 3)]
        whole = rows[f"{protocol} 3", model, metric]
        values = [part.value for part in parts]
        assert whole.value == pytest.approx(np.mean(values))
        half = 4.302652729911275 * np.std(values, ddof=1) / 3**0.5  # of Student's t, 2 degrees
        assert [whole.low, whole.high] == pytest.approx([whole.value - half, whole.value + half])
        assert all(part.low < part.value < part.high for part in parts)
    assert ("folds 3", "ials", "rmse") not in rows
    if protocol == "folds":  # every rating is held out once
        n = sum(rows[f"folds {n}/3", "als", "rmse"].n for n in (1, 2, 3))
        assert n == len(file.read_text().splitlines()) - 1
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not (tmp_path / "CURRENT").exists()


def test_two_likings_are_found_in_users_nobody_has_seen(
    spark: SparkSession, file: Path, tmp_path: Path
) -> None:
    asked = ("models.run=['ials','als','item_knn','user_knn']", "evaluation.folds=2")
    found = validated(spark, tmp_path, file, "users", *asked)
    rows = figures(found)
    assert found.models == ("ials", "als", "item_knn", "popularity")
    assert found.left_out == (
        "user_knn takes in no users after training",
        "baseline takes in no users after training",
    )
    popular = rows["users 2", "popularity", "ndcg"].value
    for model in ("ials", "item_knn", "als"):
        assert rows["users 2", model, "ndcg"].value > 1.15 * popular, model
    measured = sum(rows[f"users {n}/2", "ials", "ndcg"].n for n in (1, 2))
    assert 90 < measured <= 120  # users, each in one group
    assert not any(metric == "rmse" for _, _, metric in rows)


def test_a_part_is_measured_as_a_night_measures_its_test_part(
    spark: SparkSession, file: Path, tmp_path: Path
) -> None:
    """One window of time is the split `temporal`; all figures and intervals are the night's."""
    names = "models.run=['ials','als','item_knn']"
    asked = (names, *SMALL, "evaluation.split=temporal", "evaluation.test_share=0.15")
    found = validated(
        spark, tmp_path / "a", file, "windows", names, "evaluation.folds=2",
        "evaluation.test_share=0.3",
    )  # fmt: skip
    rows = figures(found)
    run_night(spark, tmp_path / "b", *asked, ratings=(file,))
    night = table(tmp_path / "b", "metrics").set_index(["model", "metric"])
    compared = 0
    for (split, model, metric), mine in rows.items():
        if split == "windows 2/2":  # what is held out last is the latest 15%
            theirs = night.loc[(model, metric)]
            assert mine.value == pytest.approx(theirs.value, abs=1e-6), (model, metric)
            assert mine.low == pytest.approx(theirs.low, abs=1e-6)
            assert mine.high == pytest.approx(theirs.high, abs=1e-6)
            assert (mine.n, mine.k or 0) == (theirs.n, np.nan_to_num(theirs.k))
            compared += 1
    assert compared == 5 * 7 + 3 * 2  # five models by lists, three of them by ratings


def test_nobody_who_takes_in_users_is_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ConfigError, match="takes in users after training"):
        validate(request(tmp_path, file, "models.run=['svd']"), "users", LoggedProgress())


def test_windows_need_times(spark: SparkSession, tmp_path: Path, file: Path) -> None:
    import pandas as pd

    pd.read_csv(file).drop(columns="timestamp").to_csv(tmp_path / "r.csv", index=False)
    asked = "models.run=['popularity']"
    with pytest.raises(ConfigError, match="needs times"):
        validated(spark, tmp_path / "w", tmp_path / "r.csv", "windows", asked)
