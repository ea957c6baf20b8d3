from __future__ import annotations

from typing import Any, ClassVar

from mfspark.config import ModelName
from tests.models.contract import FactorContract


class TestBayesianMF(FactorContract):
    name: ClassVar[ModelName] = "bayesian_mf"
    options: ClassVar[dict[str, Any]] = {
        "rank": 3,
        "burn_in": 10,
        "samples": 30,
        "keep": 10,
        "pattern_features": 8,
    }
    planted_options: ClassVar[dict[str, Any]] = {
        "rank": 3,
        "burn_in": 60,
        "samples": 40,
        "keep": 20,
        "pattern_features": 0,
    }
    planted_rmse: ClassVar[float] = 0.35
    tolerance: ClassVar[float] = 2e-3
    n_samples: ClassVar[int] = 10
