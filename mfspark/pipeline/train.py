"""Stage train: every model fitted on a part of the ratings, once a night."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from mfspark.models.base import FitContext
from mfspark.models.registry import fit_model, load_model
from mfspark.pipeline.dataset import ratings_of, tiles_of
from mfspark.pipeline.earlier import earlier_neighbors
from mfspark.pipeline.last_run import previous_factors
from mfspark.pipeline.side_features import attributes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mfspark.config.models import ModelName
    from mfspark.models.base import Model
    from mfspark.models.factor_model import FactorModel
    from mfspark.pipeline.context import Job, Part


def run(job: Job, names: Sequence[ModelName]) -> None:
    """Fit models on the training part, or on all ratings where nothing is evaluated."""
    part: Part = "all" if job.config.evaluation.split == "none" else "train"
    for name in names:
        fitted(job, name, part)


def fitted(job: Job, name: ModelName, part: Part) -> Model:
    """Return a model fitted on a part; fitted now unless this night did so before."""
    stage = f"fit-{part}-{name}"
    if not job.night.finished(stage):
        began = time.perf_counter()
        model = fit_model(name, _context(job, name, part), job.config.models)
        seconds = round(time.perf_counter() - began, 3)
        job.night.finish(stage, {"record": model.record(), "seconds": seconds})
    return load_model(name, job.night.facts(stage)["record"])


def fitted_baseline(job: Job, part: Part) -> FactorModel:
    """Return the baseline, which predicts what other models cannot."""
    return cast("FactorModel", fitted(job, "baseline", part))


def fitted_popularity(job: Job, part: Part) -> FactorModel:
    """Return the popularity model, which fills the lists that other models leave short."""
    return cast("FactorModel", fitted(job, "popularity", part))


def _context(job: Job, name: ModelName, part: Part) -> FitContext:
    reference = f"{part}/{name}"
    return FitContext(
        spark=job.spark,
        tiles=tiles_of(job, part),
        store=job.store,
        name=reference,
        seed=job.config.seed,
        grid_options=job.config.grid,
        state_path=job.night.scratch("blocks", reference, "state.json"),
        fingerprint=job.night.run_id,
        ratings=lambda: ratings_of(job, part),
        attributes=lambda side: attributes_of(job, side),
        previous=previous_factors(job, name, part),
        earlier=lambda: earlier_neighbors(job, name, part),
    )
