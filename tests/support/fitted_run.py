"""A published run of really fitted models, made without Spark: users are odd, items are Nn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mfspark.config.config import Config
from mfspark.config.models import ModelName
from mfspark.grid.block_store import MemoryStore
from mfspark.ingest.report import IngestReport
from mfspark.kernels.arrays.top_n import NOBODY
from mfspark.kernels.item_weights.weights import weights_of
from mfspark.models.factor_model import FactorModel
from mfspark.models.in_process import fit_in_process
from mfspark.models.item_weights.weight_model import ItemWeights
from mfspark.models.neighbors.knn import KNN
from mfspark.schemas import IdTypes, table_schema
from mfspark.tables.night import Night
from mfspark.tables.publish import publish
from mfspark.tables.run import PublishedRun
from mfspark.tables.warehouse import Warehouse
from tests.support.grids import Fitted, Ratings, cut, whole
from tests.support.made_run import RUN_DATE
from tests.support.night_tables import put_table
from tests.support.records import raw

IDS = IdTypes("integer", "string")


@dataclass(frozen=True)
class FittedRun:
    """A run, and the models that it published."""

    run: PublishedRun
    models: dict[ModelName, Fitted]
    ratings: Ratings

    def item_id(self, item: int) -> str:
        return item_id(item)


def item_id(item: int) -> str:
    """Ids whose order is not that of the indices."""
    return f"N{(37 * item) % 101:03d}"


def publish_fits(
    root: Path,
    ratings: Ratings,
    names: tuple[ModelName, ...],
    models: Mapping[str, Mapping[str, Any]],
    choices_from: float,
    **config: Any,
) -> FittedRun:
    """Fit models on ratings, and publish what a night publishes of them."""
    options = {
        "models": {"run": names, **models},
        "completed": {"max_cells": 0},
        "feedback": {"choices_from": choices_from},
        "evaluation": {"split": "none"},
        **config,
    }
    settings = Config.model_validate(options)
    night = Night.begin(Warehouse(root), settings, RUN_DATE, [{"made": 1}])
    fits: dict[ModelName, Fitted] = {}
    for name in names:
        store = MemoryStore()
        tiles = cut(ratings, 2, 2, "tiles", store)
        given = name, settings.models, tiles, store, root / name
        fits[name] = Fitted(*fit_in_process(*given, choices_from=choices_from))
    tables: dict[str, list[dict[str, Any]]] = {
        "ratings": [
            {"user_id": 2 * int(u) + 1, "item_id": item_id(int(i)), "rating": float(r)}
            for u, i, r in zip(ratings.users, ratings.items, ratings.values, strict=True)
        ],
        "users": [{"user_id": 2 * u + 1, "user_idx": u} for u in range(ratings.n_users)],
        "items": [
            {
                "item_id": item_id(i),
                "item_idx": i,
                "title": f"Title {i}" if i % 3 else None,
                "n_ratings": int((ratings.items == i).sum()),
            }
            for i in range(ratings.n_items)
        ],
        "item_factors": [row for name, fit in fits.items() for row in _factors(name, fit)],
        "item_weights": [row for name, fit in fits.items() for row in _weights(name, fit)],
        "item_neighbors": [row for fit in fits.values() for row in _neighbors(fit)],
    }
    for table, rows in tables.items():
        schema = table_schema(table, IDS)
        whole_rows = [{name: row.get(name) for name in schema.names} for row in rows]
        put_table(night, table, pa.Table.from_pylist(whole_rows, schema))
    low, high = float(ratings.values.min()), float(ratings.values.max())
    n = len(ratings)
    report = IngestReport(
        n, n, 0, 0, {}, (low, high), 0.5, IDS, n_users=ratings.n_users, n_items=ratings.n_items
    )
    night.finish(raw("ingest"), asdict(report))
    night.finish(raw("cut-all"), {"tiles": asdict(fits[names[0]].grid.tiles)})
    publish(night, IDS, [], [])
    return FittedRun(PublishedRun(root), fits, ratings)


def _factors(name: str, fit: Fitted) -> list[dict[str, Any]]:
    if not isinstance(fit.model, FactorModel):
        return []
    bias, factors = (whole(fit.grid, fit.model.item, array) for array in ("bias", "factors"))
    return [
        {"model": name, "item_id": item_id(i), "bias": float(b), "factors": y.tolist()}
        for i, (b, y) in enumerate(zip(bias, factors, strict=True))
    ]


def _weights(name: str, fit: Fitted) -> list[dict[str, Any]]:
    if not isinstance(fit.model, ItemWeights):
        return []
    rows: list[dict[str, Any]] = []
    for block, reference in enumerate(fit.model.weights.references):
        found = weights_of(fit.grid.store.get(reference), fit.grid.layout.n_items)
        dense = found if isinstance(found, np.ndarray) else found.toarray()
        targets = fit.grid.layout.indices("item", block)
        for row, item in zip(*np.nonzero(dense), strict=True):
            ids = {"item_id": item_id(int(item)), "target_item_id": item_id(int(targets[row]))}
            rows.append({"model": name, **ids, "weight": float(dense[row, item])})
    return rows


def _neighbors(fit: Fitted) -> list[dict[str, Any]]:
    if not isinstance(fit.model, KNN):
        return []
    near, alike = (whole(fit.grid, fit.model.neighbors, name) for name in ("indices", "similarity"))
    return [
        {
            "item_id": item_id(i),
            "neighbor_item_id": item_id(int(near[i, rank])),
            "rank": rank + 1,
            "similarity": float(alike[i, rank]),
            "n_common": 1,
        }
        for i, rank in zip(*(axis.tolist() for axis in np.nonzero(near != NOBODY)), strict=True)
    ]
