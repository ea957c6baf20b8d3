"""Stage train: models fitted on the ratings they are measured with, or on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mfspark.config.models import ModelName
from mfspark.models.records import Subset

if TYPE_CHECKING:
    from mfspark.pipeline.fits import Fits


def run(fits: Fits, names: Sequence[ModelName], subset: Subset) -> None:
    """Fit models on a subset; those that this night fitted before are not fitted again."""
    for name in names:
        fits.model(name, subset)
