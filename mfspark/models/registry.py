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
from mfspark.models.item_weights.weight_model import ItemWeights
from mfspark.models.neighbors import knn
from mfspark.models.neighbors.knn import KNN

FoldIn = Callable[[FitContext, Any, Any], Model]
"""Of the ratings of new users, the options and the model fitted on others, the model for them."""


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
    fold_in: FoldIn | None = None
    """Takes in users who came after training; None where the model cannot."""
    similar_items: bool = True
    """Whether what it finds alike, where it can tell, is published in similar_items."""


def _as_it_is(_context: FitContext, _options: Any, model: Model) -> Model:
    """Return a model that knows users by their ratings alone, which a grid hands it."""
    return model


MODELS: dict[ModelName, ModelEntry] = {
    "baseline": ModelEntry(fit_baseline, reference=True, similar_items=False),
    "popularity": ModelEntry(
        fit_popularity,
        reference=True,
        publishes_factors=False,
        similar_items=False,
        fold_in=_as_it_is,
    ),
    "user_knn": ModelEntry(partial(knn.fit, "user"), KNN.from_record),
    "item_knn": ModelEntry(partial(knn.fit, "item"), KNN.from_record, fold_in=_as_it_is),
    "als": ModelEntry(als.fit, fold_in=als.fold_in),
    "ials": ModelEntry(ials.fit, fold_in=ials.fold_in),
    "bayesian_mf": ModelEntry(bayesian_mf.fit, PosteriorModel.from_record),
    "torch_mf": ModelEntry(torch_mf.fit),
    "svd": ModelEntry(svd.fit, SVDModel.from_record),
    "nmf": ModelEntry(nmf.fit),
    "slim": ModelEntry(slim.fit, ItemWeights.from_record, fold_in=_as_it_is),
    "ease": ModelEntry(ease.fit, ItemWeights.from_record, fold_in=_as_it_is),
}
REFERENCES: tuple[ModelName, ...] = tuple(name for name, entry in MODELS.items() if entry.reference)


def with_references(run: tuple[ModelName, ...]) -> tuple[ModelName, ...]:
    """Return the models that a configuration runs, then the references that are not among them."""
    return (*run, *(name for name in REFERENCES if name not in run))


def fit_model(name: ModelName, context: FitContext, options: Models) -> Model:
    """Fit one model on the ratings of a context."""
    return MODELS[name].fit(context, options.of(name))


def fold_in(name: ModelName, context: FitContext, options: Models, model: Model) -> Model:
    """Return a fitted model with the users of a context in the place of its own.

    `context.tiles` are what is known of users whom the model has not seen, in the layout that it
    was fitted in, with the mean and the variance of the ratings it was fitted on. Raises KeyError
    for a model that `folds_in` does not name.
    """
    take_in = MODELS[name].fold_in
    if take_in is None:
        raise KeyError(name)
    return take_in(context, options.of(name), model)


def folds_in(name: ModelName, options: Models) -> bool:
    """Say whether a model can take in users who came after training."""
    by_rating = getattr(options.of(name), "rank_by", "") == "rating"  # centered on the users' means
    return MODELS[name].fold_in is not None and not by_rating


def load_model(name: ModelName, record: dict[str, Any]) -> Model:
    """Load a model from what its `record` gave."""
    return MODELS[name].load(record)
