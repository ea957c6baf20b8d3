"""The models by name: the one place that knows them all.

To add a model: write its module, its options (config.models), and an entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mfspark.config.models import ModelName, Models
from mfspark.grid.block_store import BlockStore
from mfspark.kernels.arrays.tile import Array
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
from mfspark.models.published_items import PublishedItems


def _as_it_is(_context: FitContext, _options: Any, model: Any) -> Model:
    """Return a model that knows users by their ratings alone, which a grid hands it."""
    return model


@dataclass(frozen=True)
class FoldIn:
    """How a model takes in users who came after training, one or millions of them."""

    users: Callable[[FitContext, Any, Any], Model] = _as_it_is
    """Of their ratings, the options and the model fitted on others, the model for them."""
    published: Callable[[PublishedItems, Any, BlockStore], tuple[Model, Array]] | None = None
    """The fitted model, without users, of what a run published of it and the options, and which
    items it knows of, bool (items). Its blocks are put in a store. None where no list is asked of
    what was published."""


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
    """How it takes in users who came after training; None where it cannot."""
    similar_items: bool = True
    """Whether what it finds alike, where it can tell, is published in similar_items."""


MODELS: dict[ModelName, ModelEntry] = {
    "baseline": ModelEntry(fit_baseline, reference=True, similar_items=False),
    "popularity": ModelEntry(
        fit_popularity,
        reference=True,
        publishes_factors=False,
        similar_items=False,
        fold_in=FoldIn(),
    ),
    "user_knn": ModelEntry(partial(knn.fit, "user"), KNN.from_record),
    "item_knn": ModelEntry(
        partial(knn.fit, "item"), KNN.from_record, fold_in=FoldIn(published=knn.of_published)
    ),
    "als": ModelEntry(als.fit, fold_in=FoldIn(als.fold_in, als.of_published)),
    "ials": ModelEntry(ials.fit, fold_in=FoldIn(ials.fold_in, ials.of_published)),
    "bayesian_mf": ModelEntry(bayesian_mf.fit, PosteriorModel.from_record),
    "torch_mf": ModelEntry(torch_mf.fit),
    "svd": ModelEntry(svd.fit, SVDModel.from_record),
    "nmf": ModelEntry(nmf.fit),
    "slim": ModelEntry(
        slim.fit, ItemWeights.from_record, fold_in=FoldIn(published=slim.of_published)
    ),
    "ease": ModelEntry(
        ease.fit, ItemWeights.from_record, fold_in=FoldIn(published=ease.of_published)
    ),
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
    was fitted in, with the facts of the ratings that it was fitted on (n_ratings, mean, variance).
    Raises KeyError for a model that `folds_in` does not name.
    """
    able = MODELS[name].fold_in
    if able is None:
        raise KeyError(name)
    return able.users(context, options.of(name), model)


def folds_in(name: ModelName, options: Models, *, published: bool = False) -> bool:
    """Say whether a model can take in users who came after training.

    published: also of its published tables alone (`of_published`).
    """
    able = MODELS[name].fold_in
    if able is None or (published and able.published is None):
        return False
    return options.of(name).knows_users_by_ratings


def of_published(
    name: ModelName, items: PublishedItems, options: Models, store: BlockStore
) -> tuple[Model, Array]:
    """Return a model without users, of what a run published of it: `fold_in` gives it some.

    And which items it knows of, bool (items). Raises KeyError for a model that `folds_in` does not
    name, NotFoundError where the run lacks a table.
    """
    able = MODELS[name].fold_in
    if able is None or able.published is None:
        raise KeyError(name)
    return able.published(items, options.of(name), store)


def load_model(name: ModelName, record: dict[str, Any]) -> Model:
    """Load a model from what its `record` gave."""
    return MODELS[name].load(record)
