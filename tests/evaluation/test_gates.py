"""Verdicts: where the line runs, and what is said."""

from __future__ import annotations

import pytest

from mfspark.config.gates import Gate
from mfspark.evaluation.audits import AuditFinding
from mfspark.evaluation.bootstrap import Change
from mfspark.evaluation.gates import of_audits, of_change, of_fall, of_level, of_rise


def gate(threshold: float, mode: str = "enforce") -> Gate:
    return Gate.model_validate({"mode": mode, "threshold": threshold})


@pytest.mark.parametrize(
    ("now", "outcome"), [(100, "passed"), (130, "passed"), (70, "passed"), (69, "failed")]
)
def test_a_count_may_fall_by_a_share(now: int, outcome: str) -> None:
    verdict = of_fall("input", "ratings", gate(0.3), 100, now)
    assert (verdict.outcome, verdict.value) == (outcome, pytest.approx(1 - now / 100))
    if outcome == "failed":
        assert verdict.why == (
            "69, and 100 in the reference run: 31.0% fewer (gates.input.threshold = 0.3)"
        )


def test_chance_may_take_some_besides() -> None:
    assert of_fall("coverage", "als", gate(0.5), 16, 1, slack=8).outcome == "passed"
    assert of_fall("coverage", "als", gate(0.5), 1600, 700, slack=80).outcome == "failed"


def test_nothing_in_the_reference_run_is_nothing_to_fall_from() -> None:
    assert of_fall("coverage", "als", gate(0.5), 0, 0).outcome == "skipped"


@pytest.mark.parametrize(("now", "outcome"), [(0.0, "passed"), (0.3, "passed"), (0.31, "failed")])
def test_a_share_may_rise_by_the_threshold(now: float, outcome: str) -> None:
    verdict = of_rise("concentration", "als", gate(0.2), 0.1, now)
    assert verdict.outcome == outcome
    assert verdict.value == pytest.approx(now - 0.1)


def test_a_level_may_be_the_threshold() -> None:
    assert of_level("drift", "ratings", gate(0.2), 0.2, "it").outcome == "passed"
    failed = of_level("drift", "ratings", gate(0.2), 0.25, "it differs")
    assert failed.why == "it differs: 25.0% (gates.drift.threshold = 0.2)"


@pytest.mark.parametrize(
    ("value", "low", "outcome"),
    [
        (0.20, 0.15, "failed"),
        (0.20, 0.05, "passed"),  # material, but not surely above the threshold
        (0.04, 0.03, "passed"),  # sure, but not material
        (-0.2, -0.3, "passed"),
    ],
)
def test_a_metric_must_be_surely_and_materially_worse(
    value: float, low: float, outcome: str
) -> None:
    verdict = of_change("rating", "als", gate(0.1), Change(value, low, 0.3, 7), (1.0, 1.2), "RMSE")
    assert verdict.outcome == outcome
    assert (verdict.low, verdict.high, verdict.n, verdict.reference) == (low, 0.3, 7, 1.0)
    if outcome == "failed":
        assert (
            "RMSE is 1.2000, and 1.0000 in the reference run for the same 7 users: worse by 20.0%"
            in verdict.why
        )


def test_what_has_no_number_is_skipped() -> None:
    change = Change(float("inf"), float("nan"), float("nan"), 7)
    verdict = of_change("ranking", "als", gate(0.1), change, (0.0, 0.0), "NDCG")
    assert (verdict.outcome, verdict.value) == ("skipped", None)


def test_only_enforced_failures_refuse() -> None:
    failed = [of_level("drift", "x", gate(0.2, mode), 0.5, "it") for mode in ("enforce", "warn")]
    assert [verdict.outcome for verdict in failed] == ["failed", "failed"]
    assert [verdict.refuses for verdict in failed] == [True, False]
    assert not of_level("drift", "x", gate(0.2), 0.1, "it").refuses


def test_an_audit_allows_nothing() -> None:
    clean, dirty = of_audits([AuditFinding("a", 0), AuditFinding("b", 3, "user 7")], "enforce")
    assert (clean.outcome, dirty.outcome, dirty.value) == ("passed", "failed", 3.0)
    assert dirty.why == "3 break it, such as user 7"
