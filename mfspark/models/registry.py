"""The models by name: the one place that knows them all.

To add a model: write its module, its options (config.models), and an entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mfspark.config.models import ModelName, Models
from mfspark.models.base import FitContext, Model
from mfspark.models.baselines import fit_baseline, fit_popularity
from mfspark.models.bayesian import bayesian_mf
from mfspark.models.bayesian.posterior import PosteriorModel
from mfspark.models.factor_model import FactorModel
from mfspark.models.factorization import als, ials, nmf, svd, torch_mf
from mfspark.models.factorization.svd import SVDModel
from mfspark.models.item_weights import ease, slim
from mfspark.models.item_weights.item_weights import ItemWeights
from mfspark.models.neighbors import knn
from mfspark.models.neighbors.knn import KNN


@dataclass(frozen=True)
class ModelEntry:
    """A model: how it is fitted and loaded, and what a night does with it."""

    fit: Callable[[FitContext, Any], Model]
    """Fits it on the ratings of a context, with its options."""
    load: Callable[[dict[str, Any]], Model] = FactorModel.from_record
    """Loads it from what its `record` gave."""
    reference: bool = False
    """Whether every other model is measured beside it, asked for or not."""
    publishes_factors: bool = True
    """Whether its factors, where it has any, are published in user_factors and item_factors."""
    similar_items: bool = True
    """Whether what it finds alike, where it can tell, is published in similar_items."""


MODELS: dict[ModelName, ModelEntry] = {
    "baseline": ModelEntry(fit_baseline, reference=True, similar_items=False),
    "popularity": ModelEntry(
        fit_popularity, reference=True, publishes_factors=False, similar_items=False
    ),
    "user_knn": ModelEntry(partial(knn.fit, "user"), KNN.from_record),
    "item_knn": ModelEntry(partial(knn.fit, "item"), KNN.from_record),
    "als": ModelEntry(als.fit),
    "ials": ModelEntry(ials.fit),
    "bayesian_mf": ModelEntry(bayesian_mf.fit, PosteriorModel.from_record),
    "torch_mf": ModelEntry(torch_mf.fit),
    "svd": ModelEntry(svd.fit, SVDModel.from_record),
    "nmf": ModelEntry(nmf.fit),
    "slim": ModelEntry(slim.fit, ItemWeights.from_record),
    "ease": ModelEntry(ease.fit, ItemWeights.from_record),
}
REFERENCES: tuple[ModelName, ...] = tuple(name for name, entry in MODELS.items() if entry.reference)


def fit_model(name: ModelName, context: FitContext, options: Models) -> Model:
    """Fit one model on the ratings of a context."""
    return MODELS[name].fit(context, options.of(name))


def load_model(name: ModelName, record: dict[str, Any]) -> Model:
    """Load a model from what its `record` gave."""
    return MODELS[name].load(record)
