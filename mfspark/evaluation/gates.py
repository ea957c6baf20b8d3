"""Gates: is a night as good as the reference run, the last one that readers saw before it?

Verdicts over numbers alone: `reference` is a figure of that run, `tonight` the night's own.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mfspark.config.gates import Gate, Mode
from mfspark.evaluation.audits import AuditFinding
from mfspark.evaluation.bootstrap import Change

Outcome = Literal["passed", "failed", "skipped"]


_REFERENCE = {"baseline": "baseline"}  # what gates compare with, but for the reference run


@dataclass(frozen=True)
class Verdict:
    """What one gate says of one subject, with its numbers."""

    gate: str
    subject: str
    """A model, a count, or an audit."""
    mode: Mode
    outcome: Outcome
    why: str
    """In words; of a failure, what a person on call needs."""
    value: float | None = None
    """The change, or how many break a contract."""
    threshold: float | None = None
    low: float | None = None
    """Ends of the change's 95% interval, where it has one."""
    high: float | None = None
    reference: float | None = None
    """The figure of the reference run."""
    tonight: float | None = None
    n: int | None = None
    """Users that were compared."""

    @property
    def refuses(self) -> bool:
        """Whether the night must not be published."""
        return self.outcome == "failed" and self.mode == "enforce"

    def record(self) -> dict[str, Any]:
        """Return it as the manifest keeps it, under the names that its readers know."""
        known = {"reference": "last", "tonight": "now"}
        return {known.get(name, name): value for name, value in asdict(self).items()}


def of_audits(findings: Iterable[AuditFinding], mode: Mode) -> list[Verdict]:
    """Return a verdict for each audit: nothing may break a contract."""
    return [
        Verdict(
            "audits",
            finding.audit,
            mode,
            "failed" if finding.n_broken else "passed",
            f"{finding.n_broken:,} break it, such as {finding.example}" if finding.n_broken else "",
            float(finding.n_broken),
            0.0,
        )
        for finding in findings
    ]


def skipped(gate: str, subject: str, options: Gate, why: str) -> Verdict:
    """Return the verdict where there is nothing to compare."""
    return Verdict(gate, subject, options.mode, "skipped", why, threshold=options.threshold)


def of_fall(
    gate: str, subject: str, options: Gate, reference: float, tonight: float, slack: float = 0.0
) -> Verdict:
    """Judge by what share a count fell; `slack` is what chance may take from it besides."""
    if not reference:
        return skipped(gate, subject, options, "the reference run had none")
    fall = 1 - tonight / reference
    figures = {"value": fall, "reference": reference, "tonight": tonight}
    if reference - tonight <= options.threshold * reference + slack:
        return _verdict(gate, subject, options, "", **figures)
    why = f"{tonight:,.0f}, and {reference:,.0f} in the reference run: {_percent(fall)} fewer"
    return _verdict(gate, subject, options, why, **figures)


def of_rise(gate: str, subject: str, options: Gate, reference: float, tonight: float) -> Verdict:
    """Judge by how much a share rose."""
    rise = tonight - reference
    why = f"{_percent(tonight)}, and {_percent(reference)} in the reference run"
    figures = {"value": rise, "reference": reference, "tonight": tonight}
    return _verdict(gate, subject, options, why if rise > options.threshold else "", **figures)


def of_level(gate: str, subject: str, options: Gate, value: float, what: str) -> Verdict:
    """Judge a figure that is itself a difference between the two runs."""
    why = f"{what}: {_percent(value)}" if value > options.threshold else ""
    return _verdict(gate, subject, options, why, value=value)


def of_change(
    gate: str, subject: str, options: Gate, change: Change, figures: tuple[float, float], what: str
) -> Verdict:
    """Judge a change of a metric for the worse; `figures` are the reference's and tonight's.

    It fails where it is surely and materially worse: the whole interval lies above the threshold.
    """
    reference, tonight = figures
    if not math.isfinite(change.value) or math.isnan(change.low):
        return skipped(gate, subject, options, f"{what} cannot be compared: it was 0")
    worse = change.low > options.threshold
    why = (
        f"{what} is {tonight:.4f}, and {reference:.4f} in "
        f"{_REFERENCE.get(gate, 'the reference run')} for the same {change.n_users:,} users: "
        f"worse by {_percent(change.value)} "
        f"(95%: {_percent(change.low)} to {_percent(change.high)})"
    )
    return _verdict(
        gate,
        subject,
        options,
        why if worse else "",
        value=change.value,
        low=change.low,
        high=change.high,
        reference=reference,
        tonight=tonight,
        n=change.n_users,
    )


def _verdict(gate: str, subject: str, options: Gate, why: str, **numbers: Any) -> Verdict:
    """Return a failure where there is a reason, and a pass where there is none."""
    if why:
        why += f" (gates.{gate}.threshold = {options.threshold:g})"
    outcome: Outcome = "failed" if why else "passed"
    return Verdict(
        gate, subject, options.mode, outcome, why, threshold=options.threshold, **numbers
    )


def _percent(share: float) -> str:
    return f"{share:.1%}"
