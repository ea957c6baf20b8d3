"""Stage evaluate: every model measured on held-out ratings.

Writes test_predictions, user_metrics, metrics and segment_metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mfspark.evaluation.catalog import COVERAGE, Metric
from mfspark.evaluation.metrics import MetricFigure
from mfspark.models.records import EVALUATE, EvaluationRecord
from mfspark.pipeline.context import RunContext
from mfspark.pipeline.fits import Fits
from mfspark.pipeline.measuring.user_measures import (
    Measured,
    MeasureUsers,
    Segments,
    measure,
    segments_of,
)
from mfspark.pipeline.publishing.labels import Labels, labels_of
from mfspark.pipeline.ranking.ranked import rank_items
from mfspark.pipeline.scoring import Predictions, known_or_null, made_by, predict
from mfspark.schemas import table_schema

if TYPE_CHECKING:
    from mfspark.config.models import ModelName
    from mfspark.grid.block_store import BlockStore
    from mfspark.grid.layout import Blocks, TileSet
    from mfspark.pipeline.dataset import Dataset

Metrics = list[dict[str, Any]]


def run(context: RunContext, dataset: Dataset, fits: Fits) -> Metrics:
    """Measure all models on the test part and return the rows of table `metrics`."""
    measured = context.config.evaluation.split != "none"
    return context.once(
        EVALUATE, lambda: EvaluationRecord(_measure(context, dataset, fits) if measured else [])
    ).metrics


def _measure(context: RunContext, dataset: Dataset, fits: Fits) -> Metrics:
    test, k = dataset.tiles("test"), context.config.evaluation.k
    segments = segments_of(fits)
    predictions = predict(fits, fits.names, "train", test)
    rated = context.config.ingest.feedback != "implicit"  # else there are no ratings to predict
    models = [
        MeasureUsers(
            store=context.store,
            test=test,
            relevant_from=dataset.relevant_from,
            k=k,
            segments=segments,
            ranked=rank_items(fits, name, "train", k, explained=False),
            predictions=predictions.get(name) if rated else None,
        )
        for name in fits.names
    ]
    measured = dict(zip(fits.names, measure(fits, models, "measured"), strict=True))
    users, items = labels_of(dataset, "user"), labels_of(dataset, "item")
    _write_test_predictions(dataset, predictions.values(), test, users, items)
    _write_user_metrics(dataset, measured, users)
    split = context.config.evaluation.split
    dataset.write_list(list(_metrics_of(measured, split, k)), "metrics")
    dataset.write_list(list(_metrics_of_parts(measured, segments, split, k)), "segment_metrics")
    return context.night.files("metrics").dataset().to_table().to_pylist()


def _metrics_of(
    measured: Mapping[ModelName, Measured], split: str, k: int
) -> Iterator[tuple[Any, ...]]:
    for name, each in measured.items():
        for metric, figure in (*each.figures(), (COVERAGE, each.coverage)):
            if figure.n or metric.kind == "ranking":  # which are unknown where nobody was measured
                yield name, split, *_row(metric, figure, k)


def _metrics_of_parts(
    measured: Mapping[ModelName, Measured], segments: Segments, split: str, k: int
) -> Iterator[tuple[Any, ...]]:
    for name, each in measured.items():
        for number, (segment, part) in enumerate(segments.parts, 1):
            for metric, figure in each.figures(number):
                if figure.n:
                    yield segment, part, name, split, *_row(metric, figure, k)


def _row(metric: Metric, figure: MetricFigure, k: int) -> tuple[Any, ...]:
    """Return the columns from `metric` on; ten decimals are the same however blocks were cut."""
    value, low, high = (None if one is None else round(one, 10) for one in figure[:3])
    of_lists = metric.kind in ("ranking", "listed", "lists")
    return metric.name, k if of_lists else None, value, low, high, figure.n


def _write_test_predictions(
    dataset: Dataset,
    predictions: Iterable[Predictions],
    test: TileSet,
    users: Labels,
    items: Labels,
) -> None:
    """Write what each model predicts for the test part."""
    schema = table_schema("test_predictions", dataset.report.ids)
    readers = [partial(_read_predictions, one, test, users, items, schema) for one in predictions]
    dataset.write_blocks(readers, test.layout.user_blocks, "test_predictions")


def _read_predictions(
    predictions: Predictions,
    test: TileSet,
    users: Labels,
    items: Labels,
    schema: pa.Schema,
    block: int,
) -> pa.RecordBatch:
    found = predictions.block(block)
    columns = [
        pa.repeat(predictions.name, found.pairs.n_ratings),
        users.of_block(block).take(pa.array(found.pairs.rows)),
        items.all().take(pa.array(found.pairs.indices)),
        test.exact_values(predictions.store, block),
        found.prediction,
        made_by(predictions.name, "baseline", found.fallback),
        known_or_null(found.low),
        known_or_null(found.high),
    ]
    return pa.record_batch(columns, schema=schema)


def _write_user_metrics(
    dataset: Dataset, measured: Mapping[ModelName, Measured], users: Labels
) -> None:
    """Write what each model did for each user; the next night is compared with it, user by user."""
    store, schema = dataset.context.store, table_schema("user_metrics", dataset.report.ids)
    readers = [
        partial(_read_numbers, name, each.users, store, users, schema)
        for name, each in measured.items()
    ]
    dataset.write_blocks(readers, dataset.layout.user_blocks, "user_metrics")


def _read_numbers(
    name: str, blocks: Blocks, store: BlockStore, users: Labels, schema: pa.Schema, block: int
) -> pa.RecordBatch:
    numbers, ids = blocks.read(store, block), users.of_block(block)
    nothing = np.full(len(ids), np.nan)  # of a model that predicts no ratings
    columns = [
        known_or_null(np.round(numbers.get(field.name, nothing), 10), field.type)
        for field in list(schema)[2:]
    ]
    return pa.record_batch([pa.repeat(name, len(ids)), ids, *columns], schema=schema)
