"""The models by name: the one place that knows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mfspark.models.baselines import baseline, popularity
from mfspark.models.bayesian import bayesian_mf
from mfspark.models.bayesian.posterior import PosteriorModel
from mfspark.models.factor_model import FactorModel
from mfspark.models.factorization import als, ials, nmf, svd, torch_mf
from mfspark.models.factorization.svd import SVDModel
from mfspark.models.neighbors import knn
from mfspark.models.neighbors.knn import KNN

if TYPE_CHECKING:
    from mfspark.config.models import ModelName, Models
    from mfspark.models.base import FitContext, Model


def fit_model(name: ModelName, context: FitContext, options: Models) -> Model:
    """Fit one model on the ratings of a context."""
    match name:
        case "baseline":
            return baseline.fit(context, options.baseline)
        case "popularity":
            return popularity.fit(context, options.popularity)
        case "user_knn":
            return knn.fit(context, "user", options.user_knn, options.baseline)
        case "item_knn":
            return knn.fit(context, "item", options.item_knn, options.baseline)
        case "als":
            return als.fit(context, options.als)
        case "ials":
            return ials.fit(context, options.ials)
        case "bayesian_mf":
            return bayesian_mf.fit(context, options.bayesian_mf)
        case "torch_mf":
            return torch_mf.fit(context, options.torch_mf)
        case "svd":
            return svd.fit(context, options.svd)
        case "nmf":
            return nmf.fit(context, options.nmf)


def load_model(name: ModelName, record: dict[str, Any]) -> Model:
    """Load a model from what its `record` gave."""
    match name:
        case "user_knn" | "item_knn":
            return KNN.from_record(record)
        case "bayesian_mf":
            return PosteriorModel.from_record(record)
        case "svd":
            return SVDModel.from_record(record)
        case _:
            return FactorModel.from_record(record)
