"""The options of every gate: section `gates` of the configuration. See docs/publishing.md.

Gates decide whether a night is published, not what it holds, so they are no part of its run id.
"""

from typing import Any, Literal

from pydantic import NonNegativeFloat, ValidationInfo, field_validator

from mfspark.config.section import Section

Mode = Literal["off", "warn", "enforce"]
"""`enforce`: a night that fails is refused; `warn`: it is published, and the failure noted."""


class AuditGate(Section):
    """Whether tables keep their contracts; what an audit finds is an error of the program."""

    mode: Mode = "enforce"


class Gate(Section):
    """One comparison; a night fails where the change is larger than the threshold."""

    mode: Mode = "enforce"
    threshold: NonNegativeFloat


class Gates(Section):
    """What a night must stand before readers see it; see docs/publishing.md."""

    audits: AuditGate = AuditGate()
    input: Gate = Gate(threshold=0.3)
    """Ratings, users with ratings and items with ratings may each be fewer by this share."""
    rejected: Gate = Gate(mode="warn", threshold=0.02)
    """The share of rejected rows may be higher by this much."""
    drift: Gate = Gate(threshold=0.2)
    """The largest difference of the two distributions of ratings (Kolmogorov-Smirnov)."""
    baseline: Gate = Gate(threshold=0.25)
    """RMSE of a model may be above that of the averages of `baseline` by this share."""
    rating: Gate = Gate(threshold=0.05)
    """RMSE of a model may rise by this share."""
    ranking: Gate = Gate(threshold=0.1)
    """NDCG of a model may fall by this share."""
    coverage: Gate = Gate(threshold=0.4)
    """Items that are in any list of a model may be fewer by this share."""
    concentration: Gate = Gate(threshold=0.2)
    """The share of list places that the tenth of the items listed most takes may rise by this."""
    list_change: Gate = Gate(threshold=0.9)
    """Share of the users whose list may keep less than half of its items."""

    @field_validator("*", mode="before")
    @classmethod
    def _on_top_of_the_defaults(cls, value: Any, info: ValidationInfo) -> Any:
        """Take one key of a gate and leave the other as it is."""
        default: Section = cls.model_fields[str(info.field_name)].default
        return {**default.model_dump(), **value} if isinstance(value, dict) else value
