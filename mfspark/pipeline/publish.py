"""Stage publish, its tables: lists, completed, factors, similar_items, loss_history and runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mfspark._version import __version__
from mfspark.config.models import ModelName
from mfspark.evaluation.catalog import RMSE
from mfspark.grid.cut import cut_arrays
from mfspark.grid.layout import Blocks
from mfspark.models.records import Subset
from mfspark.pipeline.fits import Fits
from mfspark.pipeline.publishing.factor_tables import (
    write_factors,
    write_item_weights,
    write_similar_items,
)
from mfspark.pipeline.publishing.labels import Labels, labels_of
from mfspark.pipeline.publishing.list_tables import write_lists
from mfspark.pipeline.scoring import Predictions, known_or_null, predict
from mfspark.schemas import SIDES, table_schema
from mfspark.system.at_once import at_once

if TYPE_CHECKING:
    from mfspark.evaluation.champion import Champion
    from mfspark.pipeline.dataset import Dataset


def write_tables(
    dataset: Dataset, fits: Fits, metrics: Sequence[Mapping[str, Any]], champion: Champion
) -> None:
    """Write what readers want: lists, the completed matrix, factors, losses, and the run itself."""
    for name in fits.names:  # before two ask for the same one
        fits.model(name, dataset.published)
    for side in SIDES:  # likewise
        labels_of(dataset, side)
    at_once(
        lambda: write_lists(dataset, fits, champion),
        lambda: _write_completed(dataset, fits, metrics),
        lambda: write_factors(dataset, fits),
        lambda: write_item_weights(dataset, fits),
        lambda: write_similar_items(dataset, fits),
    )
    dataset.write_list(_losses(fits), "loss_history")
    dataset.write_list([_run_row(dataset)], "runs")


def _write_completed(dataset: Dataset, fits: Fits, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Write the completed matrix where users x items is small enough."""
    context, report = dataset.context, dataset.report
    options = context.config.completed
    if report.n_users * report.n_items > options.max_cells:
        return
    name = _best_model(fits, metrics) if options.model == "best" else options.model
    store, layout = context.store, dataset.layout
    users, items = np.indices((report.n_users, report.n_items)).reshape(2, -1)
    unrated, place = np.zeros(users.size), ("tiles/cells", store, context.runner)
    pairs = cut_arrays(users, items, unrated, layout, *place)
    predicted = predict(fits, [name], dataset.published, pairs, intervals=False)
    ratings = np.full((report.n_users, report.n_items), np.nan)
    known = dataset.columns("ratings", "user_idx", "item_idx", "rating")
    ratings[known["user_idx"], known["item_idx"]] = known["rating"]
    rated = Blocks.named("user", "completed/ratings", layout.user_blocks)
    for block, reference in enumerate(rated.references):
        store.put(reference, {"ratings": ratings[layout.indices("user", block)]})
    labels = labels_of(dataset, "user"), labels_of(dataset, "item")
    schema = table_schema("completed", report.ids)
    readers = [partial(_read_cells, one, rated, *labels, schema) for one in predicted.values()]
    dataset.write_blocks(readers, layout.user_blocks, "completed")


def _read_cells(
    predictions: Predictions,
    rated: Blocks,
    users: Labels,
    items: Labels,
    schema: pa.Schema,
    block: int,
) -> pa.RecordBatch:
    found = predictions.block(block)
    rows, columns = found.pairs.rows, found.pairs.indices
    ratings = rated.read(predictions.store, block)["ratings"]
    named = users.of_block(block).take(pa.array(rows)), items.all().take(pa.array(columns))
    numbers = known_or_null(ratings[rows, columns]), found.prediction
    return pa.record_batch([*named, *numbers], schema=schema)


def _best_model(fits: Fits, metrics: Sequence[Mapping[str, Any]]) -> ModelName:
    """Return the model with the lowest RMSE; the first that predicts ratings, if unmeasured."""
    run = fits.context.config.models.run
    found = {m["model"]: m["value"] for m in metrics if m["metric"] == RMSE.name}
    rmse: dict[ModelName, float] = {name: found[name] for name in run if name in found}
    if rmse:
        return RMSE.best(rmse)
    for name in run:
        if fits.model(name, fits.dataset.published).kind == "rating":
            return name
    return "baseline"


def _losses(fits: Fits) -> list[tuple[Any, ...]]:
    """Return the losses of every fit of this night; a handful of rows."""
    subsets: tuple[Subset, ...] = ("train", "all")
    return [
        (name, subset, loss.iteration, loss.split, loss.value, loss.seconds)
        for subset in subsets
        for name in fits.names
        if fits.finished(name, subset)
        for loss in fits.model(name, subset).history
    ]


def _run_row(dataset: Dataset) -> tuple[Any, ...]:
    """Return what table `runs` says of this night."""
    night, report = dataset.context.night, dataset.report
    return (
        night.run_id,
        night.run_date.isoformat(),
        night.current_run,
        datetime.now(UTC),
        __version__,
        night.config.seed,
        report.n_accepted,
        report.n_rejected,
        json.dumps(night.config.content()),
        json.dumps(night.inputs),
    )
