"""How models are measured: splits into train and test, and metrics with confidence intervals.

Definitions, formulas and protocols: docs/evaluation.md.
"""

from mfspark.evaluation.metrics import (
    ranking_metrics,
    rating_metrics,
    relevant_from,
    user_errors,
    user_ranks,
)
from mfspark.evaluation.splits import split_ratings

__all__ = [
    "ranking_metrics",
    "rating_metrics",
    "relevant_from",
    "split_ratings",
    "user_errors",
    "user_ranks",
]
