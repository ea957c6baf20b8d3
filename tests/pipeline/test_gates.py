"""The numbers that gates judge, from tables made by hand; no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import Config
from mfspark.evaluation.gates import Verdict
from mfspark.ingest.report import IngestReport
from mfspark.pipeline.gates import JudgedNight, compare
from mfspark.schemas import IdTypes, table_schema
from mfspark.storage.posix import PosixStorage
from mfspark.tables.manifest import Manifest
from mfspark.tables.sql import Tables
from mfspark.tables.table_files import TableFiles
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run

IDS = IdTypes("integer", "integer")
USERS = range(40)
Rows = list[dict[str, Any]]


def run_of(
    *, errors: dict[str, float], ndcg: float = 0.5, first: int = 0, ratings: Rows | None = None
) -> dict[str, Rows]:
    """Tables of a run: each model's error at each of 3 test ratings, lists of 5 of 40 items.

    User u's list begins with item u + `first`, so that lists of two runs share 5 - first items.
    """
    return {
        "user_metrics": [
            {"model": model, "user_id": user, "n_test": 3, "n_relevant": 1, "ndcg": ndcg,
             "squared_error": 3 * (error * (1 + user % 3)) ** 2}
            for model, error in errors.items()
            for user in USERS
        ],
        "top_n": [
            {"model": "als", "user_id": user, "rank": rank, "item_id": (user + first + rank) % 40}
            for user in USERS
            for rank in range(1, 6)
        ],
        "users": [{"user_id": user, "n_ratings": 2} for user in USERS],
        "items": [{"item_id": item, "n_ratings": 2} for item in range(40)],
        "ratings": ratings or [{"rating": 1.0 + n % 5} for n in range(80)],
    }  # fmt: skip


def judged(
    tmp_path: Path,
    reference: dict[str, Rows] | None,
    tonight: dict[str, Rows],
    served: tuple[str, str] | None = None,
    **options: Any,
) -> dict[tuple[str, str], Verdict]:
    """Compare two runs and return the verdicts by gate and subject."""
    for run, tables in (("reference.", reference), ("", tonight)):
        for name, rows in (tables or {}).items():
            schema = table_schema(name, IDS)
            filled = [{field: row.get(field) for field in schema.names} for row in rows]
            pq.write_table(pa.Table.from_pylist(filled, schema), tmp_path / f"{run}{name}.parquet")
    config = Config.model_validate({"models": {"run": ["als"]}, **options})
    report = IngestReport(
        n_rows=100, n_accepted=80, n_rejected=20, n_later=0, rejected_by_reason={},
        rating_scale=(1.0, 5.0), rating_step=1.0, ids=IDS, n_users=40, n_items=40,
    )  # fmt: skip
    tables = Tables(lambda name: TableFiles(PosixStorage(str(tmp_path)), (f"{name}.parquet",)))
    manifest = manifest_of(tmp_path / "reference") if reference else None
    found = list(compare(JudgedNight(tables, config, report, manifest, served)))
    verdicts = {(v.gate, v.subject): v for v in found}
    assert len(verdicts) == len(found)
    return verdicts


def manifest_of(root: Path) -> Manifest:
    """The manifest of a run of 80 accepted and 20 rejected rows, with all tables."""
    if not root.exists():
        made_run.publish_run(root)
    made = Warehouse(root).manifest()
    ingest = {"n_rows": 100, "n_accepted": 80, "n_rejected": 20}
    config = {"evaluation": Config().evaluation.model_dump(mode="json"), "publish": {"n": 10}}
    tables = {**made.tables, "user_metrics": made.tables["users"]}
    return made.model_copy(
        update={"stages": {"ingest": ingest}, "config": config, "tables": tables}
    )


def failures(verdicts: dict[tuple[str, str], Verdict]) -> set[tuple[str, str]]:
    return {key for key, verdict in verdicts.items() if verdict.outcome == "failed"}


GOOD = run_of(errors={"baseline": 0.95, "als": 0.90})


def test_the_same_again_passes_every_gate(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, GOOD, GOOD)
    assert {v.outcome for v in verdicts.values()} == {"passed"}
    assert {gate for gate, _ in verdicts} == {
        "input", "rejected", "drift", "baseline", "rating", "ranking", "coverage",
        "concentration", "list_change",
    }  # fmt: skip
    assert verdicts["rating", "als"].n == 40
    assert verdicts["rating", "als"].value == 0.0
    assert verdicts["baseline", "als"].value == pytest.approx(0.90 / 0.95 - 1)


def test_a_first_night_is_compared_with_its_own_baseline_only(tmp_path: Path) -> None:
    assert set(judged(tmp_path, None, GOOD)) == {("baseline", "als")}
    nonsense = run_of(errors={"baseline": 0.95, "als": 1.3})
    verdicts = judged(tmp_path, None, nonsense)
    assert failures(verdicts) == {("baseline", "als")}
    assert verdicts["baseline", "als"].value == pytest.approx(1.3 / 0.95 - 1)


def test_worse_predictions_and_worse_lists_are_told_apart(tmp_path: Path) -> None:
    rating = judged(tmp_path, GOOD, run_of(errors={"baseline": 0.95, "als": 0.99}))
    assert failures(rating) == {("rating", "als")}
    assert rating["rating", "als"].value == pytest.approx(0.1)
    assert (rating["rating", "als"].reference, rating["rating", "als"].tonight) == pytest.approx(
        (0.9 * (14 / 3 - 0.1) ** 0.5, 0.99 * (14 / 3 - 0.1) ** 0.5), rel=0.02
    )
    ranking = judged(tmp_path, GOOD, run_of(errors={"baseline": 0.95, "als": 0.9}, ndcg=0.4))
    assert failures(ranking) == {("ranking", "als"), ("ranking", "baseline")}
    assert ranking["ranking", "als"].value == pytest.approx(0.2)


def test_what_people_get_is_compared_where_another_model_makes_it(tmp_path: Path) -> None:
    now = run_of(errors={"baseline": 0.95, "als": 0.90})
    for row in now["user_metrics"]:
        row["ndcg"] = {"baseline": 0.2, "als": 0.6}[row["model"]]
    before = run_of(errors={"baseline": 0.95, "als": 0.90})
    worse = judged(tmp_path, before, now, ("als", "baseline"))["ranking", "serving"]
    assert (worse.outcome, worse.value) == ("failed", pytest.approx(0.6))
    assert (worse.reference, worse.tonight) == pytest.approx((0.5, 0.2))
    better = judged(tmp_path, before, now, ("baseline", "als"))["ranking", "serving"]
    assert (better.outcome, better.value) == ("passed", pytest.approx(-0.2))
    same = judged(tmp_path, before, now, ("als", "als"))
    assert ("ranking", "serving") not in same
    new = judged(tmp_path, before, now, ("svd", "als"))["ranking", "serving"]
    assert new.outcome == "skipped"


def test_only_users_of_both_runs_are_compared(tmp_path: Path) -> None:
    """New users are harder here, and one is gone: the same users did as well as before."""
    now = run_of(errors={"baseline": 0.95, "als": 0.90})
    now["user_metrics"] = [row for row in now["user_metrics"] if row["user_id"] != 7] + [
        {"model": "als", "user_id": user, "n_test": 3, "squared_error": 99.0, "n_relevant": 1,
         "ndcg": 0.0}
        for user in range(100, 200)
    ]  # fmt: skip
    verdicts = judged(tmp_path, GOOD, now)
    assert failures(verdicts) == set()
    assert verdicts["rating", "als"].n == verdicts["ranking", "als"].n == 39


def test_what_was_not_measured_is_no_zero(tmp_path: Path) -> None:
    """Users without a test rating or a relevant item have nulls, and are left out."""
    now = run_of(errors={"baseline": 0.95, "als": 0.90})
    for row in now["user_metrics"]:
        if row["user_id"] < 5:
            row.update(n_test=None, squared_error=None)
        if row["user_id"] > 29:
            row.update(n_relevant=None, ndcg=None)
    verdicts = judged(tmp_path, GOOD, now)
    assert failures(verdicts) == set()
    assert (verdicts["rating", "als"].n, verdicts["ranking", "als"].n) == (35, 30)


@pytest.mark.parametrize(
    ("evaluation", "skipped"),
    [
        ({"split": "temporal"}, {"rating", "ranking"}),
        ({"k": 5}, {"ranking"}),
        ({"relevant_rating": 3.0}, {"ranking"}),
    ],
)
def test_other_protocols_are_not_compared(
    tmp_path: Path, evaluation: dict[str, Any], skipped: set[str]
) -> None:
    now = run_of(errors={"baseline": 9.0, "als": 9.0}, ndcg=0.0)
    verdicts = judged(tmp_path, GOOD, now, evaluation=evaluation)
    assert {gate for (gate, _), v in verdicts.items() if v.outcome == "skipped"} == skipped
    (key,) = evaluation
    assert f"evaluation.{key} changed" in next(
        v.why for v in verdicts.values() if v.outcome == "skipped"
    )


def test_fewer_items_and_more_alike_lists(tmp_path: Path) -> None:
    now = run_of(errors={"baseline": 0.95, "als": 0.90})
    for row in now["top_n"]:
        row["item_id"] = row["rank"] + (row["user_id"] == 0)  # six items for everybody
    verdicts = judged(tmp_path, GOOD, now)
    assert failures(verdicts) == {("coverage", "als"), ("concentration", "als")}
    assert (verdicts["coverage", "als"].reference, verdicts["coverage", "als"].tonight) == (40, 6)
    assert verdicts["concentration", "als"].reference == pytest.approx(4 / 40)
    assert verdicts["concentration", "als"].tonight == pytest.approx((40 * 4) / 200)


def test_items_that_are_listed_by_chance_are_not_missed(tmp_path: Path) -> None:
    now = run_of(errors={"baseline": 0.95, "als": 0.90})
    for row in now["top_n"]:
        row["item_id"] %= 20  # half are gone: more than 0.4, less than chance may take
    coverage = judged(tmp_path, GOOD, now)["coverage", "als"]
    assert (coverage.value, coverage.outcome) == (0.5, "passed")


@pytest.mark.parametrize(("shift", "share"), [(0, 0.0), (2, 0.0), (3, 1.0), (5, 1.0)])
def test_lists_that_keep_less_than_half(tmp_path: Path, shift: int, share: float) -> None:
    now = run_of(errors={"baseline": 0.95, "als": 0.90}, first=shift)
    assert judged(tmp_path, GOOD, now)["list_change", "als"].value == share


def test_ratings_on_another_scale_drift(tmp_path: Path) -> None:
    doubled: Rows = [{"rating": 2.0 * (1 + n % 5)} for n in range(80)]
    now = run_of(errors={"baseline": 0.95, "als": 0.90}, ratings=doubled)
    verdicts = judged(tmp_path, GOOD, now)
    assert failures(verdicts) == {("drift", "ratings")}
    assert verdicts["drift", "ratings"].value == pytest.approx(3 / 5)  # at 5: all, and 2 of 5


def test_gates_that_are_off_or_warn(tmp_path: Path) -> None:
    worse = run_of(errors={"baseline": 0.95, "als": 2.0})
    verdicts = judged(tmp_path, GOOD, worse, gates={"rating": {"mode": "warn"}})
    assert verdicts["rating", "als"].outcome == "failed"
    assert not verdicts["rating", "als"].refuses
    assert verdicts["baseline", "als"].refuses
