"""The fitted models of a night by name and subset, each fitted once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mfspark.config.models import ModelName
from mfspark.grid.training import RECORD_EVERY, Checkpoint
from mfspark.models.base import FitContext, Model
from mfspark.models.factor_model import FactorModel
from mfspark.models.records import Fit, Subset, fit_key
from mfspark.models.registry import fit_model, load_model, with_references
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.side_features import side_features
from mfspark.pipeline.start_factors import start_factors

if TYPE_CHECKING:
    from mfspark.pipeline.dataset import Dataset


@dataclass(frozen=True)
class Fits:
    """Models fitted on the ratings of a night."""

    context: RunContext
    dataset: Dataset

    @property
    def names(self) -> tuple[ModelName, ...]:
        """The models that are measured: the configured ones, then the references."""
        return with_references(self.context.config.models.run)

    def model(self, name: ModelName, subset: Subset) -> Model:
        """Return a model fitted on a subset; fitted now unless this night did so before."""
        fit = self.context.once_in_turn(fit_key(subset, name), lambda: self._fit(name, subset))
        return load_model(name, fit.record)

    def finished(self, name: ModelName, subset: Subset) -> bool:
        """Return whether a model was fitted on a subset."""
        return self.context.night.finished(fit_key(subset, name))

    def baseline(self, subset: Subset) -> FactorModel:
        """Return the baseline, which predicts what other models cannot."""
        return cast("FactorModel", self.model("baseline", subset))

    def popularity(self, subset: Subset) -> FactorModel:
        """Return the popularity model, which fills the lists that other models leave short."""
        return cast("FactorModel", self.model("popularity", subset))

    def _fit(self, name: ModelName, subset: Subset) -> Fit:
        began = time.perf_counter()
        options = self.context.config.models
        model = fit_model(name, self._fit_context(name, subset), options)
        return Fit(model.record(), round(time.perf_counter() - began, 3))

    def _fit_context(self, name: ModelName, subset: Subset) -> FitContext:
        context, dataset = self.context, self.dataset
        reference = f"{subset}/{name}"
        return FitContext(
            master=context.session.master,
            runner=context.runner,
            tiles=dataset.tiles(subset),
            store=context.store,
            name=reference,
            seed=context.config.seed,
            grid_options=context.config.grid,
            checkpoint=Checkpoint(
                context.night.storage,
                context.night.scratch("blocks", reference, "state.json"),
                context.night.run_id,
                RECORD_EVERY,
            ),
            baseline=lambda: self.baseline(subset),
            choices_from=dataset.choices_from,
            attributes=lambda side: side_features(context, dataset, side),
            start_factors=start_factors(context, dataset, name) if subset == "all" else None,
        )
