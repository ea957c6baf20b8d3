"""The options of every gate: section `gates` of the configuration. See docs/publishing.md.

Gates decide whether a night is published, not what it holds, so they are no part of its run id.
"""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat

from mfspark.config.models import Section

Mode = Literal["off", "warn", "enforce"]
"""`enforce`: a night that fails is refused; `warn`: it is published, and the failure noted."""


class AuditGate(Section):
    """Whether tables keep their contracts; what an audit finds is an error of the program."""

    mode: Mode = "enforce"


class Gate(Section):
    """One comparison; a night fails where the change is larger than the threshold."""

    mode: Mode = "enforce"
    threshold: NonNegativeFloat


class InputGate(Gate):
    """Ratings, users with ratings and items with ratings may each be fewer by this share."""

    threshold: NonNegativeFloat = 0.3


class RejectedGate(Gate):
    """The share of rejected rows may be higher by this much."""

    mode: Mode = "warn"
    threshold: NonNegativeFloat = 0.02


class DriftGate(Gate):
    """The largest difference of the two distributions of ratings (Kolmogorov-Smirnov)."""

    threshold: NonNegativeFloat = 0.2


class BaselineGate(Gate):
    """RMSE of a model may be above that of the averages of `baseline` by this share."""

    threshold: NonNegativeFloat = 0.25


class RatingGate(Gate):
    """RMSE of a model may rise by this share."""

    threshold: NonNegativeFloat = 0.05


class RankingGate(Gate):
    """NDCG of a model may fall by this share."""

    threshold: NonNegativeFloat = 0.1


class CoverageGate(Gate):
    """Items that are in any list of a model may be fewer by this share."""

    threshold: NonNegativeFloat = 0.4


class ConcentrationGate(Gate):
    """The share of list places that the tenth of the items listed most takes may rise by this."""

    threshold: NonNegativeFloat = 0.2


class ListChangeGate(Gate):
    """Share of the users whose list may keep less than half of its items."""

    threshold: NonNegativeFloat = 0.9


class Gates(Section):
    """What a night must stand before readers see it; see docs/publishing.md."""

    audits: AuditGate = AuditGate()
    input: InputGate = InputGate()
    rejected: RejectedGate = RejectedGate()
    drift: DriftGate = DriftGate()
    baseline: BaselineGate = BaselineGate()
    rating: RatingGate = RatingGate()
    ranking: RankingGate = RankingGate()
    coverage: CoverageGate = CoverageGate()
    concentration: ConcentrationGate = ConcentrationGate()
    list_change: ListChangeGate = ListChangeGate()
