"""What a report says first: what became of the night, by which gate, figure and threshold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mfspark.config.gates import Gates
from mfspark.evaluation.gates import Verdict
from mfspark.queries.night_verdict import GateRow, NightVerdict, verdict_on
from mfspark.queries.refused_run import RefusedRun
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.support import made_run as made

NEXT = date(2026, 11, 23)
WORSE = Verdict(
    *("ranking", "als", "enforce", "failed", "NDCG is worse"),
    value=0.31, threshold=0.1, low=0.25, high=0.4, reference=0.5, tonight=0.345, n=940,
)  # fmt: skip
NEAR = Verdict("ranking", "ials", "enforce", "passed", "", 0.09, 0.1, 0.05, 0.12, 0.5, 0.455, 940)
FAR = Verdict("ranking", "slim", "enforce", "passed", "", -0.2, 0.1, -0.3, -0.1, 0.5, 0.6, 940)
WARNED = Verdict("rejected", "rows", "warn", "failed", "5.0%, and 1.0%", 0.04, 0.02,
                 reference=0.01, tonight=0.05)  # fmt: skip
AUDIT = Verdict("audits", "ratings lie on the scale", "enforce", "passed", "", 0.0, 0.0)
SKIPPED = Verdict("rating", "all models", "enforce", "skipped", "evaluation.split changed")


def judged(root: Path, *verdicts: Verdict) -> NightVerdict:
    run_id = made.publish_run(root, verdicts=[verdict.record() for verdict in verdicts])
    return verdict_on(PublishedRun(root, run_id))


def by_gate(found: NightVerdict) -> dict[str, GateRow]:
    return {row.gate: row for row in found.gates}


def test_every_gate_has_a_row_with_its_figure_and_threshold(tmp_path: Path) -> None:
    found = judged(tmp_path, AUDIT, FAR, NEAR, WARNED, SKIPPED)
    rows = by_gate(found)
    assert rows.keys() == set(Gates.model_fields), "all gates that can be configured"
    assert all(row.what for row in found.gates), "each says what it measures"
    ranking = rows["ranking"]
    assert (ranking.outcome, ranking.subject, ranking.n) == ("passed", "ials", 2)
    assert (ranking.measured, ranking.allowed) == ("9.0% (5.0% to 12.0%)", "10.0%")
    assert (ranking.before, ranking.tonight) == ("0.5000", "0.4550")
    assert (rows["rejected"].outcome, rows["rejected"].before) == ("warned", "1.0%")
    assert (rows["audits"].measured, rows["audits"].allowed) == ("0", "0")
    assert (rows["rating"].outcome, rows["drift"].outcome) == ("not compared", "not judged")
    assert len(found.details) == 5


def test_a_failure_stands_before_what_is_nearer_to_its_threshold(tmp_path: Path) -> None:
    few = Verdict("coverage", "als", "enforce", "passed", "", 0.6, 0.4, reference=5, tonight=2)
    fell = Verdict("coverage", "ials", "enforce", "failed", "fewer", 0.5, 0.4)
    run_id = made.refuse_run(tmp_path, NEXT, [NEAR, WORSE, FAR, few, fell])
    rows = by_gate(verdict_on(RefusedRun(Warehouse(tmp_path), run_id)))
    ranking, coverage = rows["ranking"], rows["coverage"]
    assert (ranking.outcome, ranking.subject, ranking.n) == ("refused", "als", 3)
    assert (coverage.outcome, coverage.subject) == ("refused", "ials"), "chance may take few items"


def test_what_readers_see_is_published_and_a_warning_is_said(tmp_path: Path) -> None:
    found = judged(tmp_path, WARNED)
    assert found.state == "published"
    assert found.because == ["rejected, rows: 5.0%, and 1.0%"]
    assert found.headline == "Readers see this night. Of 1 check: 1 warned."
    assert judged(tmp_path / "clean", AUDIT).because == []


def test_a_refused_night_says_why_and_what_readers_see(tmp_path: Path) -> None:
    current = made.publish_run(tmp_path)
    run_id = made.refuse_run(tmp_path, NEXT, [WORSE])
    found = verdict_on(RefusedRun(Warehouse(tmp_path), run_id))
    assert (found.state, found.because) == ("refused", ["ranking, als: NDCG is worse"])
    assert f"Readers still see run {current}" in found.headline


def test_the_current_run_tells_of_a_later_refusal(tmp_path: Path) -> None:
    made.publish_run(tmp_path)
    run_id = made.refuse_run(tmp_path, NEXT, [WORSE])
    (said,) = verdict_on(PublishedRun(tmp_path)).because
    assert said == f"the night {run_id} was refused after it: ranking, als: NDCG is worse"


def test_an_older_run_is_not_what_readers_see(tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    second = made.publish_run(tmp_path, NEXT)
    found = verdict_on(PublishedRun(tmp_path, first))
    assert found.state == "superseded"
    assert second in found.headline


@pytest.mark.parametrize(("hours", "state"), [(35, "published"), (37, "stale")])
def test_an_old_current_run_is_stale(tmp_path: Path, hours: int, state: str) -> None:
    made.publish_run(tmp_path)
    now = datetime.now(UTC) + timedelta(hours=hours)
    found = verdict_on(PublishedRun(tmp_path), timedelta(hours=36), now)
    assert found.state == state
    assert ("37 hours old, and may be 36 hours old" in found.headline) == (state == "stale")
